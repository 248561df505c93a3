import assert from "node:assert/strict";
import { test } from "node:test";
import { openTestDatabase } from "../../../test/harness.ts";
import type { Db } from "../../lib/db.ts";
import { createSourceCache, sourceCacheBounds } from "./source-cache.ts";

/** A cache on a database that counts its questions, and a clock that is moved by hand. */
async function setUp(t: { after(callback: () => Promise<void>): void }) {
  const db = await openTestDatabase(t);
  const asked = { count: 0, underWay: 0, most: 0 };
  const counting: Db = {
    ...db,
    query: async (text, values, options) => {
      asked.count++;
      asked.most = Math.max(asked.most, ++asked.underWay);
      try {
        return await db.query(text, values, options);
      } finally {
        asked.underWay--;
      }
    },
  };
  const clock = { ms: 0 };
  const cache = createSourceCache(counting, { nowMs: () => clock.ms });
  const add = (name: string) =>
    db.query("insert into inbox_source (name, scheme) values ($1, 'api_key')", [name]);
  const find = async (name: string): Promise<string> => {
    try {
      return (await cache.find({ name })).name;
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  return { add, asked, cache, clock, db, find };
}

test("a name that nobody has is asked for once in two seconds, and known as soon as its source is made", async (t) => {
  const { add, asked, cache, clock, find } = await setUp(t);
  for (let i = 0; i < 100; i++) assert.equal(await find("nobody"), "unknown_source");
  assert.equal(asked.count, 1);
  clock.ms += 2_000;
  assert.equal(await find("nobody"), "unknown_source");
  assert.equal(asked.count, 2);
  await add("nobody");
  cache.clear();
  assert.equal(await find("nobody"), "nobody");
});

test("a source is found by name and by id, and for two seconds without a question", async (t) => {
  const { add, asked, cache, clock } = await setUp(t);
  await add("shop");
  const source = await cache.find({ name: "shop" });
  assert.deepEqual(await cache.find({ id: source.id }), source);
  assert.equal(asked.count, 2);
  clock.ms += 1_999;
  assert.equal(cache.find({ name: "shop" }), source, "no promise either");
  clock.ms += 1;
  assert.ok(cache.find({ name: "shop" }) instanceof Promise);
});

test("however many names strangers invent at once, they take two connections, and the sources among them are found", async (t) => {
  const { add, asked, find } = await setUp(t);
  await add("shop");
  const names = Array.from({ length: 1_000 }, (_, i) => (i % 100 === 50 ? "shop" : `invented-${i}`));
  const found = await Promise.all(names.map(find));
  assert.deepEqual(
    found,
    names.map((name) => (name === "shop" ? "shop" : "unknown_source")),
  );
  assert.equal(asked.most, sourceCacheBounds.lookUpsMax);
  assert.ok(asked.count <= 3, `${asked.count} questions`);
});

test("what was asked before a change is not believed after it", async (t) => {
  const { add, asked, cache, find } = await setUp(t);
  const early = find("shop");
  const later = find("other");
  await add("shop");
  cache.clear();
  const after = find("shop");
  assert.equal(await after, "shop");
  await Promise.all([early, later]);
  assert.equal(await find("shop"), "shop");
  assert.ok(asked.count <= 3);
});

test("a question that fails is asked again by whoever comes next", async (t) => {
  const { add, cache, db, find } = await setUp(t);
  await add("shop");
  await db.query("alter table inbox_source rename to inbox_source_away");
  await assert.rejects(async () => cache.find({ name: "shop" }), { code: "42P01" });
  await db.query("alter table inbox_source_away rename to inbox_source");
  assert.equal(await find("shop"), "shop");
});
