import { after, test } from "node:test";
import assert from "node:assert/strict";
import { eventually, openTestDatabase, testLog } from "../../test/harness.ts";
import { systemClock } from "../lib/clock.ts";
import type { Db } from "../lib/db.ts";
import { newEntry, readAll, testEventLogContract } from "./eventlog.contract.ts";
import { redactedData } from "./eventlog.ts";
import { type PostgresEventLog, openPostgresEventLog } from "./postgres.ts";
import type { SegmentRules } from "./segments.ts";

const opened: PostgresEventLog[] = [];
after(async () => {
  for (const log of opened) await log.close();
});

const dayMs = 86_400_000;
const ordinary: SegmentRules = {
  openAfterMs: dayMs,
  openAfterEntries: 5_000_000,
  keepMs: dayMs,
  keepMaxMs: 2 * dayMs,
};
/** Every call of `maintain` opens a segment, and nothing closed is kept. */
const impatient: SegmentRules = { openAfterMs: 0, openAfterEntries: 1, keepMs: -60_000, keepMaxMs: -60_000 };

async function open(db: Db, retention: SegmentRules = ordinary): Promise<PostgresEventLog> {
  const log = await openPostgresEventLog(db, {
    partitions: 16,
    queueEntriesMax: 20_000,
    appendTimeoutMs: 5_000,
    notify: true,
    retention,
    clock: systemClock,
    log: testLog,
  });
  opened.push(log);
  return log;
}

testEventLogContract("postgres", async () => {
  const db = await openTestDatabase();
  const log = await open(db, impatient);
  return { log, db, expireAll: () => log.maintain() };
});

test("a second log on the same database is woken by the first one's appends", async () => {
  const db = await openTestDatabase();
  const [writer, reader] = [await open(db), await open(db)];
  const heard = new Promise<number>((resolve) => {
    reader.onGrowth((growth) => resolve(growth[0]?.head ?? 0));
  });
  await writer.append([newEntry("room/1")]);
  assert.equal(await heard, 1);
  assert.equal((await readAll(reader)).length, 1);
});

test("what another process redacts is no longer read here either", async () => {
  const db = await openTestDatabase();
  const [here, there] = [await open(db), await open(db)];
  const secret = newEntry("room/1", "secret");
  await here.append([secret]);
  await there.redact([secret.id], "erasure");
  await eventually("the tombstone is read", async () => {
    const [first] = await readAll(here);
    return first?.data === redactedData;
  });
});

test("equal ids stay one entry when a segment is opened between them", async () => {
  const db = await openTestDatabase();
  const log = await open(db, { ...impatient, keepMs: dayMs, keepMaxMs: dayMs });
  const entry = newEntry("room/1");
  const [first] = await log.append([entry]);
  await log.maintain();
  const [again] = await log.append([entry]);
  assert.equal(again, first);
  await log.append([newEntry("room/1")]);
  assert.equal((await readAll(log)).length, 2);
});

test("a segment that a group has not read is kept until the hard limit", async () => {
  const db = await openTestDatabase();
  const log = await open(db, { ...impatient, keepMaxMs: dayMs });
  await log.append([newEntry("room/1")]);
  await db.query(
    "insert into eventlog_group (group_name, part, checkpoint) select 'slow', part, 0 from eventlog_partition",
  );
  await log.maintain();
  assert.equal((await readAll(log)).length, 1);
  await db.query("update eventlog_group set checkpoint = 1");
  await log.maintain();
  assert.equal((await readAll(log)).length, 0);
});

test("the number of partitions is fixed by the first start", async () => {
  const db = await openTestDatabase();
  await open(db);
  const again = await openPostgresEventLog(db, {
    partitions: 32,
    queueEntriesMax: 100,
    appendTimeoutMs: 1_000,
    notify: false,
    retention: ordinary,
    clock: systemClock,
    log: testLog,
  });
  opened.push(again);
  assert.equal(again.partitions, 16);
});
