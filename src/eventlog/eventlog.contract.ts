import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { limits } from "../../protocol/limits.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { eventually } from "../../test/harness.ts";
import { AppError } from "../lib/errors.ts";
import type { Db } from "../lib/db.ts";
import {
  type Entry,
  type EventLog,
  type NewEntry,
  type PartitionGrowth,
  PositionExpiredError,
  type RedactedData,
  jsonText,
  parseData,
  redactedData,
  redactedType,
} from "./eventlog.ts";
import { partitionOf } from "./murmur2.ts";
import { parsePosition } from "./position.ts";
import { redactIdsMax } from "./redaction.ts";

/** What the suite needs of a driver: a fresh log, the database its transactions run on, and a way to age entries. */
export type LogUnderTest = {
  readonly log: EventLog;
  readonly db: Db;
  /** Makes retention remove everything that is in the log now. */
  readonly expireAll: () => Promise<void>;
};

export function newEntry(topic: string, data: unknown = {}, id: string = uuidv7()): NewEntry {
  return { id, topic, type: "test.happened", actor: "system", data: jsonText(data) };
}

/** Every entry that the log holds, partition by partition. */
export async function readAll(log: EventLog, limit = 100): Promise<Entry[]> {
  const all: Entry[] = [];
  const tails = await log.tails();
  for (let partition = 0; partition < log.partitions; partition++) {
    let after = tails[partition] ?? 0;
    for (;;) {
      const { entries, end } = await log.read(partition, after, limit);
      all.push(...entries);
      if (end === after) break;
      after = end;
    }
  }
  return all;
}

