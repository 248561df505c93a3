import assert from "node:assert/strict";
import { test } from "node:test";
import { createTestDatabase, eventually, openTestDatabase, testLog, testServer } from "../../test/harness.ts";
import { type Db, boundTo, isDbLimitError, isTransientDbError, openDb } from "./db.ts";

async function openCounted(): Promise<{ readonly db: Db; readonly count: () => Promise<number> }> {
  const db = await openTestDatabase();
  await db.query("create table counted (n int unique deferrable initially deferred)");
  return {
    db,
    count: async () =>
      (await db.query<{ n: number }>("select count(*)::int as n from counted")).rows[0]?.n ?? -1,
  };
}

test("a transaction in which a statement failed rejects with that failure, also when the error was caught", async () => {
  const { db, count } = await openCounted();
  let called = false;
  const work = db.transaction(async (tx) => {
    tx.afterCommit(() => {
      called = true;
    });
    await tx.query("insert into counted values (1)");
    await tx.query("select 1 / 0").catch(() => undefined);
    await tx.query("insert into counted values (2)").catch(() => undefined);
    return "done";
  });
  await assert.rejects(work, { code: "22012" });
  assert.equal(called, false);
  assert.equal(await count(), 0);
});

test("a failure that a savepoint has taken back does not stop the commit", async () => {
  const { db, count } = await openCounted();
  await db.transaction(async (tx) => {
    await tx.query("insert into counted values (1)");
    await tx.query("savepoint here");
    await tx.query("select 1 / 0").catch(() => undefined);
    await tx.query("rollback to savepoint here");
  });
  assert.equal(await count(), 1);
});

test("a commit that is refused rejects, and the connection can be used again", async () => {
  const { db, count } = await openCounted();
  const twice = db.transaction((tx) => tx.query("insert into counted values (1), (1)"));
  await assert.rejects(twice, { code: "23505" });
  await db.transaction((tx) => tx.query("insert into counted values (1)"));
  assert.equal(await count(), 1);
});

test("what a callback throws does not make a committed transaction look undone, and the others are called", async () => {
  const { db, count } = await openCounted();
  const called: string[] = [];
  const answer = await db.transaction(async (tx) => {
    tx.afterCommit(() => called.push("first"));
    tx.afterCommit(() => {
      throw new Error("a fault of the callback");
    });
    tx.afterCommit(() => called.push("last"));
    await tx.query("insert into counted values (1)");
    return "done";
  });
  assert.equal(answer, "done");
  assert.deepEqual(called, ["first", "last"]);
  assert.equal(await count(), 1);
});

test("a transaction in which nothing happens for too long is ended and gives its locks back", async (t) => {
  const { db, count } = await openCounted();
  await db.query("insert into counted values (1)");
  const hurried = openDb(db.address, { poolMax: 1, log: testLog, idleInTransactionMs: 50 });
  t.after(() => hurried.close());
  const silent = hurried.transaction(async (tx) => {
    await tx.query("update counted set n = 2");
    await db.query("update counted set n = 3");
    await tx.query("select 1");
  });
  await assert.rejects(silent, (error) => isDbLimitError(error) && !isTransientDbError(error));
  assert.equal(await count(), 1);
  assert.equal((await hurried.query("select 1")).rowCount, 1);
});

test("every connection has a bound on silence in a transaction", async () => {
  const db = await openTestDatabase();
  const { rows } = await db.query<{ bound: string }>(
    "select current_setting('idle_in_transaction_session_timeout') as bound",
  );
  assert.deepEqual(rows, [{ bound: "1min" }]);
});

