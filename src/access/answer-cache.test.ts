import assert from "node:assert/strict";
import { test } from "node:test";
import { AnswerCache } from "./answer-cache.ts";

const keepMs = 2_000;

function setUp(entriesMax = 100) {
  const clock = { ms: 1_000_000, now: () => clock.ms };
  const asked: string[] = [];
  const cache = new AnswerCache<string | null>(clock, { keepMs, entriesMax });
  const get = (name: string, answer: string | null = name) =>
    cache.get(name, async () => {
      asked.push(name);
      return answer;
    });
  return { clock, asked, cache, get };
}

test("an answer, found or not, is given again for 2 s and then asked for anew", async () => {
  const { clock, asked, get } = setUp();
  await get("a");
  await get("missing", null);
  clock.ms += keepMs - 1;
  assert.equal(await get("a"), "a");
  assert.equal(await get("missing", "found meanwhile"), null);
  assert.deepEqual(asked, ["a", "missing"]);
  clock.ms += 1;
  assert.equal(await get("missing", "found meanwhile"), "found meanwhile");
  assert.deepEqual(asked, ["a", "missing", "missing"]);
});

test("an answer is fresh from the moment it was asked for, however late it arrives", async () => {
  const { clock, asked, cache, get } = setUp();
  const late = Promise.withResolvers<string>();
  const first = cache.get("a", () => late.promise);
  clock.ms += keepMs;
  late.resolve("before the revocation");
  await first;
  assert.equal(await get("a", "after it"), "after it");
  assert.deepEqual(asked, ["a"]);
});

test("those who ask for the same at the same time share one look-up", async () => {
  const { asked, get } = setUp();
  await Promise.all(Array.from({ length: 100 }, () => get("a")));
  assert.deepEqual(asked, ["a"]);
});

test("a failed look-up reaches its askers and is not kept", async () => {
  const { cache, get } = setUp();
  await assert.rejects(
    cache.get("a", () => Promise.reject(new Error("database is gone"))),
    /database is gone/,
  );
  assert.equal(await get("a"), "a");
});

test("guessing does not grow the cache, and what is in use stays", async () => {
  const { asked, cache, get } = setUp();
  await get("used");
  for (let i = 0; i < 1_000; i++) {
    await get(`guess ${i}`, null);
    await get("used");
  }
  assert.equal(cache.size, 100);
  assert.equal(asked.filter((name) => name === "used").length, 1);
});

test("one answer more than the bound forgets the one that was used longest ago", async () => {
  const { asked, cache, get } = setUp(2);
  for (const name of ["a", "b", "a", "c"]) await get(name);
  assert.equal(cache.size, 2);
  await get("a");
  assert.deepEqual(asked, ["a", "b", "c"]);
});

test("what was cleared is asked for anew, and an answer that was on its way then is not kept", async () => {
  const { asked, cache, get } = setUp();
  const late = Promise.withResolvers<string>();
  const first = cache.get("a", () => late.promise);
  cache.clear();
  late.resolve("before");
  assert.equal(await first, "before");
  assert.equal(await get("a", "after"), "after");
  assert.deepEqual(asked, ["a"]);
});

test("a clock that is set back makes answers stale", async () => {
  const { clock, asked, get } = setUp();
  await get("a");
  clock.ms -= 3_600_000;
  await get("a");
  assert.deepEqual(asked, ["a", "a"]);
});

test("an answer that is told apart is dropped only while it is the one that is kept", async () => {
  const { asked, cache, get } = setUp();
  const first = cache.get("a", async () => "first");
  cache.delete("a", first);
  await get("a", "second");
  cache.delete("a", first);
  assert.equal(await get("a", "third"), "second");
  assert.deepEqual(asked, ["a"]);
});
