import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, openTestDatabase, testLog } from "../../test/harness.ts";
import { systemClock } from "../lib/clock.ts";
import { createMetrics } from "../observe/metrics.ts";
import { openWorkshop, range, tally } from "./consumer.fixture.ts";
import { newEntry } from "./eventlog.contract.ts";
import { MemoryEventLog } from "./memory.ts";
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
