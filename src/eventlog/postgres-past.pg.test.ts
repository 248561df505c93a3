import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, openTestDatabase, testLog, testServer } from "../../test/harness.ts";
import { AppError } from "../lib/errors.ts";
import { type Db, openDb } from "../lib/db.ts";
import { redactedData } from "./eventlog.ts";
import { newEntry, readAll } from "./eventlog.contract.ts";
import { noticeEntriesMax } from "./growth-notice.ts";
import { partitionOf } from "./murmur2.ts";
import { parsePosition } from "./position.ts";
import { openLog } from "./postgres.fixture.ts";

const partition = partitionOf("room/1", 16);

/** What is left after a failover to a standby that had not yet received the newest entries. */
async function loseAllAfter(db: Db, offset: number): Promise<void> {
  await db.query("delete from eventlog_entry where part = $1 and entry_offset > $2", [partition, offset]);
  await db.query("update eventlog_partition set next_offset = $2 + 1 where part = $1", [partition, offset]);
}

/** Ends every session of the database but this one. */
async function cutOff(db: Db, database: string = db.address.database): Promise<void> {
  await db.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()",
    [database],
  );
}

const numbered = (from: number, to: number, what: string) =>
  Array.from({ length: to - from + 1 }, (_, i) => newEntry("room/1", `${what} ${from + i}`));

test("after a failover that lost entries, a follower reads what came in their place and hears of it", async () => {
  const db = await openTestDatabase();
  const [here, there] = [await openLog(db), await openLog(db)];
  const heard: number[] = [];
  here.onGrowth((growth) => {
    for (const each of growth) if (each.partition === partition) heard.push(each.head);
  });
  await here.append(numbered(1, 110, "lost"));
  await loseAllAfter(db, 100);
  await cutOff(db);
  heard.length = 0;
  await there.append(numbered(101, 105, "real"));
  await eventually("the growth below the lost head is announced", () => heard.includes(105));
  const { entries } = await here.read(partition, 100, 50);
  assert.deepEqual(
    entries.map(({ data }) => data),
    numbered(101, 105, "real").map(({ data }) => data),
  );
  // Its own entries follow those, not the ones that it once knew there.
  await here.append(numbered(106, 111, "own"));
  const after = await here.read(partition, 100, 50);
  assert.deepEqual(
    after.entries.map(({ data }) => data),
    [...numbered(101, 105, "real"), ...numbered(106, 111, "own")].map(({ data }) => data),
  );
});

test("the first uses of a log put nothing in doubt that has opened its connections", async () => {
  const db = await openTestDatabase();
  const [log, there] = [await openLog(db), await openLog(db)];
  await log.connect();
  let doubts = 0;
  log.onDoubt(() => doubts++);
  // Read from the database, since nobody follows yet; then topics of both writers, and a notice of another process.
  await there.append([newEntry("room/1", "there")]);
  assert.equal((await log.read(partition, 0, 10)).entries.length, 1);
  await log.append(Array.from({ length: 40 }, (_, n) => newEntry(`room/${n}`)));
  const before = (await log.heads())[partition] ?? 0;
  const heard = new Promise<void>((resolve) => {
    log.onGrowth((growth) => {
      if (growth.some((each) => each.partition === partition && each.head > before)) resolve();
    });
  });
  await there.append([newEntry("room/1")]);
  await heard;
  assert.equal(doubts, 0);
});

test("a log that went back is noticed by the next poll, also when no connection broke", async () => {
  const db = await openTestDatabase();
  const [log, there] = [await openLog(db), await openLog(db)];
  const heard = new Promise<void>((resolve) => {
    log.onGrowth(() => resolve());
  });
  await there.append([newEntry("room/1", "by another process")]);
  await heard;
  await log.append(numbered(2, 10, "lost"));
  assert.equal((await log.read(partition, 5, 10)).entries.length, 5);
  await loseAllAfter(db, 5);
  await eventually("the lost entries are no longer read", async () => {
    const { entries } = await log.read(partition, 5, 10);
    return entries.length === 0;
  });
});

test("positions carry the generation that an operator has set, from the next poll on", async () => {
  const db = await openTestDatabase();
  const log = await openLog(db);
  const generation = async (): Promise<number> => {
    const [position] = await log.append([newEntry("room/1")]);
    return parsePosition(position ?? "").generation;
  };
  const before = await generation();
  await db.query("update eventlog_meta set generation = generation + 1");
  await eventually("the new generation", async () => (await generation()) === before + 1);
});

test("a generation is begun once, however many find that it must be, and all go on in it", async () => {
  const db = await openTestDatabase();
  const logs = await Promise.all([openLog(db), openLog(db), openLog(db)]);
  const [before = 0] = logs.map(({ generation }) => generation);
  const doubts = logs.map(() => 0);
  for (const [i, log] of logs.entries()) log.onDoubt(() => (doubts[i] = (doubts[i] ?? 0) + 1));
  await Promise.all(logs.map((log) => log.beginGeneration()));
  assert.deepEqual(
    logs.map(({ generation }) => generation),
    [before + 1, before + 1, before + 1],
  );
  assert.ok(doubts.every((times) => times > 0));
});

test("positions of one log are not those of another: each begins with a generation of its own", async () => {
  const [one, other] = await Promise.all([openTestDatabase(), openTestDatabase()]);
  const generations = [(await openLog(one)).generation, (await openLog(other)).generation];
  assert.notEqual(generations[0], generations[1]);
});

