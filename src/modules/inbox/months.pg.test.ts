import assert from "node:assert/strict";
import { test } from "node:test";
import { openTestDatabase } from "../../../test/harness.ts";
import type { Db } from "../../lib/db.ts";
import { dropOldMonths, ensureMonths, makeMonthsAhead } from "./months.ts";

const at = (time: string): number => Date.parse(`${time}Z`);

async function months(db: Db): Promise<readonly string[]> {
  const { rows } = await db.query<{ name: string }>(
    "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'inbox_message'::regclass order by 1",
  );
  return rows.map(({ name }) => name.replace("inbox_message_", ""));
}

/** A message that arrived then, with its key. */
async function arrive(db: Db, time: string): Promise<void> {
  await db.transaction((tx) => ensureMonths(tx, [at(time)]));
  await db.query(
    `with key as (
       insert into inbox_message_key (id, dialog_id, sent_at, received_at)
       values (gen_random_uuid(), 1, $1, $1) returning *
     )
     insert into inbox_message (dialog_id, sent_at, number, received_at, id, external_message_id, text)
     select 1, sent_at, 1, received_at, id, id, 'hello' from key`,
    [new Date(at(time))],
  );
}

async function arrivals(db: Db, table: string): Promise<readonly string[]> {
  const { rows } = await db.query<{ at: Date }>(`select received_at as at from ${table} order by 1`);
  return rows.map(({ at }) => at.toISOString().slice(0, 10));
}

test("the current month and two more stand ready, also across the end of a year", async (t) => {
  const db = await openTestDatabase(t);
  await makeMonthsAhead(db, at("2026-11-30T23:59:59.999"));
  await makeMonthsAhead(db, at("2026-11-30T23:59:59.999"));
  assert.deepEqual(await months(db), ["2026_11", "2026_12", "2027_01"]);
  await makeMonthsAhead(db, at("2026-12-01T00:00:00"));
  assert.deepEqual(await months(db), ["2026_11", "2026_12", "2027_01", "2027_02"]);
});

test("a batch makes every month that its messages arrived in, and each message lies in its own", async (t) => {
  const db = await openTestDatabase(t);
  const times = [
    "2024-02-29T23:59:59.999",
    "2024-03-01T00:00:00",
    "2023-12-31T12:00:00",
    "2024-05-05T05:05:05",
  ];
  await db.transaction((tx) => ensureMonths(tx, times.map(at)));
  assert.deepEqual(await months(db), ["2023_12", "2024_02", "2024_03", "2024_05"]);
  for (const time of times) await arrive(db, time);
  assert.deepEqual(await arrivals(db, "inbox_message_2024_02"), ["2024-02-29"]);
  assert.deepEqual(await arrivals(db, "inbox_message_2024_03"), ["2024-03-01"]);
});

test("many that need the same new month at once get it, and none of them fails", async (t) => {
  const db = await openTestDatabase(t);
  await Promise.all(
    Array.from({ length: 10 }, (_, i) =>
      db.transaction((tx) =>
        ensureMonths(tx, [at("2031-01-15T00:00:00"), at(`2031-0${(i % 3) + 2}-01T00:00:00`)]),
      ),
    ),
  );
  assert.deepEqual(await months(db), ["2031_01", "2031_02", "2031_03", "2031_04"]);
});

test("months beyond what is to be kept are dropped with their keys, the others stay", async (t) => {
  const db = await openTestDatabase(t);
  const days = ["2025-12-31", "2026-01-01", "2026-03-31", "2026-04-01", "2026-06-15"];
  for (const day of days) await arrive(db, `${day}T00:00:00`);
  const nowMs = at("2026-06-15T12:00:00");
  assert.deepEqual(await dropOldMonths(db, { keepMonths: 0, nowMs }), []);
  assert.deepEqual(await dropOldMonths(db, { keepMonths: 2, nowMs }), [
    "inbox_message_2025_12",
    "inbox_message_2026_01",
    "inbox_message_2026_03",
  ]);
  for (const table of ["inbox_message", "inbox_message_key"]) {
    assert.deepEqual(await arrivals(db, table), ["2026-04-01", "2026-06-15"]);
  }
  assert.deepEqual(await dropOldMonths(db, { keepMonths: 2, nowMs }), []);
  await arrive(db, "2026-03-31T00:00:00");
  assert.equal(
    (await arrivals(db, "inbox_message")).length,
    3,
    "a replay of an old entry makes its month again",
  );
});

test("dropping gives way to whoever reads, and is done the next time", async (t) => {
  const db = await openTestDatabase(t);
  await arrive(db, "2026-01-01T00:00:00");
  const keep = { keepMonths: 1, nowMs: at("2026-06-15T12:00:00") };
  await db.transaction(async (tx) => {
    await tx.query("select from inbox_message");
    const hurried = { pagesAtOnce: 100, workMaxMs: 3_000, attemptsMax: 1 };
    await assert.rejects(dropOldMonths(db, keep, hurried), { code: "55P03" });
  });
  assert.deepEqual(await months(db), ["2026_01"]);
  assert.deepEqual(await dropOldMonths(db, keep), ["inbox_message_2026_01"]);
});

test("what one run has no time for the next ones finish, and no message is ever without its key", async (t) => {
  const db = await openTestDatabase(t);
  await arrive(db, "2026-01-01T00:00:00");
  await db.query(
    `with key as (
       insert into inbox_message_key (id, dialog_id, sent_at, received_at)
       select gen_random_uuid(), 1, '2026-01-02', '2026-01-02' from generate_series(1, 300) returning *
     )
     insert into inbox_message (dialog_id, sent_at, number, received_at, id, external_message_id, text)
     select 1, sent_at, row_number() over (), received_at, id, id, 'hello' from key`,
  );
  const keep = { keepMonths: 1, nowMs: at("2026-06-15T12:00:00") };
  const left: number[] = [];
  for (let dropped: readonly string[] = []; dropped.length === 0;) {
    dropped = await dropOldMonths(db, keep, { pagesAtOnce: 1, workMaxMs: 0, attemptsMax: 1 });
    const [keys, messages] = [await arrivals(db, "inbox_message_key"), await arrivals(db, "inbox_message")];
    assert.equal(keys.length, messages.length);
    left.push(keys.length);
  }
  assert.ok(left.length > 2, "one run did all of it");
  assert.deepEqual(
    left,
    left.toSorted((a, b) => b - a),
  );
  assert.equal(left.at(-1), 0);
});
