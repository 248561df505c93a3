import assert from "node:assert/strict";
import { test } from "node:test";
import { openTestDatabase, testLog } from "../../test/harness.ts";
import { systemClock } from "../lib/clock.ts";
import type { Db } from "../lib/db.ts";
import { createMetrics } from "../observe/metrics.ts";
import type { Consumer } from "./consumer.ts";
import { type Cleanup, parkMany, tally, topicsIn } from "./consumer.fixture.ts";
import { newEntry } from "./eventlog.contract.ts";
import type { Entry } from "./eventlog.ts";
import { ensureGroup } from "./leases.ts";
import { MemoryEventLog } from "./memory.ts";
import { partitionOf } from "./murmur2.ts";
import { park, parkedMax } from "./parking.ts";
import { RetryStage, topicsPerLook } from "./retry-stage.ts";
import { OwnedPartitions } from "./runner-partitions.ts";

const topic = "room/1";
const partition = partitionOf(topic, 16);

/** A retry stage that owns the topic's partition, on a database that counts the statements outside transactions. */
async function openStage(t: Cleanup, overrides: Partial<Consumer> = {}, before?: () => Promise<void>) {
  const db = await openTestDatabase(t);
  await db.query(
    "create table effect (no bigint generated always as identity, entry_id uuid, topic text, data text)",
  );
  await ensureGroup(db, "tally", Array.from({ length: 16 }).fill(0) as number[]);
  await db.query(
    "update eventlog_group set owner = 'me', epoch = 1, lease_until = now() + interval '1 hour'",
  );
  let statements = 0;
  const counting: Db = {
    ...db,
    query: (...statement) => {
      statements++;
      return db.query(...statement);
    },
  };
  const deps = {
    db: counting,
    eventlog: new MemoryEventLog({ partitions: 16, clock: systemClock }),
    log: testLog,
    metrics: createMetrics({ process: false }),
  };
  const stage = new RetryStage(tally(overrides, before), deps, new AbortController().signal);
  const owned = new OwnedPartitions();
  void owned.sync([{ group: "tally", partition, epoch: 1, checkpoint: 0 }]);
  owned.takeOver();
  return {
    db,
    stage,
    run: () => stage.run(owned.all),
    statements: () => statements,
    effects: async () => (await db.query("select 1 from effect")).rowCount,
  };
}

test("behind a dead letter nothing is looked for, however much waits there", async (t) => {
  const { db, stage, run, statements } = await openStage(t);
  await parkMany(db, { group: "tally", topic, state: "parked", count: parkedMax });
  await parkMany(db, { group: "tally", topic, state: "dead", count: 1 });
  assert.equal(await run(), false);
  assert.equal(stage.waiting(partition), parkedMax);
  assert.ok(stage.holds({ partition, topic }));
  assert.ok(stage.nextLookMs > 50_000, "but for the one look a minute");
  const before = statements();
  for (let i = 0; i < 100; i++) assert.equal(await run(), false);
  assert.equal(statements(), before);
});

test("it sleeps until the first entry of a topic is due, and not for those behind it", async (t) => {
  const { db, stage, run } = await openStage(t);
  await parkMany(db, { group: "tally", topic, state: "parked", count: 3 });
  await db.query(
    `update eventlog_parked set next_at = now() + interval '30 s'
      where entry_offset = (select min(entry_offset) from eventlog_parked)`,
  );
  assert.equal(await run(), false);
  assert.ok(stage.nextLookMs > 25_000 && stage.nextLookMs <= 30_000, `${stage.nextLookMs}`);
});

test("what a person retries is noticed when told, and handled with those behind it", async (t) => {
  const { db, stage, run, effects } = await openStage(t);
  await parkMany(db, { group: "tally", topic, state: "parked", count: 2 });
  await parkMany(db, { group: "tally", topic, state: "dead", count: 1 });
  await run();
  await db.query("update eventlog_parked set state = 'parked', attempts = 0, next_at = now()");
  assert.equal(await run(), false, "nobody has told");
  stage.forget([partition]);
  assert.equal(stage.nextLookMs, 0);
  assert.equal(await run(), true);
  assert.equal(await effects(), 3);
  assert.deepEqual([stage.holds({ partition, topic }), stage.waiting(partition)], [false, 0]);
  assert.equal(stage.nextLookMs, Number.POSITIVE_INFINITY);
});

test("a dead letter that is met on the way holds those behind it, or lets them pass where the group skips", async (t) => {
  for (const [onPoison, handled] of [
    ["quarantine-topic", 2],
    ["skip", 5],
  ] as const) {
    const { db, stage, run, effects } = await openStage(t, { onPoison });
    await parkMany(db, { group: "tally", topic, state: "parked", count: 3 });
    await parkMany(db, { group: "tally", topic, state: "dead", count: 1 });
    await parkMany(db, { group: "tally", topic, state: "parked", count: 2 });
    while (await run());
    assert.equal(await effects(), handled);
    assert.equal(stage.holds({ partition, topic }), onPoison === "quarantine-topic");
    assert.equal(stage.waiting(partition), 5 - handled);
    assert.ok(stage.nextLookMs > 50_000);
  }
});

test("a retry locks its lease's row only when its handler has ended, and rolls back for a stale owner", async (t) => {
  const locks: Promise<unknown>[] = [];
  const { db, run, effects } = await openStage(t, {}, async () => {
    await db.query("select from eventlog_group order by part for update nowait");
    locks.push(db.query("update eventlog_group set epoch = epoch + 1, owner = 'thief'"));
    await Promise.all(locks);
  });
  await parkMany(db, { group: "tally", topic, state: "parked", count: 1 });
  await assert.rejects(run(), { name: "FencedError" });
  assert.equal(locks.length, 1, "the row was free while the handler ran");
  assert.equal(await effects(), 0);
});

test("one look tries so many topics that are due, and the next one the others", async (t) => {
  const { db, run, effects } = await openStage(t);
  for (const each of topicsIn(partition, topicsPerLook + 1))
    await parkMany(db, { group: "tally", topic: each, state: "parked", count: 1 });
  assert.equal(await run(), true);
  assert.equal(await effects(), topicsPerLook);
  assert.equal(await run(), true);
  assert.equal(await effects(), topicsPerLook + 1);
});

test("what a replay parks before a dead letter is tried at once, what comes behind it is not", async (t) => {
  const { db, stage, run, effects } = await openStage(t);
  await parkMany(db, { group: "tally", topic, state: "dead", count: 1 });
  assert.equal(await run(), false);
  const entry = (offset: number): Entry => ({
    ...newEntry(topic),
    partition,
    offset,
    time: 0,
    trace: undefined,
  });
  const [before, behind] = [entry(-5), entry(5)];
  for (const [one, first] of [
    [behind, false],
    [before, true],
  ] as const) {
    const item = { entry: one, failure: undefined };
    const [parked, ...rest] = await park(db, "tally", [item]);
    assert.deepEqual([parked, rest], [{ partition, offset: one.offset, first }, []]);
    assert.deepEqual(await park(db, "tally", [item]), [], "it was parked before");
    stage.follow(one, first);
    assert.equal(await run(), first);
  }
  while (await run());
  assert.equal(await effects(), 1);
  assert.deepEqual([stage.waiting(partition), stage.holds({ partition, topic })], [1, true]);
});
