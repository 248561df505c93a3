import assert from "node:assert/strict";
import { test } from "node:test";
import { createTestDatabase, eventually, openTestDatabase, testLog } from "../../test/harness.ts";
import { migrationsDir } from "../foundation.ts";
import { openDb } from "../lib/db.ts";
import { migrate, readMigrations } from "../lib/migrate.ts";
import { newEntry, readAll } from "./eventlog.contract.ts";
import { type RedactedData, jsonText, redactedData, redactedType } from "./eventlog.ts";
import { append, appendOnce, viewsMax } from "./postgres-append.ts";
import { KnownLog } from "./postgres-known.ts";
import { rememberRedacted } from "./postgres-redact.ts";
import { insertEntries } from "./postgres-writer.ts";
import { openLog, rotating } from "./postgres.fixture.ts";

test("an id that was redacted is a tombstone in every later segment", async () => {
  const db = await openTestDatabase();
  const log = await openLog(db, { retention: rotating });
  const secret = newEntry("room/1", "secret");
  await log.append([secret]);
  await log.redact([secret.id], "erasure");
  // The segment before is looked into for an hour: two of them make the id new to the log.
  for (let segment = 2; segment <= 3; segment++) {
    await log.maintain();
    await log.append([newEntry("room/1", segment)]);
  }
  await log.append([secret]);
  const { rows } = await db.query<{ segment: number; data: string }>(
    "select segment, data from eventlog_entry where id = $1 order by segment",
    [secret.id],
  );
  assert.deepEqual(rows, [
    { segment: 1, data: redactedData },
    { segment: 3, data: redactedData },
  ]);
});

test("an append that waits while its id is redacted stores a tombstone", async () => {
  const db = await openTestDatabase();
  const log = await openLog(db);
  const secret = newEntry("room/1", "secret");
  let appending: Promise<unknown> | undefined;
  await db.transaction(async (tx) => {
    await rememberRedacted(tx, [secret.id]);
    // It begins before the ids are committed: what its statement sees of them is nothing.
    appending = log.append([secret]);
    await eventually("the append waits for the redaction", async () => {
      const { rowCount } = await db.query(
        "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      return rowCount === 1;
    });
  });
  await appending;
  const [stored] = await readAll(log);
  assert.equal(stored?.data, redactedData);
});

test("a process knows redacted ids up to a bound, beyond it the database is asked, and the tombstones are the same", async () => {
  const db = await openTestDatabase();
  const log = await openLog(db);
  const entries = Array.from({ length: 3 }, (_, i) => newEntry(`room/${i}`, "secret"));
  const [first, second, third] = entries.map(({ id }) => id);
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  const known = new KnownLog(2);
  const append = (ids: readonly string[]): Promise<unknown> =>
    insertEntries(
      db,
      entries.filter(({ id }) => ids.includes(id)).map((entry) => ({ entry, partition: 1 })),
      { time: 0, statement: appendOnce, known },
    );
  await log.redact([first, second], "erasure");
  await append([first, third]);
  assert.equal(known.mayBeRedacted([{ id: first }]), true);
  assert.equal(known.mayBeRedacted([{ id: third }]), false, "two are known by name");
  await log.redact([third], "erasure");
  await append([second]);
  assert.equal(known.mayBeRedacted([newEntry("room/1")]), true, "of three nothing is known");
  const stored = await readAll(log);
  assert.deepEqual(
    stored.filter(({ type }) => type !== redactedType).map(({ data }) => data),
    [redactedData, redactedData, redactedData],
  );
});

test("a process that knew of more redactions than there are, after a failover, knows those that there are", async () => {
  const db = await openTestDatabase();
  const log = await openLog(db);
  const [kept, lost] = [newEntry("room/1", "kept"), newEntry("room/1", "lost")];
  await log.redact([kept.id], "erasure");
  await log.redact([lost.id], "erasure");
  const known = new KnownLog();
  await known.learn(db, { segment: 1, redactions: 2 });
  await known.learn(db, { segment: 1, redactions: 1 });
  assert.deepEqual([known.mayBeRedacted([kept]), known.mayBeRedacted([lost])], [true, false]);
  await known.learn(db, { segment: 1, redactions: 0 });
  assert.equal(known.mayBeRedacted([kept]), false);
});

test("what is redacted after a failover that lost a redaction is a tombstone, also for those who knew the lost one", async () => {
  const db = await openTestDatabase();
  const [here, there] = [await openLog(db), await openLog(db)];
  const [lost, secret] = [newEntry("room/1", "lost"), newEntry("room/1", "secret")];
  await here.redact([lost.id], "erasure");
  await here.append([newEntry("room/1")]);
  await db.query("delete from eventlog_redacted");
  await db.query("update eventlog_partition set redactions = 0");
  await db.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
  );
  await there.redact([secret.id], "erasure");
  await here.append([secret]);
  const stored = (await readAll(there)).find(({ id }) => id === secret.id);
  assert.equal(stored?.data, redactedData);
});

test("what was asked for before everything was forgotten is not known after it", async () => {
  const known = new KnownLog();
  const asked = Promise.withResolvers<void>();
  const answered = known.learn(
    { query: () => asked.promise.then(() => ({ rows: [{ id: "a" } as never], rowCount: 1 })) },
    { segment: 2, redactions: 1 },
  );
  known.forget();
  asked.resolve();
  await answered;
  assert.deepEqual(known.state, { segment: 1, redactions: 0 });
});

test("a log whose partitions never agree is asked so often, and no more", async () => {
  let asked = 0;
  const rows = [{ part: 0, segment: 9, redactions: 0 }];
  const queryable = {
    query: () => {
      asked++;
      return Promise.resolve({
        rows: rows.map((row) => ({ ...row, segment: asked + 1 })) as never[],
        rowCount: 1,
      });
    },
  };
  const how = { time: 0, statement: appendOnce, known: new KnownLog() };
  await assert.rejects(append(queryable, [{ entry: newEntry("room/1"), partition: 0 }], how), /same segment/);
  assert.equal(asked, viewsMax);
});

test("what was redacted before ids were remembered is remembered after the upgrade", async (t) => {
  const address = await createTestDatabase(t, "template1");
  const db = openDb(address, { poolMax: 4, log: testLog });
  t.after(() => db.close());
  const migrations = await readMigrations(migrationsDir);
  const upgrade = migrations.findIndex(({ name }) => name === "redactions_for_ever");
  await migrate(db, migrations.slice(0, upgrade));
  const secret = newEntry("room/1", "secret");
  const notice = jsonText({ entry_ids: [secret.id], reason: "a \u0000" } satisfies RedactedData);
  await db.query("insert into eventlog_meta (partitions) values (16)");
  await db.query("insert into eventlog_partition (part) select generate_series(0, 15)");
  await db.query(
    `insert into eventlog_entry (segment, part, entry_offset, id, topic, type, time, actor, data)
     values (1, 0, 1, gen_random_uuid(), 'room/1', $1, now(), 'system', $2)`,
    [redactedType, notice],
  );
  await migrate(db, migrations);
  const log = await openLog(db);
  await log.append([secret]);
  const stored = (await readAll(log)).find(({ id }) => id === secret.id);
  assert.equal(stored?.data, redactedData);
  await log.close();
});
