import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, openTestDatabase, testLog } from "../../test/harness.ts";
import { systemClock } from "../lib/clock.ts";
import { groupStates, stoppedPartitions } from "./consumer-admin.ts";
import { type Cleanup, parkMany, topicsIn } from "./consumer.fixture.ts";
import { newEntry } from "./eventlog.contract.ts";
import { ensureGroup } from "./leases.ts";
import { parkedMax } from "./parking.ts";
import { openPostgresEventLog } from "./postgres.ts";

/** A log whose retention removes everything that a closed segment holds, and a group that has read nothing. */
async function open(t: Cleanup) {
  const closing: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const close of closing) await close();
  });
  const db = await openTestDatabase(t);
  const log = await openPostgresEventLog(db, {
    partitions: 16,
    queueEntriesMax: 20_000,
    appendTimeoutMs: 5_000,
    notify: true,
    retention: { openAfterMs: 0, openAfterEntries: 1, keepMs: -60_000, keepMaxMs: -60_000 },
    clock: systemClock,
    log: testLog,
  });
  closing.push(() => log.close());
  await ensureGroup(db, "tally", await log.tails());
  const state = async () => {
    const [group] = await groupStates(db);
    assert.ok(group !== undefined);
    return group;
  };
  return { db, log, state };
}

const [topic = ""] = topicsIn(3, 1);
const [other = ""] = topicsIn(4, 1);

test("lag is known by partition, and the group's is the sum of the entries and the greatest age", async (t) => {
  const { db, log, state } = await open(t);
  await log.append([newEntry(topic), newEntry(topic), newEntry(other)]);
  await eventually("time has passed", async () => (await state()).lagSeconds > 0);
  await db.query("update eventlog_group set checkpoint = 1 where part = 3");
  const { partitions, lagEntries, lagSeconds } = await state();
  assert.equal(lagEntries, 2);
  const behind = partitions.filter((one) => one.lagEntries > 0);
  assert.deepEqual(
    behind.map((one) => [one.partition, one.lagEntries, one.stopped]),
    [
      [3, 1, undefined],
      [4, 1, undefined],
    ],
  );
  assert.equal(lagSeconds, Math.max(...behind.map((one) => one.lagSeconds)));
  assert.equal(partitions.length, 16);
});

test("a partition that retention has outrun is called expired, and its lag grows", async (t) => {
  const { log, state } = await open(t);
  await log.append([newEntry(topic, "old")]);
  assert.deepEqual(stoppedPartitions(await state()), { expired: 0, full: 0 });
  await log.maintain();
  const expired = async () => {
    const group = await state();
    assert.deepEqual(stoppedPartitions(group), { expired: 1, full: 0 });
    return group;
  };
  await eventually(
    "it lags, although nothing of it is left",
    async () => (await expired()).lagSeconds > 0.05,
  );
  await log.append([newEntry(topic, "new")]);
  await eventually("it lags by more than the new entry", async () => (await expired()).lagSeconds > 0.1);
  // Counted in offsets: the append that met a new segment has left a gap.
  const lag = (await expired()).partitions[3]?.lagEntries ?? 0;
  assert.ok(lag >= 2 && lag <= 3, `${lag}`);
});

test("a partition is called full from the bound on, and dead letters do not count", async (t) => {
  const { db, state } = await open(t);
  await parkMany(db, { group: "tally", topic, state: "dead", count: 5 });
  await parkMany(db, { group: "tally", topic, state: "parked", count: parkedMax - 1 });
  assert.equal((await state()).partitions[3]?.stopped, undefined);
  await parkMany(db, { group: "tally", topic, state: "parked", count: 1 });
  const { partitions, parked, dead } = await state();
  assert.deepEqual([partitions[3]?.stopped, partitions[4]?.stopped], ["full", undefined]);
  assert.deepEqual([parked, dead, partitions[3]?.parked], [parkedMax, 5, parkedMax]);
});
