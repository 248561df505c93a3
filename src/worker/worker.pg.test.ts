import assert from "node:assert/strict";
import { test } from "node:test";
import { type Socket, connect, createServer } from "node:net";
import { eventually, openTestDatabase, testLog } from "../../test/harness.ts";
import type { Timer } from "../deps.ts";
import { type Db, openDb } from "../lib/db.ts";
import { whenAborted } from "../lib/aborted.ts";
import { listen } from "../lib/listen.ts";
import { systemClock } from "../lib/clock.ts";
import {
  type Cleanup,
  type Workshop,
  failing,
  openWorkshop,
  range,
  tally,
} from "../eventlog/consumer.fixture.ts";
import { newEntry } from "../eventlog/eventlog.contract.ts";
import { MemoryEventLog } from "../eventlog/memory.ts";
import { createMetrics } from "../observe/metrics.ts";
import { Worker } from "./worker.ts";

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

/** Statements of this database that run or wait, but for housekeeping of PostgreSQL's own and the one that asks. */
async function running(db: Db): Promise<number> {
  const { rowCount } = await db.query(
    `select from pg_stat_activity
      where datname = current_database() and state <> 'idle' and backend_type = 'client backend' and pid <> pg_backend_pid()`,
  );
  return rowCount;
}

test("a worker that stops does not wait for a statement that runs, which is cancelled, and another worker does the work", async (t) => {
  const { log, work, workWith, effects, db } = await open(t);
  const sleepy = tally({}, async (_, tx) => {
    await tx.query("select pg_sleep(60)");
  });
  const worker = await workWith({ renewEveryMs, stopGraceMs: 20 }, sleepy);
  await log.append([newEntry("room/1", 1)]);
  await eventually("it sleeps", async () => (await running(db)) > 0);
  const startedAt = performance.now();
  await worker.stop();
  assert.ok(performance.now() - startedAt < 3_000);
  await eventually("nothing runs any more", async () => (await running(db)) === 0);
  await work(tally());
  await eventually("handled by the other", async () => (await effects()).length === 1);
});

test("a worker that stops does not wait for a lock that somebody holds, wherever it needs it", async (t) => {
  for (const statement of [
    "lock table effect",
    "lock table eventlog_parked",
    "select from eventlog_group for update",
  ]) {
    const { log, workWith, effects, work, db } = await open(t);
    const worker = await workWith(
      { stopGraceMs: 20 },
      tally(
        {},
        failing(({ data }) => data === "0"),
      ),
    );
    const [locked, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const holding = db.transaction(async (tx) => {
      await tx.query(statement);
      locked.resolve();
      await released.promise;
    });
    await locked.promise;
    await log.append([newEntry("room/0", 0), newEntry("room/1", 1)]);
    await eventually("it waits for the lock", async () => {
      const { rowCount } = await db.query("select from pg_locks where not granted");
      return rowCount > 0;
    });
    const startedAt = performance.now();
    await worker.stop();
    assert.ok(performance.now() - startedAt < 4_000, statement);
    assert.equal(db.load().total - db.load().idle, 1, "only the one that holds the lock is in use");
    released.resolve();
    await holding;
    await work(tally());
    await eventually("another one does the work", async () => (await effects()).length >= 1);
  }
});

test("a worker stops soon although its database is silent", async (t) => {
  const { db, silence } = await openThroughProxy(t);
  const eventlog = new MemoryEventLog({ partitions: 16, clock: systemClock });
  const metrics = createMetrics({ process: false });
  const options = { db, eventlog, log: testLog, metrics, timers: [], stopGraceMs: 20 };
  const worker = new Worker({ ...options, consumers: [tally()] });
  await worker.start();
  silence();
  const startedAt = performance.now();
  await worker.stop();
  assert.ok(performance.now() - startedAt < 4_000);
});

test("of a database that does not answer one look at what is parked is waited for, not one for each second", async (t) => {
  const db = await openTestDatabase(t);
  let looks = 0;
  const silent: Db = {
    ...db,
    query: (text, ...rest) => {
      if (!text.includes("parked_changes")) return db.query(text, ...rest);
      looks++;
      return new Promise(() => undefined);
    },
  };
  t.mock.timers.enable({ apis: ["setInterval"] });
  const eventlog = new MemoryEventLog({ partitions: 16, clock: systemClock });
  const metrics = createMetrics({ process: false });
  const worker = new Worker({ db: silent, eventlog, log: testLog, metrics, timers: [], consumers: [] });
  t.after(() => worker.stop());
  await worker.start();
  t.mock.timers.tick(5_000);
  assert.equal(looks, 1);
});

test("a timer that stands apart holds up no other one, and is told to end when the worker leads no longer", async (t) => {
  const db = await openTestDatabase(t);
  const signals: AbortSignal[] = [];
  const released = Promise.withResolvers<void>();
  let runs = 0;
  const apart: Timer = {
    name: "apart",
    everyMs: 1,
    apart: true,
    run: (signal) => {
      signals.push(signal);
      return Promise.race([released.promise, whenAborted(signal)]);
    },
  };
  const other: Timer = { name: "other", everyMs: 1, run: async () => void runs++ };
  const worker = new Worker({
    db,
    eventlog: new MemoryEventLog({ partitions: 16, clock: systemClock }),
    log: testLog,
    metrics: createMetrics({ process: false }),
    consumers: [],
    timers: [apart, other],
  });
  t.after(() => worker.stop());
  await worker.start();
  await eventually("the other one runs on", () => runs >= 3);
  assert.deepEqual([signals.length, signals[0]?.aborted], [1, false]);
  // Both have asked who leads at the same moment: whichever was told first hears of the end, too.
  await db.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'tidings leader' and datname = current_database()",
  );
  await eventually("it is told", () => signals[0]?.aborted === true);
  await eventually("it is run again", () => signals.length === 2);
  released.resolve();
});

/** A database behind a proxy that can fall silent without closing anything. */
async function openThroughProxy(t: Cleanup) {
  const { address } = await openTestDatabase(t);
  const sockets: Socket[] = [];
  let silent = false;
  const server = createServer((client) => {
    const upstream = connect(`${address.host}/.s.PGSQL.${address.port}`);
    sockets.push(client, upstream);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on("error", () => undefined);
      from.on("data", (data) => void (silent || to.write(data)));
    }
  });
  const at = await listen(server, { host: "127.0.0.1", port: 0 }, "PORT");
  const db = openDb({ ...address, ...at }, { poolMax: 5, log: testLog });
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await db.close();
  });
  return { db, silence: () => void (silent = true) };
}
