import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { openTestDatabase } from "../../test/harness.ts";
import type { Db } from "../lib/db.ts";
import { AppError } from "../lib/errors.ts";
import { type ApiKey, createApiKeys } from "./api-keys.ts";

const log = pino({ level: "silent" });
const startMs = Date.parse("2026-03-01T12:00:00Z");

/** Keys on a database that counts statements, with a clock moved by hand. */
function setUp(db: Pick<Db, "query">) {
  const clock = { ms: startMs, now: () => clock.ms };
  const counted = { queries: 0 };
  const query: Db["query"] = (text, values, options) => {
    counted.queries++;
    return db.query(text, values, options);
  };
  return { clock, counted, apiKeys: createApiKeys({ db: { query }, clock, log }) };
}

test("API keys in PostgreSQL", async (t) => {
  const db = await openTestDatabase(t);

  await t.test("a new key verifies as its actor and is stored only as a hash", async () => {
    const { apiKeys } = setUp(db);
    const { key, secret } = await apiKeys.create({
      name: " shop ",
      scopes: ["webhook:write", "inbox:read", "webhook:write"],
      sourceId: 4,
    });
    assert.match(secret, /^tdk_[A-Za-z0-9_-]{43}$/);
    assert.equal(key.name, "shop");
    assert.ok(secret.startsWith(key.hint));
    assert.deepEqual(await apiKeys.verify(secret), {
      kind: "key",
      id: key.id,
      name: "shop",
      scopes: new Set(["webhook:write", "inbox:read"]),
      sourceId: 4,
    });
    assert.deepEqual(
      (await apiKeys.list()).find(({ id }) => id === key.id),
      key,
    );
    const { rows } = await db.query<{ row: string }>("select k::text as row from access_api_key as k");
    assert.ok(!rows.some(({ row }) => row.includes(secret.slice(12))));
  });

  await t.test("no key that a person makes has the name of the server's own", async () => {
    const { apiKeys } = setUp(db);
    const key = { name: " development ", scopes: ["admin"] } as const;
    await assert.rejects(apiKeys.create(key), { code: "invalid_body" });
    const { key: own } = await apiKeys.create({ ...key, development: true });
    assert.equal(own.name, "development");
  });

  await t.test("the keys of a source end at once also where they were just used", async () => {
    const { apiKeys, clock } = setUp(db);
    const { secret } = await apiKeys.create({ name: "shop", scopes: ["webhook:write"], sourceId: 77 });
    assert.notEqual(await apiKeys.verify(secret), undefined);
    await apiKeys.endOfSource(77, new Date(clock.ms));
    assert.equal(await apiKeys.verify(secret), undefined);
  });

  await t.test("what does not look like a key costs no query, an unknown key costs one in 2 s", async () => {
    const { apiKeys, counted } = setUp(db);
    for (const secret of [
      "",
      "tdk_",
      `tdk_${"x".repeat(42)}`,
      `tdk_${"x".repeat(44)}`,
      `tdk_${"x".repeat(42)}!`,
    ]) {
      assert.equal(await apiKeys.verify(secret), undefined);
    }
    assert.equal(counted.queries, 0);
    for (let i = 0; i < 10; i++) assert.equal(await apiKeys.verify(`tdk_${"x".repeat(43)}`), undefined);
    assert.equal(counted.queries, 1);
  });

  await t.test("a key in use is looked up once in 2 s, however many ask at once", async () => {
    const { apiKeys, clock, counted } = setUp(db);
    const { secret } = await apiKeys.create({ name: "busy", scopes: ["inbox:read"] });
    counted.queries = 0;
    await Promise.all(Array.from({ length: 200 }, () => apiKeys.verify(secret)));
    clock.ms += 1_999;
    await apiKeys.verify(secret);
    assert.equal(counted.queries, 1);
    clock.ms += 1;
    await apiKeys.verify(secret);
    assert.equal(counted.queries, 2);
  });

  await t.test("a revoked key ends at once where it was revoked and within 2 s elsewhere", async () => {
    const here = setUp(db);
    const elsewhere = setUp(db);
    const { key, secret } = await here.apiKeys.create({ name: "leaked", scopes: ["admin"] });
    await elsewhere.apiKeys.verify(secret);
    assert.equal(await here.apiKeys.revoke(key.id), true);
    assert.equal(await here.apiKeys.verify(secret), undefined);
    elsewhere.clock.ms += 1_999;
    assert.notEqual(await elsewhere.apiKeys.verify(secret), undefined);
    elsewhere.clock.ms += 1;
    assert.equal(await elsewhere.apiKeys.verify(secret), undefined);

    assert.equal(await here.apiKeys.revoke(key.id), false);
    assert.equal(await here.apiKeys.revoke(2 ** 40), false);
    assert.deepEqual(revokedAt(await here.apiKeys.list(), key.id), new Date(startMs));
  });

  await t.test("a key expires to the millisecond, also while its answer is cached", async () => {
    const { apiKeys, clock } = setUp(db);
    const expiresAt = new Date(startMs + 500);
    const { key, secret } = await apiKeys.create({ name: "short", scopes: ["inbox:read"], expiresAt });
    assert.notEqual(await apiKeys.verify(secret), undefined);
    clock.ms = startMs + 499;
    assert.notEqual(await apiKeys.verify(secret), undefined);
    clock.ms = startMs + 500;
    assert.equal(await apiKeys.verify(secret), undefined);
    assert.equal(await apiKeys.revoke(key.id), false);
  });

  await t.test("usage is written by flush alone, in one statement, and once a minute per key", async () => {
    const { apiKeys, clock, counted } = setUp(db);
    const other = setUp(db);
    const [a, b] = await Promise.all([
      apiKeys.create({ name: "a", scopes: ["inbox:read"] }),
      apiKeys.create({ name: "b", scopes: ["inbox:read"] }),
    ]);
    const usedAt = async () => {
      const keys = await apiKeys.list();
      return [a, b].map(({ key }) => keys.find(({ id }) => id === key.id)?.lastUsedAt?.getTime());
    };
    for (const { secret } of [a, b]) await apiKeys.verify(secret);
    assert.deepEqual(await usedAt(), [undefined, undefined]);
    counted.queries = 0;
    await apiKeys.flushUsage();
    assert.equal(counted.queries, 1);
    assert.deepEqual(await usedAt(), [startMs, startMs]);

    other.clock.ms = clock.ms += 59_999;
    await Promise.all([apiKeys.verify(a.secret), other.apiKeys.verify(b.secret)]);
    await Promise.all([apiKeys.flushUsage(), other.apiKeys.flushUsage()]);
    assert.deepEqual(await usedAt(), [startMs, startMs]);

    clock.ms += 1;
    await apiKeys.verify(a.secret);
    await apiKeys.close();
    assert.deepEqual(await usedAt(), [startMs + 60_000, startMs]);
  });

  await t.test("names, scopes and expiry that cannot be are refused by name of the field", async () => {
    const { apiKeys } = setUp(db);
    const good = { name: "n", scopes: ["inbox:read"] as const };
    const bad = [
      { ...good, name: "  " },
      { ...good, name: "n".repeat(65) },
      { ...good, name: "a\u0000b" },
      { ...good, scopes: [] },
      { ...good, scopes: ["fly:moon" as "admin"] },
      { ...good, expiresAt: new Date(startMs) },
      { ...good, expiresAt: new Date(Number.NaN) },
    ];
    const pointers = await Promise.all(
      bad.map((key) =>
        apiKeys.create(key).then(
          () => "accepted",
          (error: unknown) => (error instanceof AppError ? error.details.fields?.[0]?.pointer : error),
        ),
      ),
    );
    assert.deepEqual(pointers, [
      "/name",
      "/name",
      "/name",
      "/scopes",
      "/scopes",
      "/expires_at",
      "/expires_at",
    ]);
    await apiKeys.create({ ...good, name: "n".repeat(64) });
  });

  await t.test("the database refuses what the code should never send it", async () => {
    const hash = Buffer.alloc(32, 7);
    const good = { name: "n", hash, scopes: ["admin"] };
    const insert = (key: { name: string; hash: Buffer; scopes: string[] }) =>
      db.query("insert into access_api_key (name, hint, hash, scopes) values ($1, 'tdk_', $2, $3)", [
        key.name,
        key.hash,
        key.scopes,
      ]);
    await insert(good);
    await assert.rejects(insert(good), { constraint: "access_api_key_hash_unique" });
    await assert.rejects(insert({ ...good, hash: Buffer.alloc(31) }), {
      constraint: "access_api_key_hash_length",
    });
    await assert.rejects(insert({ ...good, name: "" }), { constraint: "access_api_key_name_length" });
    await assert.rejects(insert({ ...good, name: "n".repeat(65) }), {
      constraint: "access_api_key_name_length",
    });
    await assert.rejects(insert({ ...good, scopes: [] }), {
      constraint: "access_api_key_scopes_not_empty",
    });
  });
});

function revokedAt(keys: readonly ApiKey[], id: number): Date | undefined {
  return keys.find((key) => key.id === id)?.revokedAt;
}
