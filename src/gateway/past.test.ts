import assert from "node:assert/strict";
import { test } from "node:test";
import { uuidv7 } from "../../protocol/ids.ts";
import { type Entry, PositionExpiredError, jsonText } from "../eventlog/eventlog.ts";
import { MemoryEventLog } from "../eventlog/memory.ts";
import { createLogger } from "../lib/logger.ts";
import { type Missed, Past, pastReadersMax, scanEntriesMax, waitingReadersMax } from "./past.ts";

const log = createLogger("silent");
const bounds = { entriesMax: 3, bytesMax: 10_000, scanBytesMax: 15_000 };
const all = (): boolean => true;

/** Odd offsets are those of `room/1`, even ones those of `room/2`. */
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

const missed = (after: Readonly<Record<string, number>>, upTo: number): Missed => ({
  partition: 0,
  after: new Map(Object.entries(after)),
  upTo,
});

async function offsets(past: Past, what: Missed, wanted: (entry: Entry) => boolean = all) {
  const found = await past.read(what, wanted);
  return Object.fromEntries(
    [...found].map(([topic, entries]) => [topic, entries.map(({ offset }) => offset)]),
  );
}

test("the past of topics is their own entries between two offsets, in order", async () => {
  const past = new Past({ eventlog: await filled(10), log }, bounds);
  assert.deepEqual(await offsets(past, missed({ "room/1": 2 }, 7)), { "room/1": [3, 5, 7] });
  assert.deepEqual(await offsets(past, missed({ "room/1": 10 }, 10)), { "room/1": [] });
  assert.deepEqual(await offsets(past, missed({ "room/1": 4, "room/2": 2, "room/3": 0 }, 8)), {
    "room/1": [5, 7],
    "room/2": [4, 6, 8],
    "room/3": [],
  });
  const without = await offsets(past, missed({ "room/1": 2 }, 7), ({ offset }) => offset !== 5);
  assert.deepEqual(without, { "room/1": [3, 7] });
});

test("all topics of a reader in a partition are found with one look through it", async () => {
  const eventlog = await filled(3_000);
  let reads = 0;
  const counted = {
    read: (...args: Parameters<MemoryEventLog["read"]>) => {
      reads++;
      return eventlog.read(...args);
    },
  };
  const past = new Past({ eventlog: counted, log }, { ...bounds, entriesMax: 5_000 });
  const found = await past.read(missed({ "room/1": 0, "room/2": 0, "room/3": 0 }, 3_000), all);
  assert.deepEqual([found.get("room/1")?.length, found.get("room/2")?.length, reads], [1_500, 1_500, 3]);
});

test("a topic with an entry, or a byte, more than a reader is sent is left out, and no other", async () => {
  const past = new Past({ eventlog: await filled(10), log }, bounds);
  assert.deepEqual(await offsets(past, missed({ "room/1": 0, "room/2": 2 }, 7)), { "room/2": [4, 6] });
  const fits = new Past({ eventlog: await filled(4, 4_998), log }, { ...bounds, scanBytesMax: 1e6 });
  assert.deepEqual(await offsets(fits, missed({ "room/1": 0 }, 3)), { "room/1": [1, 3] });
  const larger = new Past({ eventlog: await filled(4, 4_999), log }, { ...bounds, scanBytesMax: 1e6 });
  assert.deepEqual(await offsets(larger, missed({ "room/1": 0, "room/2": 3 }, 4)), { "room/2": [4] });
});

test("the topics that come after all of them together have too many bytes are left out", async () => {
  const past = new Past({ eventlog: await filled(4, 4_998), log }, bounds);
  assert.deepEqual(await offsets(past, missed({ "room/1": 0, "room/2": 2 }, 4)), {
    "room/1": [1, 3],
    "room/2": [4],
  });
  const larger = new Past({ eventlog: await filled(4, 4_999), log }, { ...bounds, bytesMax: 20_000 });
  assert.deepEqual(await offsets(larger, missed({ "room/1": 0, "room/2": 2 }, 4)), { "room/1": [1, 3] });
});

test("nobody's past is looked through further than the bound", async () => {
  const past = new Past(
    { eventlog: await filled(scanEntriesMax + 1), log },
    { entriesMax: 50_000, bytesMax: 1_000_000, scanBytesMax: 1_000_000 },
  );
  const found = await past.read(missed({ "room/1": 1, "room/2": 0 }, scanEntriesMax + 1), all);
  assert.deepEqual([found.get("room/1")?.length, found.has("room/2")], [scanEntriesMax / 2, false]);
});

test("a topic of which retention has removed what is missed is left out, and no other", async () => {
  const eventlog = await filled(10);
  eventlog.expire(0, 4);
  const past = new Past({ eventlog, log }, bounds);
  assert.deepEqual(await offsets(past, missed({ "room/1": 3, "room/2": 4 }, 9)), { "room/2": [6, 8] });
  assert.deepEqual(await offsets(past, missed({ "room/1": 3 }, 9)), {});
});

test("what retention removes while a past is read, or the log does not give, is nothing at all", async () => {
  for (const error of [new PositionExpiredError(0, 1, 5), new Error("the database is away")]) {
    const past = new Past({ eventlog: { read: () => Promise.reject(error) }, log }, bounds);
    assert.deepEqual(await offsets(past, missed({ "room/1": 0 }, 5)), {});
  }
});

/** Turns that end when the test says so. */
function openTurns() {
  const past = new Past({ eventlog: { read: () => assert.fail("nothing is read") }, log }, bounds);
  const begun: { readonly owner: unknown; readonly end: () => void }[] = [];
  const take = (owner: unknown): Promise<unknown> =>
    past.turn(owner, () => new Promise((resolve) => begun.push({ owner, end: () => resolve("done") })));
  return { past, begun, take };
}

async function turns(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}

test("a few readers look at once, some wait, and one more is turned away", async () => {
  const { begun, take } = openTurns();
  const answers = Array.from({ length: pastReadersMax + waitingReadersMax }, () => take(1));
  await turns();
  assert.equal(begun.length, pastReadersMax);
  assert.equal(await take(1), undefined, "one too many");
  for (let served = 0; served < answers.length; served++) {
    begun[served]?.end();
    await turns();
  }
  for (const answer of answers) assert.equal(await answer, "done");
  void take(2);
  await turns();
  assert.equal(begun.length, answers.length + 1, "there is room again");
});

test("whoever asks for much waits behind whoever asks for little", async () => {
  const { begun, take } = openTurns();
  for (let i = 0; i < pastReadersMax + 6; i++) void take("much");
  void take("little");
  await turns();
  for (let served = 0; served < 2; served++) {
    begun[served]?.end();
    await turns();
  }
  assert.deepEqual(
    begun.map(({ owner }) => owner),
    [...Array.from({ length: pastReadersMax + 1 }, () => "much"), "little"],
  );
});

test("a turn that fails is over all the same", async () => {
  const { past, begun, take } = openTurns();
  const failing = Array.from({ length: pastReadersMax }, () =>
    past.turn(1, () => Promise.reject(new Error("away"))),
  );
  for (const one of failing) await assert.rejects(one, /away/);
  for (let i = 0; i < pastReadersMax; i++) void take(1);
  await turns();
  assert.equal(begun.length, pastReadersMax);
});