test("what nobody follows is read from the database", async () => {
  const db = await openTestDatabase();
  const log = await openLog(db);
  const stop = log.onGrowth(() => undefined);
  await log.append([newEntry("room/1", "kept")]);
  await readAll(log);
  stop();
  stop();
  await log.append([newEntry("room/1", "not kept")]);
  await db.query(`update eventlog_entry set data = '"of the database"'`);
  for (const after of [0, 1]) {
    const [entry] = (await log.read(partition, after, 1)).entries;
    assert.equal(entry?.data, '"of the database"');
  }
});

test("while its database is away an append is unavailable, and durable once when it is back", async (t) => {
  const db = await openTestDatabase();
  const log = await openLog(db, { appendTimeoutMs: 300 });
  const admin = openDb(testServer(), { poolMax: 1, log: testLog });
  t.after(() => admin.close());
  const { database } = db.address;
  await log.append([newEntry("room/2")]);
  const entry = newEntry("room/1");
  await admin.query(`alter database ${database} allow_connections false`);
  await cutOff(admin, database);
  await assert.rejects(log.append([entry]), (error) => {
    assert.ok(error instanceof AppError);
    return error.code === "unavailable";
  });
  await admin.query(`alter database ${database} allow_connections true`);
  await eventually("the append succeeds", () =>
    log.append([entry]).then(
      () => true,
      () => false,
    ),
  );
  assert.equal((await readAll(log)).filter(({ id }) => id === entry.id).length, 1);
});

test("a few entries of another process come with its notice, many are read from the database", async () => {
  const db = await openTestDatabase();
  const [here, there] = [await openLog(db), await openLog(db)];
  let heard = 0;
  here.onGrowth((growth) => {
    for (const each of growth) if (each.partition === partition) heard = each.head;
  });
  // Whoever listens does so once its connection stands.
  await there.append([newEntry("room/1", "first")]);
  await eventually("the first is heard of", () => heard === 1);
  const few = numbered(2, 6, "few");
  await there.append(few);
  await eventually("the few are heard of", () => heard === 6);
  await db.query(`update eventlog_entry set data = '"of the database"'`);
  const kept = await here.read(partition, 1, 10);
  assert.deepEqual(
    kept.entries.map(({ id, topic, type, actor, data }) => ({ id, topic, type, actor, data })),
    few.map(({ id, topic, type, actor, data }) => ({ id, topic, type, actor, data })),
  );
  assert.equal(kept.end, 6);
  const many = numbered(7, 7 + noticeEntriesMax, "many");
  await there.append(many);
  await eventually("the many are heard of", () => heard === 7 + noticeEntriesMax);
  await db.query(`update eventlog_entry set data = '"of the database"'`);
  const { entries } = await here.read(partition, 1, 10);
  assert.deepEqual([...new Set(entries.map(({ data }) => data))], ['"of the database"']);
});

const growthSessions =
  "select pid from pg_stat_activity where datname = $1 and application_name = 'tidings growth'";

test("entries do not go along with a notice over a connection that was made after they were appended", async () => {
  const db = await openTestDatabase();
  const here = await openLog(db);
  let heard = 0;
  here.onGrowth((growth) => {
    for (const each of growth) if (each.partition === partition) heard = each.head;
  });
  await here.append([newEntry("room/1", "first")]);
  const { rows: own } = await db.query<{ pid: number }>(growthSessions, [db.address.database]);
  const there = await openLog(db);
  await there.append([newEntry("room/1", "second")]);
  await eventually("the second is heard of", () => heard === 2);
  // What a failover does to the connection over which the next notice would go.
  await db.query(`select pg_terminate_backend(pid) from (${growthSessions}) s where pid <> all($2)`, [
    db.address.database,
    own.map(({ pid }) => pid),
  ]);
  await there.append([newEntry("room/1", "third")]);
  await eventually("the third is heard of", () => heard === 3);
  await db.query(`update eventlog_entry set data = '"of the database"'`);
  const { entries } = await here.read(partition, 2, 1);
  assert.equal(entries[0]?.data, '"of the database"');
});

test("what was redacted does not come back with the notice of its entry, however close the two are", async () => {
  const db = await openTestDatabase();
  const [here, there] = [await openLog(db), await openLog(db)];
  let heard = 0;
  here.onGrowth((growth) => {
    for (const each of growth) if (each.partition === partition) heard = each.head;
  });
  await there.append([newEntry("room/1", "first")]);
  await eventually("the first is heard of", () => heard === 1);
  for (let round = 0; round < 10; round++) {
    // Its notice goes at once, so that of the next entry waits.
    await there.append([newEntry("room/1", "before")]);
    const secret = newEntry("room/1", `secret ${round}`);
    await there.append([secret]);
    await here.redact([{ id: secret.id, topic: "room/1" }], "gone");
    // Notices of one process come in order, so what waited has come, too.
    await there.append([newEntry("room/1", "after")]);
    const [head = 0] = (await here.heads()).slice(partition);
    await eventually("all is heard of", () => heard === head);
    const { entries } = await here.read(partition, 0, 1_000);
    assert.equal(entries.find(({ id }) => id === secret.id)?.data, redactedData);
  }
});
