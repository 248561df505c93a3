import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, openTestDatabase, testLog } from "../../test/harness.ts";
import { systemClock } from "../lib/clock.ts";
import { idleInTransactionMaxMs } from "../lib/db.ts";
import { createMetrics } from "../observe/metrics.ts";
import { openWorkshop, range, tally } from "./consumer.fixture.ts";
import { newEntry } from "./eventlog.contract.ts";
import { MemoryEventLog } from "./memory.ts";
import { partitionOf } from "./murmur2.ts";
import { openLog } from "./postgres.fixture.ts";
import { overloadAttempts } from "./runner-batch.ts";
import { GroupRunner } from "./runner.ts";

test("a runner that owns nothing waits to be told, also when it is told of changes", async (t) => {
  const db = await openTestDatabase(t);
  const eventlog = new MemoryEventLog({ partitions: 16, clock: systemClock });
  const metrics = createMetrics({ process: false });
  const runner = new GroupRunner(tally(), { db, eventlog, log: testLog, metrics }, () => undefined);
  t.after(() => runner.stop());
  const timers = t.mock.method(globalThis, "setTimeout");
  runner.start();
  runner.nudge([0, 1]);
  await db.query("select pg_sleep(0.1)");
  const short = timers.mock.calls.filter(({ arguments: [, ms] }) => (ms ?? 0) < 100);
  assert.ok(short.length < 5, `${short.length} timers`);
});

test("of a batch that takes too long as a whole and in every part, one entry is blamed at a time", async (t) => {
  const { log, work, db } = await openWorkshop(t, async () => ({
    db: await openTestDatabase(t),
    log: new MemoryEventLog({ partitions: 16, clock: systemClock }),
    expireAll: () => Promise.resolve(),
  }));
  const batches: number[] = [];
  const consumer = tally({ attemptsMax: 1 }, async (entries, tx) => {
    batches.push(entries.length);
    await tx.query("do $$ begin raise exception 'out of memory' using errcode = '53200'; end $$");
  });
  await log.append(range(8).map((i) => newEntry("room/1", i)));
  await work({ ...consumer, onPoison: "skip" });
  await eventually("two dead letters", async () => {
    const { rows } = await db.query<{ dead: number }>("select count(*) as dead from eventlog_parked");
    return rows[0]?.dead === 2;
  });
  // Eight and seven are the batch as a whole; fewer, the search for one entry in it.
  const wholes = batches.filter((count) => count >= 7);
  assert.equal(wholes.length, 2 * overloadAttempts, batches.join(" "));
});

test("what is appended after a failover that lost entries is handled, and the consumer forgets what it remembered", async (t) => {
  const { log, db, workWith, effects } = await openWorkshop(t, async () => {
    const db = await openTestDatabase(t);
    return { db, log: await openLog(db), expireAll: () => Promise.resolve() };
  });
  const partition = partitionOf("room/1", 16);
  let takenOver = 0;
  await workWith({ renewEveryMs: 50 }, { ...tally(), onTakeOver: () => void takenOver++ });
  await log.append(range(10, 1).map((i) => newEntry("room/1", i)));
  await eventually("handled", async () => (await effects()).length === 10);
  const [before] = [takenOver];
  // The standby had the first five entries, and what was done with them.
  await db.transaction(async (tx) => {
    await tx.query("delete from effect where data::int > 5");
    await tx.query("delete from eventlog_entry where part = $1 and entry_offset > 5", [partition]);
    await tx.query("update eventlog_partition set next_offset = 6 where part = $1", [partition]);
    await tx.query("update eventlog_group set checkpoint = 5 where part = $1", [partition]);
  });
  await db.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
  );
  await log.append(range(3, 100).map((i) => newEntry("room/1", i)));
  await eventually("the new ones are handled", async () => (await effects()).length === 8);
  assert.deepEqual(await effects(), [...range(5, 1), ...range(3, 100)]);
  assert.ok(takenOver > before);
});

test("a handler may take no longer than a transaction may be silent", async (t) => {
  const db = await openTestDatabase(t);
  const eventlog = new MemoryEventLog({ partitions: 16, clock: systemClock });
  const deps = { db, eventlog, log: testLog, metrics: createMetrics({ process: false }) };
  const open = (handleMaxMs: number) => new GroupRunner(tally({ handleMaxMs }), deps, () => undefined);
  assert.ok(open(idleInTransactionMaxMs));
  assert.throws(() => open(idleInTransactionMaxMs + 1), RangeError);
});
