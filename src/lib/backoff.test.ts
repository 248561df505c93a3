import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import fc from "fast-check";
import { backoffMs, pause } from "./backoff.ts";

test("each pause lies in the upper half of its step, and no step is above the ceiling", () => {
  const rules = fc.record({
    baseMs: fc.integer({ min: 1, max: 1_000 }),
    factor: fc.integer({ min: 1, max: 10 }),
    maxMs: fc.integer({ min: 1, max: 60_000 }),
  });
  fc.assert(
    fc.property(rules, fc.integer({ min: 1, max: 1_000 }), (rule, attempt) => {
      const step = Math.min(rule.maxMs, rule.baseMs * rule.factor ** (attempt - 1));
      const ms = backoffMs(attempt, rule);
      assert.ok(ms >= step / 2 && ms <= step, `${ms} of ${step}`);
    }),
  );
});

test("pauses of the same attempt differ, so that those who failed together do not come back together", () => {
  const rule = { baseMs: 1_000, factor: 2, maxMs: 60_000 };
  assert.ok(new Set(Array.from({ length: 100 }, () => backoffMs(3, rule))).size > 90);
});

test("a pause ends at once when its signal is aborted, before or meanwhile", async () => {
  const aborted = AbortSignal.abort();
  await pause(60_000, aborted);
  const controller = new AbortController();
  const paused = pause(60_000, controller.signal);
  assert.equal(getEventListeners(controller.signal, "abort").length, 1);
  controller.abort();
  await paused;
});

test("a pause that has ended leaves no listener behind", async () => {
  const controller = new AbortController();
  await pause(1, controller.signal);
  assert.equal(getEventListeners(controller.signal, "abort").length, 0);
});
