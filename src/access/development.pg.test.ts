import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { openTestDatabase, testLog } from "../../test/harness.ts";
import { systemClock } from "../lib/clock.ts";
import { type Db, openDb } from "../lib/db.ts";
import { createApiKeys } from "./api-keys.ts";
import { ensureDevelopmentKey } from "./development.ts";

/** A data directory, a database, and the first start of a process on both. */
async function setUp(t: TestContext) {
  const parent = await mkdtemp(path.join(tmpdir(), "tidings-development-"));
  t.after(() => rm(parent, { recursive: true }));
  const dataDir = path.join(parent, "data");
  const db = await openTestDatabase(t);
  const sourceId = (): Promise<number> => Promise.resolve(4);
  const keysOf = (own: Db) => createApiKeys({ db: own, clock: systemClock, log: testLog });
  const apiKeys = keysOf(db);
  return {
    file: path.join(dataDir, "development-key"),
    db,
    apiKeys,
    ensure: () => ensureDevelopmentKey({ db, dataDir, apiKeys, sourceId, log: testLog }),
    /** The same from a process of its own, as far as the database can tell. */
    ensureElsewhere: async () => {
      const own = openDb(db.address, { poolMax: 2, log: testLog });
      try {
        return await ensureDevelopmentKey({
          db: own,
          dataDir,
          apiKeys: keysOf(own),
          sourceId,
          log: testLog,
        });
      } finally {
        await own.close();
      }
    },
  };
}

test("the development key is made on the first start only", async (t) => {
  const { file, apiKeys, ensure } = await setUp(t);
  const first = await ensure();
  assert.equal(first?.created, true);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.equal((await readFile(file, "utf8")).trim(), first?.secret);
  const [key] = await apiKeys.list();
  assert.deepEqual([key?.name, key?.scopes, key?.sourceId], ["development", ["admin"], 4]);

  assert.deepEqual(await ensure(), { secret: first?.secret, created: false });
  assert.equal((await apiKeys.list()).length, 1);
});

test("of processes that start for the first time together, one makes the key and shows it", async (t) => {
  const { apiKeys, ensureElsewhere } = await setUp(t);
  const found = await Promise.all(Array.from({ length: 6 }, ensureElsewhere));
  assert.equal(found.filter((key) => key?.created === true).length, 1);
  assert.equal(new Set(found.map((key) => key?.secret)).size, 1);
  const keys = await apiKeys.list();
  assert.deepEqual(
    keys.map(({ revokedAt }) => revokedAt),
    [undefined],
  );
});

test("a development key that a person revoked or removed is not made again", async (t) => {
  const { file, apiKeys, ensure } = await setUp(t);
  await ensure();
  await apiKeys.revoke(1);
  assert.equal(await ensure(), undefined);
  await rm(file);
  assert.equal(await ensure(), undefined);
  assert.equal((await apiKeys.list()).length, 1);
});

test("a new database gets a new development key although the file of the old one is there", async (t) => {
  const { db, apiKeys, ensure } = await setUp(t);
  const old = await ensure();
  await db.query("delete from access_api_key");
  const made = await ensure();
  assert.equal(made?.created, true);
  assert.notEqual(made?.secret, old?.secret);
  assert.notEqual(await apiKeys.verify(made?.secret ?? ""), undefined);
});

test("a first start that ended halfway is repeated", async (t) => {
  const { file, db, apiKeys, ensure } = await setUp(t);
  for (const left of ["", "tdk_a-key-that-was-never-committed"]) {
    await ensure();
    await db.query("delete from access_api_key");
    await writeFile(file, left);
    const made = await ensure();
    assert.equal(made?.created, true);
    assert.equal((await readFile(file, "utf8")).trim(), made?.secret);
    assert.equal((await apiKeys.list()).length, 1);
  }
});

test("a failure to create the key leaves no file behind", async (t) => {
  const { file, db, ensure } = await setUp(t);
  await db.query("alter table access_api_key add constraint closed check (false) not valid");
  await assert.rejects(ensure(), /violates check constraint "closed"/);
  await assert.rejects(stat(file), { code: "ENOENT" });
});
