import { test } from "node:test";
import assert from "node:assert/strict";
import { eventually, openTestDatabase } from "../../test/harness.ts";
import { newEntry, readAll, testEventLogContract } from "./eventlog.contract.ts";
import { testReadersContract } from "./eventlog-readers.contract.ts";
import { redactedData } from "./eventlog.ts";
import { dayMs, impatient, openLog, rotating } from "./postgres.fixture.ts";

for (const testContract of [testEventLogContract, testReadersContract])
  testContract("postgres", async () => {
    const db = await openTestDatabase();
    const log = await openLog(db, { retention: impatient });
    return { log, db, expireAll: () => log.maintain() };
  });

test("a second log on the same database is woken by the first one's appends", async () => {
  const db = await openTestDatabase();
  const [writer, reader] = [await openLog(db), await openLog(db)];
  const heard = new Promise<number>((resolve) => {
    reader.onGrowth((growth) => resolve(growth[0]?.head ?? 0));
  });
  await writer.append([newEntry("room/1")]);
  assert.equal(await heard, 1);
  assert.equal((await readAll(reader)).length, 1);
});

test("what another process redacts is no longer read here either", async () => {
  const db = await openTestDatabase();
  const [here, there] = [await openLog(db), await openLog(db)];
  // Whoever follows the log keeps what was just appended.
  here.onGrowth(() => undefined);
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
  const log = await openLog(db, { retention: rotating });
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
  const log = await openLog(db, { retention: { ...impatient, keepMaxMs: dayMs } });
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
  await openLog(db);
  const again = await openLog(db, { partitions: 32 });
  assert.equal(again.partitions, 16);
});
