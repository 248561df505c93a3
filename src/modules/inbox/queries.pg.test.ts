import assert from "node:assert/strict";
import { test } from "node:test";
import { openTestDatabase } from "../../../test/harness.ts";
import type { Db } from "../../lib/db.ts";
import { dialogPageStatement, listDialogs, listMessages } from "./queries.ts";

const crowd = 20_000;
/** The step of activity that the crowd shares. */
const crowdStep = 180_000_000;

/** Half of the dialogs share one step of activity, the others have one each below it. All ids are in random order of time. */
async function fill(db: Db): Promise<void> {
  await db.query("insert into inbox_source (name, scheme) values ('demo', 'api_key')");
  await db.query(
    `insert into inbox_contact (source_id, external_client_id, phone, created_at)
     select 1, gen_random_uuid(), '+79190000000', now() from generate_series(1, $1::int)`,
    [crowd * 2],
  );
  await db.query(
    `insert into inbox_dialog (contact_id, state, messages_count, opened_at, last_message_at, last_message_text, activity_step)
     select c.id, case when c.id % 5 = 0 then 'closed' else 'open' end, 1, now(), to_timestamp(a.step * 10 + c.id % 10), '', a.step
       from inbox_contact c, lateral (select case when c.id % 2 = 0 then $1::bigint else $1::bigint - c.id end as step) a`,
    [crowdStep],
  );
  await db.query("analyze inbox_dialog, inbox_contact, inbox_source");
}

type PlanNode = {
  readonly "Node Type": string;
  readonly "Actual Rows": number;
  readonly "Actual Loops": number;
  readonly "Rows Removed by Filter"?: number;
  readonly Plans?: readonly PlanNode[];
};

/** Rows that any step of the statement's plan looked at, the most. */
async function rowsTouched(
  db: Db,
  { text, values }: ReturnType<typeof dialogPageStatement>,
): Promise<number> {
  const { rows } = await db.query<{ "QUERY PLAN": string }>(`explain (analyze, format json) ${text}`, values);
  const [{ Plan }] = JSON.parse(rows[0]?.["QUERY PLAN"] ?? "") as [{ Plan: PlanNode }];
  const touched = (node: PlanNode): number => {
    const own = (node["Actual Rows"] + (node["Rows Removed by Filter"] ?? 0)) * node["Actual Loops"];
    return Math.max(own, ...(node.Plans ?? []).map(touched));
  };
  return touched(Plan);
}

test("a page of dialogs reads as many rows as it shows, however deep, and however many share one step", async (t) => {
  const db = await openTestDatabase(t);
  await fill(db);
  const rows = 51;
  const { rows: deep } = await db.query<{ id: number; activity_step: number }>(
    `(select id, activity_step from inbox_dialog where activity_step = $1 order by id offset 100 limit 1)
     union all (select id, activity_step from inbox_dialog order by activity_step, id offset 200 limit 1)`,
    [crowdStep],
  );
  for (const filter of [{}, { state: "open" } as const]) {
    const places = [undefined, ...deep.map((row) => [row.activity_step, row.id])];
    for (const after of places) {
      const touched = await rowsTouched(db, dialogPageStatement(filter, { rows, after }));
      assert.ok(touched <= rows, `${JSON.stringify(filter)} after ${String(after)}: ${touched} rows`);
    }
  }
});

test("pages hold every dialog once, by steps of ten seconds, and within a page by the newest message", async (t) => {
  const db = await openTestDatabase(t);
  await fill(db);
  const seen = new Set<number>();
  let cursor: string | undefined;
  let before = Infinity;
  do {
    const page = await listDialogs(db, {
      state: "closed",
      limit: 200,
      ...(cursor === undefined ? {} : { cursor }),
    });
    const times = page.dialogs.map((dialog) => Date.parse(dialog.last_message_at));
    assert.deepEqual(
      times,
      times.toSorted((a, b) => b - a),
    );
    const steps = times.map((time) => Math.floor(time / 10_000));
    assert.ok(Math.max(...steps) <= before);
    before = Math.min(...steps);
    for (const { id } of page.dialogs) seen.add(id);
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  assert.equal(seen.size, (crowd * 2) / 5);
});

test("messages are listed the last one first as well, and pages of both directions agree", async (t) => {
  const db = await openTestDatabase(t);
  await db.query("insert into inbox_source (name, scheme) values ('demo', 'api_key')");
  await db.query(
    "insert into inbox_contact (source_id, external_client_id, phone, created_at) values (1, gen_random_uuid(), '+7', now())",
  );
  await db.query(
    `insert into inbox_dialog (contact_id, messages_count, opened_at, last_message_at, last_message_text, activity_step)
     values (1, 0, now(), now(), '', 0)`,
  );
  await db.query("create table inbox_message_all partition of inbox_message default");
  await db.query(
    `insert into inbox_message (dialog_id, sent_at, number, received_at, id, external_message_id, text)
     select 1, to_timestamp(n / 3), n, now(), gen_random_uuid(), gen_random_uuid(), n::text from generate_series(1, 25) n`,
  );
  const read = async (order: "asc" | "desc"): Promise<readonly (string | null)[]> => {
    const texts: (string | null)[] = [];
    let cursor: string | null = null;
    do {
      const query = { order, limit: 4, ...(cursor === null ? {} : { cursor }) };
      const page: Awaited<ReturnType<typeof listMessages>> = await listMessages(db, 1, query);
      texts.push(...page.messages.map(({ text }) => text));
      cursor = page.next_cursor;
    } while (cursor !== null);
    return texts;
  };
  const oldestFirst = Array.from({ length: 25 }, (_, i) => String(i + 1));
  assert.deepEqual(await read("asc"), oldestFirst);
  assert.deepEqual(await read("desc"), oldestFirst.toReversed());
  const { next_cursor: next } = await listMessages(db, 1, { order: "desc", limit: 4 });
  await assert.rejects(listMessages(db, 1, { cursor: next ?? "" }), { code: "invalid_cursor" });
});
