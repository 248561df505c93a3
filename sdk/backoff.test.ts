import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffCeilingMs, backoffMs, connectBackoff, repeatBackoff } from "./backoff.ts";

test("pauses grow by their factor from the first to the last bound, and stay there", () => {
  const ceilings = (rule: typeof connectBackoff): readonly number[] =>
    Array.from({ length: 10 }, (_, n) => Math.round(backoffCeilingMs(n + 1, rule)));
  assert.deepEqual(ceilings(connectBackoff), [500, 800, 1280, 2048, 3277, 5243, 8389, 13422, 20000, 20000]);
  assert.deepEqual(ceilings(repeatBackoff), [500, 1000, 2000, 4000, 8000, 16000, 20000, 20000, 20000, 20000]);
  for (const rule of [connectBackoff, repeatBackoff]) {
    assert.equal(backoffCeilingMs(Number.MAX_SAFE_INTEGER, rule), rule.maxMs);
    assert.equal(backoffCeilingMs(0, rule), rule.baseMs);
  }
});

test("a pause is anything between nothing and its bound", () => {
  assert.deepEqual([backoffMs(2, connectBackoff, 0), backoffMs(2, connectBackoff, 0.5)], [0, 400]);
});
