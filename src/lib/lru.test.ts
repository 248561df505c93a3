import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Lru } from "./lru.ts";

const step = fc.record({
  what: fc.constantFrom("get", "get", "set", "set", "set", "delete", "clear"),
  key: fc.integer({ min: 1, max: 10 }).map(String),
  value: fc.nat(),
});

test("it never holds more than its bound, always the more recently used half, and never a wrong value", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 100, size: "max" }),
      fc.integer({ min: 1, max: 9 }),
      (steps, max) => {
        const lru = new Lru<string, number>(max);
        /** What was set and not deleted, the most recently used last. */
        const used = new Map<string, number>();
        const use = (key: string, value: number): void => {
          used.delete(key);
          used.set(key, value);
        };
        // A key that was deleted counts as used: it has taken the place of others.
        let deleted = false;
        for (const { what, key, value } of steps) {
          if (what === "get") {
            const found = lru.get(key);
            if (found === undefined) continue;
            assert.equal(found, used.get(key));
            use(key, found);
          } else if (what === "set") {
            lru.set(key, value);
            use(key, value);
          } else if (what === "delete") {
            lru.delete(key);
            used.delete(key);
            deleted = true;
            assert.equal(lru.get(key), undefined);
          } else {
            lru.clear();
            used.clear();
            assert.equal(lru.size, 0);
          }
          assert.ok(lru.size <= max);
        }
        if (deleted) return;
        const kept = max < 2 ? [] : [...used].slice(-Math.floor(max / 2));
        for (const [key, value] of kept) assert.equal(lru.get(key), value);
      },
    ),
    { numRuns: 2_000 },
  );
});

test("one key more than the bound forgets keys that were not used lately, and keeps those that were", () => {
  const lru = new Lru<number, number>(10);
  for (let key = 1; key <= 10; key++) lru.set(key, key);
  assert.equal(lru.size, 10);
  assert.equal(lru.get(1), 1);
  lru.set(11, 11);
  assert.ok(lru.size <= 10);
  for (const key of [1, 8, 9, 10, 11]) assert.equal(lru.get(key), key);
  assert.equal(lru.get(2), undefined);
});

test("setting a key again replaces its value", () => {
  const lru = new Lru<string, number>(4);
  for (const value of [1, 2, 3]) lru.set("a", value);
  assert.deepEqual([lru.get("a"), lru.size], [3, 1]);
});

test("a bound of one is one key", () => {
  const lru = new Lru<string, number>(1);
  for (const key of ["a", "b"]) lru.set(key, 1);
  assert.deepEqual([lru.size, lru.get("a"), lru.get("b")], [1, undefined, 1]);
});
