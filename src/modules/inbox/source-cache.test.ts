import assert from "node:assert/strict";
import { test } from "node:test";
import type { Queryable } from "../../lib/db.ts";
import { type SourceCacheBounds, createSourceCache, freshMs, usableMs } from "./source-cache.ts";

type Question = {
  /** The names that were asked for. */
  readonly names: readonly string[];
  /** Answers that they are sources, all but `nobody`. */
  readonly answer: (secret?: string) => void;
  readonly answerNothing: () => void;
  readonly refuse: () => void;
};

/** A cache on a database that answers when the test says so, and a clock that is moved by hand. */
function setUp(bounds: Partial<SourceCacheBounds> = {}) {
  const asked: Question[] = [];
  const waiters: (() => void)[] = [];
  const query = (_text: string, values: readonly unknown[] = [], { signal }: { signal?: AbortSignal } = {}) =>
    new Promise((resolve, reject) => {
      const names = values[0] as string[];
      const sources = names.filter((name) => name !== "nobody");
      asked.push({
        names,
        answer: (secret = "secret") =>
          resolve({ rows: sources.map((name, id) => ({ id, name, scheme: "hub", secrets: [secret] })) }),
        answerNothing: () => resolve({ rows: [] }),
        refuse: () => reject(Object.assign(new Error("refused"), { code: "ECONNREFUSED" })),
      });
      signal?.addEventListener("abort", () => reject(signal.reason as Error));
      for (const wake of waiters.splice(0)) wake();
    });
  const clock = { ms: 0 };
  const db = { query: query as unknown as Queryable["query"] };
  const cache = createSourceCache(db, { nowMs: () => clock.ms, bounds });
  const find = async (name: string): Promise<string> => {
    try {
      return (await cache.find({ name })).secrets.join();
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  /** The question of this number, from 0, once it is asked. */
  const question = async (number: number): Promise<Question> => {
    for (;;) {
      const found = asked[number];
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => waiters.push(resolve));
    }
  };
  return { asked, cache, clock, find, question };
}

test("questions beyond the bound are refused as overload, and those that are being asked may be asked by more", async () => {
  const { find, question } = setUp({ questionsMax: 3, lookUpsMax: 1 });
  const within = ["shop-1", "shop-2", "shop-3"].map(find);
  const shared = find("shop-3");
  assert.equal(await find("shop-4"), "overloaded");
  (await question(0)).answer();
  (await question(1)).answer();
  assert.deepEqual(await Promise.all([...within, shared]), ["secret", "secret", "secret", "secret"]);
  const later = find("shop-4");
  (await question(2)).answer();
  assert.equal(await later, "secret");
});

test("a source that is known is found where questions are refused", async () => {
  const { clock, find, question } = setUp({ questionsMax: 1 });
  const shop = find("shop");
  (await question(0)).answer();
  await shop;
  clock.ms = freshMs;
  const other = find("other");
  assert.equal(await find("shop"), "secret");
  assert.equal(await find("third"), "overloaded");
  (await question(1)).answer();
  await other;
});

test("statements beyond the bound wait, and what waits is asked together", async () => {
  const { asked, find, question } = setUp({ lookUpsMax: 2 });
  const found = ["a", "b", "c", "d"].map(find);
  assert.deepEqual(
    asked.map(({ names }) => names),
    [["a"], ["b"]],
  );
  asked[1]?.answer();
  assert.deepEqual((await question(2)).names, ["c", "d"]);
  for (const { answer } of asked) answer();
  assert.deepEqual(await Promise.all(found), ["secret", "secret", "secret", "secret"]);
});

test("more sources than are remembered are asked for again, the one that was used last is not", async () => {
  const { asked, find, question } = setUp({ sourcesMax: 1 });
  for (const [i, name] of ["a", "b"].entries()) {
    const found = find(name);
    (await question(i)).answer();
    await found;
  }
  assert.equal(await find("b"), "secret");
  assert.equal(asked.length, 2);
  const again = find("a");
  (await question(2)).answer();
  assert.equal(await again, "secret");
});

test("a question that one connection does not answer is asked again, and others go on meanwhile", async () => {
  const { find, question } = setUp({ lookUpMaxMs: 20 });
  const stuck = find("shop");
  const other = find("other");
  (await question(1)).answer();
  assert.equal(await other, "secret");
  const again = await question(2);
  assert.deepEqual(again.names, ["shop"]);
  again.answer();
  assert.equal(await stuck, "secret");
});

test("a database that answers nothing makes what is not known unavailable, after two attempts", async () => {
  const { asked, find } = setUp({ lookUpMaxMs: 5 });
  assert.deepEqual(await Promise.all([find("shop"), find("nobody")]), ["unavailable", "unavailable"]);
  assert.deepEqual(
    asked.map(({ names }) => names),
    [["shop"], ["nobody"], ["shop"], ["nobody"]],
  );
});

test("while the database is silent a known source is used for half a minute, after a moment's patience at first", async () => {
  const { asked, cache, clock, find, question } = setUp({ patienceMs: 5 });
  const first = find("shop");
  (await question(0)).answer("old");
  await first;
  clock.ms = freshMs;
  const patient = cache.find({ name: "shop" });
  assert.ok(patient instanceof Promise);
  assert.equal(cache.find({ name: "shop" }), patient, "one timer, however many wait");
  assert.deepEqual((await patient).secrets, ["old"]);
  clock.ms += 5;
  assert.ok(!(cache.find({ name: "shop" }) instanceof Promise), "then without waiting");
  clock.ms = usableMs - 1;
  assert.equal(await find("shop"), "old");
  clock.ms = usableMs;
  const tooOld = find("shop");
  assert.equal(asked.length, 2, "asked once in all that time");
  asked[1]?.answer("new");
  assert.equal(await tooOld, "new");
});

test("a known source is used while the database refuses, and every look at it asks again", async () => {
  const { asked, clock, find, question } = setUp();
  const first = find("shop");
  (await question(0)).answer("old");
  await first;
  clock.ms = freshMs;
  const known = find("shop");
  (await question(1)).refuse();
  (await question(2)).refuse();
  assert.equal(await known, "old");
  const unknown = find("other");
  (await question(3)).refuse();
  (await question(4)).refuse();
  assert.equal(await unknown, "ECONNREFUSED");
  const later = find("shop");
  (await question(5)).answer("new");
  assert.equal(await later, "new");
  assert.equal(asked.length, 6);
});

test("a source that was removed elsewhere is gone as soon as the database says so", async () => {
  const { asked, clock, find, question } = setUp();
  const first = find("shop");
  (await question(0)).answer();
  await first;
  clock.ms = freshMs;
  const gone = find("shop");
  (await question(1)).answerNothing();
  assert.deepEqual([await gone, await find("shop")], ["unknown_source", "unknown_source"]);
  assert.equal(asked.length, 2);
});

test("a source that was seen to be gone is not good again when the database falls silent", async () => {
  const { asked, clock, find, question } = setUp({ patienceMs: 5, lookUpMaxMs: 5 });
  const first = find("shop");
  (await question(0)).answer();
  await first;
  clock.ms = freshMs;
  const gone = find("shop");
  (await question(1)).answerNothing();
  assert.equal(await gone, "unknown_source");
  clock.ms = 2 * freshMs;
  assert.equal(await find("shop"), "unavailable");
  assert.equal(asked.length, 4);
});

test("what was known before a change is not used after it, however silent the database is", async () => {
  const { asked, cache, clock, find, question } = setUp({ patienceMs: 5, lookUpsMax: 1 });
  const first = find("shop");
  (await question(0)).answer("old");
  await first;
  clock.ms = freshMs;
  const before = find("shop");
  cache.clear();
  const after = find("shop");
  asked[1]?.answer("old");
  (await question(2)).answer("new");
  assert.deepEqual([await before, await after, await find("shop")], ["old", "new", "new"]);
});
