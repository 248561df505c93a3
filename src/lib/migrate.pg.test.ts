import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { createTestDatabase, eventually, testLog } from "../../test/harness.ts";
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
const steps = [step(1, "create table a\n(id int)"), step(2, "insert into a values (1)")];

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

test("a migration that was edited after it ran is refused by the name of its file, and nothing is applied", async (t) => {
  const [db] = await openEmpty(t);
  await migrate(db, steps);
  const edited = [
    step(1, "create table a (id bigint)"),
    ...steps.slice(1),
    step(3, "create table c (id int)"),
  ];
  await assert.rejects(migrate(db, edited), (error) => {
    assert.ok(error instanceof StartupError);
    assert.match(error.message, /0001_step_1\.sql is not the one that has run/);
    return true;
  });
  const { rows } = await db.query<{ c: string | null }>("select to_regclass('c')::text as c");
  assert.deepEqual(rows, [{ c: null }]);
  const otherLineEnds = steps.map(({ number, sql }) => step(number, sql.replaceAll("\n", "\r\n")));
  assert.deepEqual(await migrate(db, otherLineEnds), []);
});

test("migrations that ran before hashes were kept get theirs, and are held to it from then on", async (t) => {
  const [db] = await openEmpty(t);
  await migrate(db, steps);
  await db.query("alter table migration drop column hash");
  assert.deepEqual(await migrate(db, steps), []);
  await assert.rejects(migrate(db, [step(1, "select 1"), ...steps.slice(1)]), StartupError);
});

test("a migration has no bound on its statements, and begins anew when somebody holds what it needs", async (t) => {
  const [db] = await openEmpty(t);
  await migrate(db, steps);
  const more = [
    ...steps,
    step(
      3,
      "create table bound as select current_setting('statement_timeout') as bound; alter table a add column b int",
    ),
  ];
  let migrating: Promise<readonly Migration[]> | undefined;
  await db.transaction(async (tx) => {
    await tx.query("select from a");
    await assert.rejects(migrate(db, more, { lockTimeoutMs: 20, attemptsMax: 2 }), (error) => {
      assert.ok(error instanceof StartupError);
      assert.match(error.message, /0003_step_3\.sql needs a table that another session holds/);
      return true;
    });
    migrating = migrate(db, more, { lockTimeoutMs: 20, attemptsMax: 100 });
    await eventually("it waits for the table", async () => {
      const { rowCount } = await db.query(
        "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      return rowCount > 0;
    });
    await tx.query("insert into a values (2)");
  });
  assert.equal((await migrating)?.length, 1);
  assert.deepEqual((await db.query("select bound from bound")).rows, [{ bound: "0" }]);
});

test("a migration that is given up while its statement runs is cancelled, leaves nothing of itself, and goes on the next time", async (t) => {
  const [db] = await openEmpty(t);
  await migrate(db, steps);
  const slow = [...steps, step(3, "create table b (id int); lock table a; select pg_sleep(600)")];
  const wanted = new AbortController();
  const running = async (): Promise<number> => {
    const { rowCount } = await db.query(
      "select from pg_stat_activity where datname = current_database() and application_name = 'tidings housekeeping'",
    );
    return rowCount;
  };
  const migrating = migrate(db, slow, { signal: wanted.signal });
  await eventually("it sleeps", async () => {
    const { rowCount } = await db.query(
      "select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'",
    );
    return rowCount > 0;
  });
  wanted.abort();
  await assert.rejects(migrating, (error) => error === wanted.signal.reason);
  await eventually("its session has ended", async () => (await running()) === 0);
  const mended = [...steps, step(3, "create table b (id int)")];
  assert.deepEqual(await migrate(db, mended), mended.slice(2));
});

test("a migration that is given up while it waits to begin anew waits no longer", async (t) => {
  const [db] = await openEmpty(t);
  await migrate(db, steps);
  const wanted = new AbortController();
  const more = [...steps, step(3, "alter table a add column b int")];
  await db.transaction(async (tx) => {
    await tx.query("select from a");
    const migrating = migrate(db, more, { lockTimeoutMs: 1, attemptsMax: 1_000, signal: wanted.signal });
    setImmediate(() => wanted.abort());
    await assert.rejects(migrating, (error) => error === wanted.signal.reason);
  });
});
