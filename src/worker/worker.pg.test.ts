import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, openTestDatabase } from "../../test/harness.ts";
import type { Db } from "../lib/db.ts";
import { systemClock } from "../lib/clock.ts";
import { type Cleanup, type Workshop, openWorkshop, range, tally } from "../eventlog/consumer.fixture.ts";
import { newEntry } from "../eventlog/eventlog.contract.ts";
import { MemoryEventLog } from "../eventlog/memory.ts";

/** Milliseconds between renewals here, so that a few of them take no time. */
const renewEveryMs = 50;

function open(t: Cleanup): Promise<Workshop> {
  return openWorkshop(t, async () => ({
    db: await openTestDatabase(t),
    log: new MemoryEventLog({ partitions: 16, clock: systemClock }),
    expireAll: () => Promise.resolve(),
  }));
}

/** How many partitions of the group each owner has. */
async function shares(db: Db, group: string): Promise<string> {
  const { rows } = await db.query<{ held: number }>(
    "select count(*) as held from eventlog_group where group_name = $1 and owner is not null group by owner order by 1",
    [group],
  );
  return rows.map(({ held }) => held).join("+");
}

/** The end of the lease that ends first, milliseconds. */
async function firstEnd(db: Db): Promise<number> {
  const { rows } = await db.query<{ ends: number }>(
    "select (extract(epoch from min(lease_until)) * 1000)::float8 as ends from eventlog_group where owner is not null",
  );
  return rows[0]?.ends ?? 0;
}

/** A consumer of entries `test.slow` whose handler ends when it is released. */
function slow() {
  const [begun, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const consumer = tally({ group: "slow", types: ["test.slow"] }, () => {
    begun.resolve();
    return released.promise;
  });
  return { consumer, begun: begun.promise, release: () => released.resolve() };
}

test("handing over waits for a long batch without stopping renewals, and other groups are handed over at once", async (t) => {
  const { log, workWith, db, effects } = await open(t);
  const { consumer, begun, release } = slow();
  await workWith({ renewEveryMs }, consumer, tally());
  await log.append([{ ...newEntry("room/1"), type: "test.slow" }]);
  await begun;
  await workWith({ renewEveryMs }, tally({ group: "slow", types: ["test.slow"] }), tally());
  await eventually("the idle group is shared", async () => (await shares(db, "tally")) === "8+8");
  assert.equal(await shares(db, "slow"), "16");
  const ends = await firstEnd(db);
  await eventually("all leases are renewed meanwhile", async () => (await firstEnd(db)) > ends + 200);
  release();
  await eventually("the other one is shared too", async () => (await shares(db, "slow")) === "8+8");
  await eventually("the batch was done once", async () => (await effects()).length === 1);
});

test("leases outlive a pool of which every connection is busy", async (t) => {
  const { db, workWith } = await open(t);
  await workWith({ renewEveryMs }, tally());
  const [busy, released] = [
    range(10).map(() => Promise.withResolvers<void>()),
    Promise.withResolvers<void>(),
  ];
  const holding = busy.map(({ resolve }) =>
    db.transaction(async (tx) => {
      const seen = await tx.query<{ ends: number }>(
        "select (extract(epoch from min(lease_until)) * 1000)::float8 as ends from eventlog_group where owner is not null",
      );
      resolve();
      await released.promise;
      const again = await tx.query<{ ends: number }>(
        "select (extract(epoch from min(lease_until)) * 1000)::float8 as ends from eventlog_group where owner is not null",
      );
      return (again.rows[0]?.ends ?? 0) - (seen.rows[0]?.ends ?? 0);
    }),
  );
  await Promise.all(busy.map(({ promise }) => promise));
  await eventually("the pool is exhausted and some renewals are due", () => db.load().waiting > 0);
  released.resolve();
  for (const renewedMs of await Promise.all(holding)) assert.ok(renewedMs > 0);
});

test("a group that only one of two workers knows is worked on whole", async (t) => {
  const { db, workWith } = await open(t);
  await workWith({ renewEveryMs }, tally());
  await workWith({ renewEveryMs }, tally(), tally({ group: "new" }));
  await eventually("the known group is shared", async () => (await shares(db, "tally")) === "8+8");
  await eventually("the new one is not", async () => (await shares(db, "new")) === "16");
});

test("a partition that is free but locked by a batch is claimed soon after, not at the next renewal", async (t) => {
  const { db, work } = await open(t);
  await db.query(
    "insert into eventlog_group (group_name, part, checkpoint) select 'tally', generate_series(0, 15), 0",
  );
  const released = Promise.withResolvers<void>();
  const locked = Promise.withResolvers<void>();
  const batch = db.transaction(async (tx) => {
    await tx.query("select from eventlog_group where part < 8 for no key update");
    locked.resolve();
    await released.promise;
  });
  await locked.promise;
  await work(tally());
  assert.equal(await shares(db, "tally"), "8");
  released.resolve();
  await batch;
  await eventually("all of them", async () => (await shares(db, "tally")) === "16", 1_500);
});

test("a worker that stops gives back what it has claimed, and does not wait for a handler that hangs", async (t) => {
  const { log, workWith, db } = await open(t);
  const { consumer, begun } = slow();
  const worker = await workWith({ renewEveryMs, stopGraceMs: 20 }, consumer, tally());
  await log.append([{ ...newEntry("room/1"), type: "test.slow" }]);
  await begun;
  await db.query("update eventlog_group set owner = null, lease_until = '-infinity' where part = 5");
  await eventually("claimed again", async () => (await shares(db, "slow")) === "16");
  await worker.stop();
  assert.deepEqual([await shares(db, "slow"), await shares(db, "tally")], ["", ""]);
  assert.equal((await db.query("select from eventlog_member")).rowCount, 0);
});
