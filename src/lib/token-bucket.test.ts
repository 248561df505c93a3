import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createBuckets, createRateHeaders } from "./token-bucket.ts";

function movableClock(startMs = 1_000_000) {
  let nowMs = startMs;
  return {
    now: () => nowMs,
    move: (ms: number) => {
      nowMs += ms;
    },
  };
}

const rates = fc.record({
  perSecond: fc.double({ min: 0.1, max: 10_000, noNaN: true }),
  burst: fc.integer({ min: 1, max: 500 }),
});

test("in no stretch of time are more tokens given than the burst plus what came back", () => {
  const steps = fc.array(
    fc.record({ waitMs: fc.integer({ min: 0, max: 2_000 }), n: fc.integer({ min: 1, max: 20 }) }),
    { minLength: 1, maxLength: 60, size: "max" },
  );
  fc.assert(
    fc.property(rates, steps, (rate, steps) => {
      const clock = movableClock();
      const buckets = createBuckets({ rate, keysMax: 10, clock });
      const given = steps.map(({ waitMs, n }) => {
        clock.move(waitMs);
        return { atMs: clock.now(), n: buckets.take("a", n).allowed ? n : 0 };
      });
      for (let from = 0; from < given.length; from++) {
        let sum = 0;
        for (let to = from; to < given.length; to++) {
          sum += given[to]!.n;
          const seconds = (given[to]!.atMs - given[from]!.atMs) / 1_000;
          assert.ok(sum <= rate.burst + rate.perSecond * seconds + 1e-6);
        }
      }
    }),
  );
});

test("waiting for as long as a refusal says makes the same call succeed", () => {
  fc.assert(
    fc.property(rates, fc.integer({ min: 1, max: 500 }), (rate, wanted) => {
      const n = Math.min(wanted, rate.burst);
      const clock = movableClock();
      const buckets = createBuckets({ rate, keysMax: 10, clock });
      buckets.take("a", rate.burst);
      const refused = buckets.take("a", n);
      assert.equal(refused.allowed, false);
      clock.move(refused.retryAfterS * 1_000);
      assert.equal(buckets.take("a", n).allowed, true);
    }),
  );
});

test("a bucket is full again after the seconds that it announced", () => {
  const clock = movableClock();
  const buckets = createBuckets({ rate: { perSecond: 3, burst: 10 }, keysMax: 10, clock });
  const taken = buckets.take("a", 7);
  assert.deepEqual(taken, { allowed: true, remaining: 3, limit: 10, resetS: 3, retryAfterS: 0 });
  clock.move(3_000);
  assert.equal(buckets.take("a", 10).allowed, true);
});

test("more than the burst is never allowed and costs nothing", () => {
  const buckets = createBuckets({ rate: { perSecond: 1, burst: 5 }, keysMax: 10, clock: movableClock() });
  assert.equal(buckets.take("a", 6).allowed, false);
  assert.equal(buckets.take("a", 5).allowed, true);
});

test("what is given back can be taken again, and never makes more than the burst", () => {
  const buckets = createBuckets({ rate: { perSecond: 1, burst: 3 }, keysMax: 10, clock: movableClock() });
  buckets.take("a", 3);
  buckets.give("a");
  assert.equal(buckets.take("a", 2).allowed, false);
  assert.equal(buckets.take("a").allowed, true);
  buckets.give("a", 100);
  assert.equal(buckets.take("a", 3).allowed, true);
  assert.equal(buckets.take("a").allowed, false);
  buckets.give("b");
  assert.equal(buckets.size, 1, "nothing is remembered of a bucket that is full");
});

test("keys do not share tokens", () => {
  const buckets = createBuckets({ rate: { perSecond: 1, burst: 1 }, keysMax: 10, clock: movableClock() });
  assert.equal(buckets.take("a").allowed, true);
  assert.equal(buckets.take("b").allowed, true);
  assert.equal(buckets.take("a").allowed, false);
});

test("a clock that is set back neither refills nor blocks", () => {
  const clock = movableClock();
  const buckets = createBuckets({ rate: { perSecond: 1, burst: 2 }, keysMax: 10, clock });
  buckets.take("a", 2);
  clock.move(-3_600_000);
  assert.equal(buckets.take("a").allowed, false);
  clock.move(1_000);
  assert.equal(buckets.take("a").allowed, true);
});

test("one key more than the bound forgets the key that was used longest ago, and only that", () => {
  const buckets = createBuckets({ rate: { perSecond: 0.001, burst: 1 }, keysMax: 3, clock: movableClock() });
  for (const key of ["a", "b", "c", "a"]) buckets.take(key);
  assert.equal(buckets.take("d").allowed, true);
  assert.equal(buckets.size, 3);
  assert.equal(buckets.take("a").allowed, false, "a was used after b and is remembered");
  assert.equal(buckets.take("c").allowed, false);
  assert.equal(buckets.take("b").allowed, true, "b was forgotten and starts full");
  assert.equal(buckets.size, 3);
});

test("the keys that are kept are always the most recently used ones", () => {
  const keys = fc.array(fc.constantFrom("a", "b", "c", "d", "e", "f"), { maxLength: 80, size: "max" });
  fc.assert(
    fc.property(keys, fc.integer({ min: 1, max: 5 }), (keys, keysMax) => {
      const buckets = createBuckets({ rate: { perSecond: 0.001, burst: 1 }, keysMax, clock: movableClock() });
      let kept: string[] = [];
      for (const key of keys) {
        assert.equal(buckets.take(key).allowed, !kept.includes(key));
        kept = [...kept.filter((other) => other !== key), key].slice(-keysMax);
        assert.equal(buckets.size, kept.length);
      }
    }),
  );
});

test("the headers name the policy, its quota and window, what remains and when it resets", () => {
  const rate = { perSecond: 4, burst: 10 };
  const buckets = createBuckets({ rate, keysMax: 10, clock: movableClock() });
  assert.deepEqual(createRateHeaders("ip", rate)(buckets.take("a")), {
    "RateLimit-Policy": '"ip";q=10;w=3',
    RateLimit: '"ip";r=9;t=1',
  });
});
