import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, openTestDatabase } from "../../test/harness.ts";
import type { Db } from "../lib/db.ts";
import { newEntry, readAll } from "./eventlog.contract.ts";
import { impatient, openLog } from "./postgres.fixture.ts";
import { openSegmentIfDue } from "./segments.ts";

async function sessionsThatWait(db: Db): Promise<number> {
  const { rowCount } = await db.query(
    "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
  );
  return rowCount;
}

async function segmentTables(db: Db): Promise<readonly string[]> {
  const { rows } = await db.query<{ name: string }>(
    "select relname as name from pg_class where relname ~ '^eventlog_entry_[0-9]+$' and relkind = 'r' order by 1",
  );
  return rows.map(({ name }) => name);
}

test("equal ids stay one entry when the second waited for the first and for the opening of a segment", async () => {
  const db = await openTestDatabase();
  const [here, there] = [await openLog(db), await openLog(db)];
  await here.append([newEntry("room/2")]);
  const entry = newEntry("room/1");
  let opening: Promise<unknown> | undefined;
  let repetition: Promise<unknown> | undefined;
  await db.transaction(async (tx) => {
    await here.appendIn(tx, [entry]);
    opening = openSegmentIfDue(db, impatient);
    await eventually("the segment waits for the append", async () => (await sessionsThatWait(db)) === 1);
    repetition = there.append([entry]);
    await eventually("the repetition waits behind it", async () => (await sessionsThatWait(db)) === 2);
  });
  await Promise.all([opening, repetition]);
  assert.equal((await readAll(here)).filter(({ id }) => id === entry.id).length, 1);
});

test("a long reader keeps the table of a segment, but neither housekeeping nor anybody else", async () => {
  const db = await openTestDatabase();
  const log = await openLog(db, { retention: impatient });
  await log.append([newEntry("room/1")]);
  await db.transaction(async (tx) => {
    await tx.query("select from eventlog_entry");
    await log.maintain();
    assert.deepEqual(await segmentTables(db), ["eventlog_entry_1", "eventlog_entry_2"]);
    await log.append([newEntry("room/1", "meanwhile")]);
    assert.equal((await readAll(log)).length, 1);
  });
  await log.maintain();
  assert.equal((await segmentTables(db)).includes("eventlog_entry_1"), false);
});

test("housekeeping gives way to a transaction that holds a partition, and opens the segment the next time", async () => {
  const db = await openTestDatabase();
  const log = await openLog(db, { retention: { ...impatient, keepMs: 60_000, keepMaxMs: 60_000 } });
  await log.append([newEntry("room/1")]);
  await db.transaction(async (tx) => {
    await log.appendIn(tx, [newEntry("room/1")]);
    await log.maintain();
  });
  const segments = async (): Promise<number> =>
    (await db.query("select distinct segment from eventlog_segment")).rowCount;
  assert.equal(await segments(), 1);
  await log.maintain();
  assert.equal(await segments(), 2);
  assert.equal((await readAll(log)).length, 2);
});