test("housekeeping has all the time it needs, but not for a lock, and leaves no connection behind", async () => {
  const { db } = await openCounted();
  await db.unhurried(70, async (own) => {
    const { rows } = await own.query<{ statement: string; lock: string }>(
      "select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock",
    );
    assert.deepEqual(rows, [{ statement: "0", lock: "70ms" }]);
    await db.transaction(async (tx) => {
      await tx.query("lock table counted");
      await assert.rejects(own.query("select from counted"), { code: "55P03" });
    });
  });
  const bounded = await db.query<{ bound: string }>("select current_setting('statement_timeout') as bound");
  assert.deepEqual(bounded.rows, [{ bound: "30s" }]);
  await eventually("its connection is closed", async () => {
    const { rowCount } = await db.query(
      "select from pg_stat_activity where datname = current_database() and application_name = 'tidings housekeeping'",
    );
    return rowCount === 0;
  });
});

test("a database that is gone is unavailable, not the statement's fault, and is found again", async (t) => {
  const address = await createTestDatabase(t);
  const db = openDb(address, { poolMax: 1, log: testLog });
  const admin = openDb(testServer(), { poolMax: 1, log: testLog });
  t.after(() => Promise.all([db.close(), admin.close()]).then(() => undefined));
  await admin.query(`alter database ${address.database} rename to ${address.database}_away`);
  await assert.rejects(db.query("select 1"), isTransientDbError);
  await assert.rejects(
    db.transaction((tx) => tx.query("select 1")),
    isTransientDbError,
  );
  await admin.query(`alter database ${address.database}_away rename to ${address.database}`);
  assert.equal((await db.query("select 1")).rowCount, 1);
});

test("a connection that leads to a standby is replaced", async () => {
  const db = await openTestDatabase();
  const pid = async (): Promise<number> =>
    (await db.query<{ pid: number }>("select pg_backend_pid() as pid")).rows[0]?.pid ?? 0;
  const before = await pid();
  const readOnly = db.transaction(async (tx) => {
    await tx.query("set transaction read only");
    await tx.query("create table never (n int)");
  });
  await assert.rejects(readOnly, isTransientDbError);
  assert.notEqual(await pid(), before);
});

test("a transaction that is no longer wanted ends at once, its statement is cancelled, and nothing of it stays", async () => {
  const { db, count } = await openCounted();
  const unwanted = new AbortController();
  const waiting = db.transaction(async (tx) => {
    await tx.query("insert into counted values (1)");
    await tx.query("select pg_sleep(60)");
  }, unwanted.signal);
  await eventually("it sleeps", async () => (await sleepers(db)) === 1);
  unwanted.abort(new Error("changed my mind"));
  await assert.rejects(waiting, /changed my mind/);
  await eventually("nobody sleeps", async () => (await sleepers(db)) === 0);
  assert.equal(await count(), 0);
  await assert.rejects(boundTo(db, unwanted.signal).query("select 1"), /changed my mind/);
  assert.equal((await boundTo(db, new AbortController().signal).query("select 1")).rowCount, 1);
});

test("a failure beside a statement that still runs is told soon, and the statement is cancelled", async () => {
  const { db } = await openCounted();
  let sleeping: Promise<unknown> | undefined;
  const failing = db.transaction(async (tx) => {
    sleeping = tx.query("select pg_sleep(60)");
    sleeping.catch(() => undefined);
    await eventually("it sleeps", async () => (await sleepers(db)) === 1);
    throw new Error("no");
  });
  await assert.rejects(failing, /no/);
  await eventually("nobody sleeps", async () => (await sleepers(db)) === 0);
});

test("whoever no longer wants a connection that was not free yet leaves it to others", async (t) => {
  const { address } = await openTestDatabase();
  const db = openDb(address, { poolMax: 1, log: testLog });
  t.after(() => db.close());
  const unwanted = new AbortController();
  await db.transaction(async () => {
    const waiting = boundTo(db, unwanted.signal).query("select 1");
    unwanted.abort(new Error("changed my mind"));
    await assert.rejects(waiting, /changed my mind/);
  });
  assert.equal((await db.query("select 1")).rowCount, 1);
});

async function sleepers(db: Db): Promise<number> {
  const { rowCount } = await db.query(
    "select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'",
  );
  return rowCount;
}
