import assert from "node:assert/strict";
import { test } from "node:test";
import { type Timer } from "../deps.ts";
import { type Cleanup, recordingLog } from "../eventlog/consumer.fixture.ts";
import { eventually, openTestDatabase, testLog } from "../../test/harness.ts";
import { Leader } from "./leader.ts";
import { TimerLoop, type TimerLoopDeps } from "./timers.ts";

/** Timers on a process that leads; stopped after the test. */
async function run(t: Cleanup, timers: readonly Timer[], options: Partial<TimerLoopDeps> = {}) {
  const closing: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const close of closing) await close();
  });
  const db = await openTestDatabase(t);
  const leader = new Leader(db.address, testLog);
  const loop = new TimerLoop(timers, { leader, log: testLog, ...options });
  closing.push(
    () => loop.stop(),
    () => leader.close(),
  );
  loop.start();
  return { db, loop };
}

/** A timer that hangs, and what became of its runs. */
function hanging(maxMs?: number) {
  const signals: AbortSignal[] = [];
  const timer: Timer = {
    name: "hangs",
    everyMs: 1,
    ...(maxMs === undefined ? {} : { maxMs }),
    run: (signal) => {
      signals.push(signal);
      return new Promise(() => undefined);
    },
  };
  return { timer, signals };
}

test("a timer that takes too long is told to end, stops no other timer, and is not run beside itself", async (t) => {
  const { timer, signals } = hanging(10);
  let runs = 0;
  const other: Timer = { name: "other", everyMs: 1, run: async () => void runs++ };
  const recorded = recordingLog("error");
  await run(t, [timer, other], { log: recorded.log, stopGraceMs: 10 });
  await eventually("the other one runs on", () => runs >= 2);
  assert.deepEqual([signals.length, signals[0]?.aborted], [1, true]);
  assert.ok(recorded.lines.some((line) => line.includes("it took longer than 10 ms")));
  assert.ok(recorded.lines.some((line) => line.includes("its last run has not ended")));
});

test("stopping waits for a run that ends in time, and not for one that hangs", async (t) => {
  const { timer, signals } = hanging();
  const { loop } = await run(t, [timer], { stopGraceMs: 10 });
  await eventually("it hangs", () => signals.length === 1);
  await loop.stop();
  assert.equal(signals[0]?.aborted, true);

  const released = Promise.withResolvers<void>();
  let [begun, ended] = [false, false];
  const slow: Timer = {
    name: "slow",
    everyMs: 1,
    run: async () => {
      begun = true;
      await released.promise;
      ended = true;
    },
  };
  const second = await run(t, [slow]);
  await eventually("it runs", () => begun);
  const stopped = second.loop.stop();
  released.resolve();
  await stopped;
  assert.ok(ended);
});

test("a run is told to end when its process leads no longer", async (t) => {
  const { timer, signals } = hanging();
  const { db } = await run(t, [timer], { stopGraceMs: 10 });
  await eventually("it runs", () => signals.length === 1);
  assert.equal(signals[0]?.aborted, false);
  await db.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'tidings leader' and datname = current_database()",
  );
  await eventually("it is told", () => signals[0]?.aborted === true);
});

test("stopping does not wait for a database that does not say who leads", async () => {
  let asked = false;
  const leader = {
    lost: new AbortController().signal,
    leads: () => {
      asked = true;
      return new Promise<boolean>(() => undefined);
    },
  };
  const timer: Timer = {
    name: "never",
    everyMs: 1,
    run: () => Promise.reject(new Error("it does not lead")),
  };
  const loop = new TimerLoop([timer], { leader, log: testLog });
  loop.start();
  await eventually("it has asked", () => asked);
  await loop.stop();
});

test("of two that ask at once who leads, each hears of the end", async (t) => {
  const db = await openTestDatabase(t);
  const leader = new Leader(db.address, testLog);
  t.after(() => leader.close());
  const asked = [leader.leads(), leader.leads()].map(async (leads) => [await leads, leader.lost] as const);
  const [one, other] = await Promise.all(asked);
  assert.deepEqual([one?.[0], other?.[0]], [true, true]);
  assert.equal(one?.[1], other?.[1]);
});
