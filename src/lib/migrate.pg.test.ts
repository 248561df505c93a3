import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { createTestDatabase, testLog } from "../../test/harness.ts";
import { migrationsDir } from "../foundation.ts";
import { type Db, openDb } from "./db.ts";
import { StartupError } from "./errors.ts";
import { type Migration, migrate, readMigrations } from "./migrate.ts";

/** A database in which nothing was ever done, and as many pools to it as processes are to start. */
async function openEmpty(t: TestContext, processes = 1): Promise<readonly [Db, ...Db[]]> {
  const pools: Db[] = [];
  t.after(async () => {
    for (const pool of pools) await pool.close();
  });
  const address = await createTestDatabase(t, "template1");
  for (let i = 0; i < processes; i++) pools.push(openDb(address, { poolMax: 3, log: testLog }));
  const [first, ...others] = pools;
  assert.ok(first !== undefined);
  return [first, ...others];
}

async function directoryOf(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const directory = await mkdtemp(path.join(os.tmpdir(), "tidings-migrations-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  for (const [name, sql] of Object.entries(files)) await writeFile(path.join(directory, name), sql);
  return directory;
}

const step = (number: number, sql: string): Migration => ({ number, name: `step_${number}`, sql });
const steps = [step(1, "create table a (id int)"), step(2, "insert into a values (1)")];

test("several processes that start at once apply each migration once, and all of them succeed", async (t) => {
  const pools = await openEmpty(t, 6);
  const migrations = await readMigrations(migrationsDir);
  const applied = await Promise.all(pools.map((db) => migrate(db, migrations)));
  assert.deepEqual(
    applied
      .flat()
      .map(({ number }) => number)
      .sort((a, b) => a - b),
    migrations.map(({ number }) => number),
  );
  assert.deepEqual(await migrate(pools[0], migrations), []);
});

test("a migration that fails leaves nothing of itself and everything before it", async (t) => {
  const [db] = await openEmpty(t);
  await assert.rejects(migrate(db, [...steps, step(3, "create table b (id int); select broken")]));
  const { rows } = await db.query<{ a: number; b: string | null; known: number[] }>(
    `select (select count(*)::int from a) as a, to_regclass('b')::text as b,
            (select array_agg(number order by number) from migration) as known`,
  );
  assert.deepEqual(rows, [{ a: 1, b: null, known: [1, 2] }]);
  const mended = [...steps, step(3, "create table b (id int)")];
  assert.deepEqual(await migrate(db, mended), mended.slice(2));
});

test("a database of a newer version is refused in a sentence and left as it is", async (t) => {
  const [db] = await openEmpty(t);
  await migrate(db, steps);
  await assert.rejects(migrate(db, steps.slice(0, 1)), (error) => {
    assert.ok(error instanceof StartupError);
    assert.match(error.message, /migration 2 and this version of Tidings knows 1/);
    return true;
  });
});

test("migrations are read in order, with their numbers and names", async (t) => {
  const directory = await directoryOf(t, {
    "0002_second.sql": "select 2",
    "0001_first_one.sql": "select 1",
    "README.md": "",
  });
  assert.deepEqual(await readMigrations(directory), [
    { number: 1, name: "first_one", sql: "select 1" },
    { number: 2, name: "second", sql: "select 2" },
  ]);
});

test("numbers that are missing, doubled or misspelled are refused by the name of their file", async (t) => {
  const cases: Readonly<Record<string, readonly string[]>> = {
    "0003_c.sql": ["0001_a.sql", "0003_c.sql"],
    "0002_a.sql": ["0002_a.sql"],
    "0001_b.sql": ["0001_a.sql", "0001_b.sql"],
    "2_b.sql": ["0001_a.sql", "2_b.sql"],
    "0002-b.sql": ["0001_a.sql", "0002-b.sql"],
  };
  for (const [guilty, files] of Object.entries(cases)) {
    const directory = await directoryOf(t, Object.fromEntries(files.map((file) => [file, ""])));
    await assert.rejects(readMigrations(directory), { message: new RegExp(`${guilty}$`) });
  }
  const empty = await directoryOf(t, {});
  await mkdir(path.join(empty, "older"));
  assert.deepEqual(await readMigrations(empty), []);
});