/** The contract of `eventlog.ts`, as tests. Each driver's test file calls it. */
export function testEventLogContract(driver: string, open: () => Promise<LogUnderTest>): void {
  test(`${driver}: what was appended is read back, unchanged and in order`, async () => {
    const { log } = await open();
    const nasty = { text: "Привет, \u0000 \ud800 \u001e \\ \" ' {} 😀", list: [1, null, "a,b"] };
    const entries = [
      newEntry("room/1", nasty),
      { ...newEntry("room/1", 2), trace: "00-ab-cd-01" },
      newEntry("room/1", null),
    ];
    const positions = await log.append(entries);
    const stored = await readAll(log);
    assert.deepEqual(
      stored.map(({ id, topic, type, actor, data, trace }) => ({ id, topic, type, actor, data, trace })),
      entries.map(({ id, topic, type, actor, data, trace }) => ({ id, topic, type, actor, data, trace })),
    );
    assert.deepEqual(JSON.parse(stored[0]?.data ?? ""), nasty);
    assert.deepEqual(
      positions.map((position) => parsePosition(position).offset),
      stored.map(({ offset }) => offset),
    );
  });

  test(`${driver}: a topic lies in the partition that murmur2 gives it, in the order of its appends`, async () => {
    const { log } = await open();
    const topics = Array.from({ length: 50 }, (_, i) => `room/${i}`);
    for (let round = 0; round < 3; round++) await log.append(topics.map((topic) => newEntry(topic, round)));
    const stored = await readAll(log, 7);
    assert.equal(stored.length, 150);
    for (const [topic, entries] of Map.groupBy(stored, (entry) => entry.topic)) {
      assert.deepEqual(
        entries.map(({ data }) => data),
        ["0", "1", "2"],
      );
      for (const { partition } of entries) assert.equal(partition, partitionOf(topic, log.partitions));
    }
  });

  test(`${driver}: equal ids are one entry, alone, in one batch, or in parallel`, async () => {
    const { log } = await open();
    const entry = newEntry("room/1", "first");
    const [first] = await log.append([entry]);
    const [again] = await log.append([{ ...entry, data: jsonText("second") }]);
    assert.equal(again, first);
    const twin = newEntry("room/1", "twin");
    const [a, b] = await log.append([twin, twin]);
    assert.equal(a, b);
    const crowd = newEntry("room/2", "crowd");
    const positions = await Promise.all(Array.from({ length: 50 }, () => log.append([crowd])));
    assert.equal(new Set(positions.flat()).size, 1);
    assert.deepEqual((await readAll(log)).map(({ data }) => data).sort(), ['"crowd"', '"first"', '"twin"']);
  });

  test(`${driver}: calls made in order keep their order per topic, without waiting for each other`, async () => {
    const { log } = await open();
    await Promise.all(Array.from({ length: 300 }, (_, i) => log.append([newEntry(`room/${i % 3}`, i)])));
    for (const entries of Map.groupBy(await readAll(log), (entry) => entry.topic).values()) {
      const numbers = entries.map(({ data }) => Number(data));
      assert.deepEqual(
        numbers,
        numbers.toSorted((x, y) => x - y),
      );
    }
  });

  test(`${driver}: appendIn is in the log if and only if the transaction commits`, async () => {
    const { log, db } = await open();
    await assert.rejects(
      db.transaction(async (tx) => {
        await log.appendIn(tx, [newEntry("room/1", "rolled back")]);
        throw new Error("changed my mind");
      }),
      /changed my mind/,
    );
    await db.transaction(async (tx) => {
      await log.appendIn(tx, [newEntry("room/1", "in tx 1"), newEntry("room/2", "in tx 2")]);
      assert.equal((await readAll(log)).length, 0, "nothing is visible before the commit");
    });
    await log.append([newEntry("room/1", "after")]);
    const topic1 = (await readAll(log)).filter(({ topic }) => topic === "room/1");
    assert.deepEqual(
      topic1.map(({ data }) => data),
      ['"in tx 1"', '"after"'],
    );
  });

  test(`${driver}: a reader that follows under concurrent writers misses nothing and never goes back`, async () => {
    const { log, db } = await open();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.nat(9), { minLength: 1, maxLength: 5 }), {
          minLength: 1,
          maxLength: 30,
          size: "max",
        }),
        async (calls) => {
          const before = await log.heads();
          const run = uuidv7();
          const writing = Promise.all(
            calls.map((topics, call) => {
              const entries = topics.map((topic, i) => newEntry(`room/${topic}`, { run, call, i }));
              return call % 4 === 3 ? db.transaction((tx) => log.appendIn(tx, entries)) : log.append(entries);
            }),
          );
          let done = false;
          const finished = writing.then(() => (done = true));
          const seen: Entry[] = [];
          const places = [...before];
          for (let last = false; !last;) {
            last = done;
            for (let partition = 0; partition < log.partitions; partition++) {
              const after = places[partition] ?? 0;
              const { entries, end } = await log.read(partition, after, 3);
              for (const [i, entry] of entries.entries()) {
                assert.ok(entry.offset > (entries[i - 1]?.offset ?? after));
              }
              seen.push(...entries);
              places[partition] = end;
              if (end !== after) last = false;
            }
            await new Promise((resolve) => setImmediate(resolve));
          }
          await finished;
          assert.equal(seen.length, calls.flat().length);
          assert.equal(new Set(seen.map(({ id }) => id)).size, seen.length);
        },
      ),
      { numRuns: 15 },
    );
  });

  test(`${driver}: growth is announced for appends and for committed transactions`, async () => {
    const { log, db } = await open();
    const heads = new Map<number, number>();
    const stop = log.onGrowth((growth: readonly PartitionGrowth[]) => {
      for (const { partition, head } of growth) heads.set(partition, head);
    });
    const first = partitionOf("room/1", log.partitions);
    await log.append([newEntry("room/1")]);
    await eventually("append announced", () => heads.get(first) === 1);
    await db.transaction((tx) => log.appendIn(tx, [newEntry("room/1")]));
    await eventually("appendIn announced", () => heads.get(first) === 2);
    assert.equal((await log.heads())[first], 2);
    stop();
  });

  test(`${driver}: redact replaces the data, keeps the place, and tells readers`, async () => {
    const { log } = await open();
    const [secret, other] = [newEntry("room/1", { text: "secret" }), newEntry("room/1", { text: "open" })];
    await log.append([secret, other]);
    const before = await readAll(log);
    assert.equal(await log.redact([secret.id, uuidv7()], "erasure"), 1);
    assert.equal(await log.redact([secret.id], "erasure"), 0, "repeating is harmless");
    const [first, second, notice, ...rest] = await readAll(log);
    assert.deepEqual(first, { ...before[0], data: redactedData });
    assert.deepEqual(second, before[1]);
    assert.equal(notice?.type, redactedType);
    assert.deepEqual(JSON.parse(notice?.data ?? ""), { entry_ids: [secret.id], reason: "erasure" });
    assert.equal(rest.length, 0);
  });

  test(`${driver}: the data of a redacted id does not come back, however late and often it is appended again`, async () => {
    const { log, db, expireAll } = await open();
    log.onGrowth(() => undefined);
    const [secret, early] = [newEntry("room/1", "secret"), newEntry("room/2", "secret")];
    await log.append([secret]);
    await log.redact([secret.id, early.id], "erasure");
    await expireAll();
    // One by one, as a follower does who is never far behind.
    const texts = async (): Promise<readonly string[]> => {
      const entries = (await readAll(log, 1)).filter(({ type }) => type !== redactedType);
      return [...new Set(entries.map(({ data }) => data))].sort();
    };
    await log.append([newEntry("room/1", "open"), newEntry("room/2", "open")]);
    assert.deepEqual(await texts(), ['"open"']);
    await log.append([secret, newEntry("room/1", "open"), early]);
    assert.deepEqual(await texts(), ['"open"', redactedData]);
    await db.transaction((tx) => log.appendIn(tx, [secret, early]));
    assert.deepEqual(await texts(), ['"open"', redactedData]);
    assert.equal(await log.redact([secret.id, early.id], "erasure"), 0);
  });

  test(`${driver}: one redaction erases more entries of a topic than a notice names`, async () => {
    const { log } = await open();
    const entries = Array.from({ length: redactIdsMax + 1 }, (_, i) => newEntry("room/1", i));
    await log.append(entries);
    const ids = entries.map(({ id }) => id);
    assert.equal(await log.redact([...ids, ...ids], "erasure"), redactIdsMax + 1);
    const [redacted, notices] = Object.values(
      Object.groupBy(await readAll(log, 2_000), ({ type }) => String(type === redactedType)),
    );
    assert.ok(redacted?.every(({ data }) => data === redactedData));
    assert.deepEqual(
      notices?.map((notice) => parseData<RedactedData>(notice).entry_ids.length),
      [redactIdsMax, 1],
    );
  });

  test(`${driver}: retention that outruns a reader is an explicit error, and the rest can still be read`, async () => {
    const { log, expireAll } = await open();
    await log.append([newEntry("room/1", "old"), newEntry("room/1", "old too")]);
    await expireAll();
    await log.append([newEntry("room/1", "new")]);
    const partition = partitionOf("room/1", log.partitions);
    await assert.rejects(log.read(partition, 0, 10), PositionExpiredError);
    const tail = (await log.tails())[partition] ?? 0;
    assert.deepEqual(
      (await log.read(partition, tail, 10)).entries.map(({ data }) => data),
      ['"new"'],
    );
  });

  const limitCases: [string, NewEntry][] = [
    ["a topic of 201 characters", newEntry("x".repeat(limits.topicLength + 1))],
    ["an empty topic", newEntry("")],
    ["a topic with a control character", newEntry("room/\u001e1")],
    ["a topic with a lone surrogate", newEntry("room/\ud800")],
    ["a type of 101 characters", { ...newEntry("room/1"), type: "x".repeat(limits.entryTypeLength + 1) }],
    ["an id that is no UUID", newEntry("room/1", {}, "1")],
    ["data of one byte too many", newEntry("room/1", "x".repeat(limits.entryDataBytes - 1))],
    ["data that looks like a tombstone", { ...newEntry("room/1"), data: redactedData }],
    ["data too large only in bytes", newEntry("room/1", "я".repeat(limits.entryDataBytes / 2))],
  ];
  for (const [what, entry] of limitCases) {
    test(`${driver}: refuses ${what}, and the whole call with it`, async () => {
      const { log, db } = await open();
      const refused = (error: unknown): boolean => error instanceof AppError && error.code === "invalid_body";
      await assert.rejects(log.append([newEntry("room/1"), entry]), refused);
      await assert.rejects(
        db.transaction((tx) => log.appendIn(tx, [newEntry("room/1"), entry])),
        refused,
      );
      assert.equal((await readAll(log)).length, 0);
    });
  }

  test(`${driver}: takes entries and calls that are just within the limits`, async () => {
    const { log } = await open();
    await log.append([newEntry("x".repeat(limits.topicLength), "x".repeat(limits.entryDataBytes - 2))]);
    await log.append(Array.from({ length: limits.appendEntries }, (_, i) => newEntry(`room/${i % 40}`, i)));
    await assert.rejects(
      log.append(Array.from({ length: limits.appendEntries + 1 }, () => newEntry("room/1"))),
      AppError,
    );
    assert.equal((await readAll(log, 1000)).length, limits.appendEntries + 1);
    assert.deepEqual(await log.append([]), []);
  });
}
