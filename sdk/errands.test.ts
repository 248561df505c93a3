import assert from "node:assert/strict";
import { test } from "node:test";
import { Errands, errandsInFlightMax } from "./errands.ts";
import { TidingsError, clientError } from "./errors.ts";
import { ManualClock, settle } from "./world.fixture.ts";

function start() {
  const clock = new ManualClock();
  const errors: unknown[] = [];
  const errands = new Errands({ clock, random: () => 0.5, onError: (error) => errors.push(error) });
  const runs: (PromiseWithResolvers<void> & { readonly key: string })[] = [];
  const run = (key: string): void =>
    errands.run(key, () => {
      const one = { key, ...Promise.withResolvers<void>() };
      runs.push(one);
      return one.promise;
    });
  return { clock, errors, errands, runs, run };
}

test("a key's work is done once at a time, and once more when it was asked for meanwhile", async () => {
  const { runs, run } = start();
  for (let i = 0; i < 5; i++) run("rooms");
  assert.equal(runs.length, 1);
  runs[0]?.resolve();
  await settle();
  assert.equal(runs.length, 2);
  runs[1]?.resolve();
  await settle();
  assert.equal(runs.length, 2);
  run("rooms");
  assert.equal(runs.length, 3);
});

test("so many are done at the same time, and one more waits", async () => {
  const { runs, run } = start();
  for (let i = 0; i <= errandsInFlightMax; i++) run(`room ${i}`);
  assert.equal(runs.length, errandsInFlightMax);
  runs[1]?.resolve();
  await settle();
  assert.equal(runs.at(-1)?.key, `room ${errandsInFlightMax}`);
});

test("what fails is tried again after growing pauses, until it succeeds", async () => {
  const { clock, runs, run, errors } = start();
  run("rooms");
  for (const pauseMs of [250, 500, 1_000, 2_000]) {
    runs.at(-1)?.reject(clientError("network"));
    const before = runs.length;
    await clock.pass(pauseMs - 1);
    assert.equal(runs.length, before);
    await clock.pass(1);
    assert.equal(runs.length, before + 1);
  }
  runs.at(-1)?.resolve();
  await settle();
  assert.equal(clock.timers, 0);
  assert.deepEqual(errors, []);
});

test("a connection that comes back ends pauses, but not those that the server has asked for", async () => {
  const { clock, errands, runs, run } = start();
  run("own pause");
  runs[0]?.reject(clientError("signed_out"));
  run("asked pause");
  const busy = { code: "overloaded", status: 503, retry: "later", message: "" } as const;
  runs[1]?.reject(new TidingsError({ ...busy, retryAfterS: 30 }));
  await settle();
  errands.hurry();
  assert.deepEqual(
    runs.map(({ key }) => key),
    ["own pause", "asked pause", "own pause"],
  );
  runs[2]?.resolve();
  await clock.pass(30_250);
  assert.equal(runs.at(-1)?.key, "asked pause");
  assert.equal(clock.timers, 0);
});

test("what is refused, and what is a mistake of the program, is told and given up", async () => {
  const { clock, runs, run, errors } = start();
  const refusal = new TidingsError({ code: "invalid_query", status: 400, retry: "no", message: "" });
  const mistake = new TypeError("x is not a function");
  for (const reason of [refusal, mistake]) {
    run("rooms");
    runs.at(-1)?.reject(reason);
    await settle();
  }
  assert.deepEqual(errors, [refusal, mistake]);
  assert.equal(runs.length, 2);
  assert.equal(clock.timers, 0);
});

test("after stop nothing is done", async () => {
  const { clock, errands, runs, run, errors } = start();
  run("a");
  run("b");
  runs[0]?.reject(clientError("network"));
  await settle();
  errands.stop();
  runs[1]?.reject(new Error("late"));
  run("c");
  await clock.pass(60_000);
  assert.equal(runs.length, 2);
  assert.deepEqual(errors, []);
  assert.equal(clock.timers, 0);
});

test("a pause ends what is being done, which begins anew after it", async () => {
  const { clock, errands, errors } = start();
  const signals: AbortSignal[] = [];
  const work = (signal: AbortSignal): Promise<void> => {
    signals.push(signal);
    return new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(clientError("aborted")), { once: true });
    });
  };
  errands.run("a", work);
  errands.pause();
  await settle();
  assert.deepEqual([signals.length, signals[0]?.aborted, clock.timers], [1, true, 0]);
  errands.hurry();
  await settle();
  assert.deepEqual([signals.length, signals[1]?.aborted], [2, false]);
  errands.stop();
  await settle();
  assert.deepEqual([signals.length, signals[1]?.aborted, clock.timers], [2, true, 0]);
  assert.deepEqual(errors, []);
});
