import assert from "node:assert/strict";
import { test } from "node:test";
import { uuidv7 } from "../../protocol/ids.ts";
import { type Entry, PositionExpiredError, type ReadResult, jsonText } from "../eventlog/eventlog.ts";
import { MemoryEventLog } from "../eventlog/memory.ts";
import { createLogger } from "../lib/logger.ts";
import { Past, pastReadersMax, scanEntriesMax, waitingReadersMax } from "./past.ts";

const log = createLogger("silent");
const bounds = { entriesMax: 3, bytesMax: 10_000 };
const all = (): boolean => true;

async function filled(count: number, bytes = 1): Promise<MemoryEventLog> {
  const eventlog = new MemoryEventLog({ partitions: 1, clock: { now: () => 0 } });
  const entries = Array.from({ length: count }, (_, i) => ({
    id: uuidv7(),
    topic: i % 2 === 0 ? "room/1" : "room/2",
    type: "said",
    actor: "system",
    data: jsonText("x".repeat(bytes)),
  }));
  for (let at = 0; at < count; at += 10_000) await eventlog.append(entries.slice(at, at + 10_000));
  return eventlog;
}

const place = (after: number, upTo: number) => ({ partition: 0, topic: "room/1", after, upTo });
const offsets = (entries: readonly Entry[] | undefined) => entries?.map(({ offset }) => offset);

test("the past of a topic is its own entries between two offsets, in order", async () => {
  const past = new Past({ eventlog: await filled(10), log }, bounds);
  assert.deepEqual(offsets(await past.read(place(2, 7), all)), [3, 5, 7]);
  assert.deepEqual(offsets(await past.read(place(10, 10), all)), []);
  assert.deepEqual(offsets(await past.read(place(2, 7), ({ offset }) => offset !== 5)), [3, 7]);
});

test("an entry, or a byte, more than a reader is sent is nothing at all", async () => {
  const past = new Past({ eventlog: await filled(10), log }, bounds);
  assert.deepEqual(offsets(await past.read(place(0, 6), all)), [1, 3, 5]);
  assert.equal(await past.read(place(0, 7), all), undefined);
  const large = new Past({ eventlog: await filled(3, 4_998), log }, bounds);
  assert.deepEqual(offsets(await large.read(place(0, 3), all)), [1, 3]);
  const larger = new Past({ eventlog: await filled(3, 4_999), log }, bounds);
  assert.equal(await larger.read(place(0, 3), all), undefined);
});

test("nobody's past is looked through further than the bound", async () => {
  const past = new Past(
    { eventlog: await filled(scanEntriesMax + 1), log },
    { entriesMax: 50_000, bytesMax: 1_000_000 },
  );
  const upTo = scanEntriesMax + 1;
  assert.equal((await past.read(place(1, upTo), all))?.length, scanEntriesMax / 2);
  assert.equal(await past.read(place(0, upTo), all), undefined);
});

test("what retention has removed, or the log does not give, is nothing at all", async () => {
  for (const error of [new PositionExpiredError(0, 1, 5), new Error("the database is away")]) {
    const past = new Past({ eventlog: { read: () => Promise.reject(error) }, log }, bounds);
    assert.equal(await past.read(place(0, 5), all), undefined);
  }
});

test("a few readers are served at once, some wait, and one more is turned away", async () => {
  const reads: (() => void)[] = [];
  const eventlog = {
    read: () => new Promise<ReadResult>((resolve) => reads.push(() => resolve({ entries: [], end: 9 }))),
  };
  const past = new Past({ eventlog, log }, bounds);
  const answers = Array.from({ length: pastReadersMax + waitingReadersMax }, () =>
    past.read(place(0, 5), all),
  );
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(reads.length, pastReadersMax);
  assert.equal(await past.read(place(0, 5), all), undefined, "one too many");
  while (reads.length > 0) {
    for (const answer of reads.splice(0)) answer();
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (const answer of answers) assert.deepEqual(await answer, []);
});
