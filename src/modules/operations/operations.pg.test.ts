import assert from "node:assert/strict";
import { after, test } from "node:test";
import { ConsumerGroupList, DeadLetterDetail, DeadLetterPage } from "../../../protocol/operations.ts";
import { startTestApp } from "../../../test/app.ts";

const server = await startTestApp({ after });
const { app, request } = server;
const { db } = app.deps;
const key = await server.key(["deadletters:manage", "stats:read"]);

/** Puts an entry into the retry stage of a group that no consumer of this server has. */
async function park(
  parked: { group: string; topic: string; offset: number; state: "dead" | "parked" },
  data = "{}",
): Promise<number> {
  const { rows } = await db.query<{ id: number }>(
    `insert into eventlog_parked (group_name, part, entry_offset, entry_id, topic, type, time, actor, data, state, attempts, error)
     values ($1, 0, $2, gen_random_uuid(), $3, 'test.thing', '2026-01-01T00:00:00Z', 'system', $4::json, $5, 5, 'broken')
     returning id`,
    [parked.group, parked.offset, parked.topic, data, parked.state],
  );
  return rows[0]?.id ?? 0;
}

async function page(query: string) {
  return (await request("GET", `/api/v1/dead-letters?${query}`, { key })).as(DeadLetterPage);
}

test("dead letters are listed page by page, the newest first, each with how many wait behind it", async () => {
  const ids: number[] = [];
  for (let i = 0; i < 5; i++) {
    const group = i % 2 === 0 ? "even" : "odd";
    ids.push(await park({ group, topic: `room/${i}`, offset: i * 10, state: "dead" }));
    for (let n = 1; n <= i; n++)
      await park({ group, topic: `room/${i}`, offset: i * 10 + n, state: "parked" });
  }
  const first = await page("limit=2");
  const second = await page(`limit=2&cursor=${first.next_cursor}`);
  await park({ group: "odd", topic: "room/9", offset: 900, state: "dead" });
  const third = await page(`limit=2&cursor=${second.next_cursor}`);
  const all = [first, second, third].flatMap(({ dead_letters }) => dead_letters);
  assert.deepEqual(
    all.map(({ id }) => id),
    ids.toReversed(),
  );
  assert.deepEqual(
    all.map(({ waiting_behind }) => waiting_behind),
    [4, 3, 2, 1, 0],
  );
  assert.equal(third.next_cursor, null);
  const odd = await page("group=odd&limit=2");
  assert.deepEqual(
    odd.dead_letters.map(({ group }) => group),
    ["odd", "odd"],
  );
  assert.equal((await page(`group=odd&cursor=${odd.next_cursor}`)).dead_letters.length, 1);
  const refused = await request("GET", `/api/v1/dead-letters?cursor=${odd.next_cursor}`, { key });
  assert.equal(refused.problem().code, "invalid_cursor", "a cursor goes on with its own filter");
});

test("a group that is not there is 404, and one that merely has no dead letters is not", async () => {
  for (const [method, path, json] of [
    ["GET", "/api/v1/dead-letters?group=inbux", undefined],
    ["POST", "/api/v1/dead-letters/retry", { group: "inbux" }],
  ] as const) {
    const answer = await request(method, path, { key, ...(json === undefined ? {} : { json }) });
    assert.deepEqual([answer.status, answer.problem().code], [404, "not_found"], path);
  }
  assert.deepEqual(await page("group=inbox"), { dead_letters: [], next_cursor: null });
  const retried = await request("POST", "/api/v1/dead-letters/retry", { key, json: { group: "inbox" } });
  assert.deepEqual([retried.status, retried.text], [202, '{"retried":0}']);
});

test("who retries and drops dead letters is logged, without their data", async (t) => {
  const { mock } = t.mock.method(app.deps.log, "info");
  const data = '{"text":"s3cr3t"}';
  const ids = [
    await park({ group: "logged", topic: "room/1", offset: 1, state: "dead" }, data),
    await park({ group: "logged", topic: "room/2", offset: 2, state: "dead" }, data),
    await park({ group: "logged", topic: "room/3", offset: 3, state: "dead" }, data),
  ];
  await request("POST", `/api/v1/dead-letters/${ids[0]}/retry`, { key });
  await request("DELETE", `/api/v1/dead-letters/${ids[1]}`, { key });
  await request("POST", "/api/v1/dead-letters/retry", { key, json: { group: "logged" } });
  const lines = mock.calls.map(({ arguments: [fields, text] }) => [text, fields] as const);
  const told = lines.filter(([text]) => String(text).startsWith("dead letter"));
  assert.deepEqual(
    told.map(([text]) => text),
    ["dead letter retried", "dead letter dropped", "dead letters of a group retried"],
  );
  for (const [, fields] of told) assert.match((fields as { actor: string }).actor, /^key:\d+$/);
  assert.ok(!JSON.stringify(lines).includes("s3cr3t"));
  await db.query("delete from eventlog_parked where group_name = 'logged'");
});

test("the data of a dead letter is shown as it was appended, whatever it holds", async () => {
  const texts = ['{"text":"\\u0000 \\ud800 ж","n":1.5,"list":[null,true]}', '"a text"', "null", "[]"];
  for (const [i, text] of texts.entries()) {
    const id = await park({ group: "shown", topic: `room/${i}`, offset: i, state: "dead" }, text);
    const answer = await request("GET", `/api/v1/dead-letters/${id}`, { key });
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.as(DeadLetterDetail).data, JSON.parse(text));
  }
});

test("the data of a dead letter is shown digit by digit, and fields that were given twice are", async () => {
  const text = '{"n":1640995200.0,"big":12345678901234567890,"n": {"a":1}, "n":2}';
  const id = await park({ group: "literal", topic: "room/1", offset: 1, state: "dead" }, text);
  const answer = await request("GET", `/api/v1/dead-letters/${id}`, { key });
  assert.ok(answer.text.endsWith(`,"data":${text}}`), answer.text);
});

test("an entry that merely waits is no dead letter: it is neither shown nor retried nor dropped", async () => {
  const id = await park({ group: "waiting", topic: "room/1", offset: 1, state: "parked" });
  for (const [method, path] of [
    ["GET", `/api/v1/dead-letters/${id}`],
    ["POST", `/api/v1/dead-letters/${id}/retry`],
    ["DELETE", `/api/v1/dead-letters/${id}`],
  ] as const) {
    const answer = await request(method, path, { key });
    assert.deepEqual([answer.status, answer.problem().code], [404, "not_found"]);
  }
  const listed = (await page("limit=200")).dead_letters.map((letter) => letter.id);
  assert.ok(!listed.includes(id));
});

test("every consumer group is shown with its lag, and a group that does not move falls behind", async () => {
  await db.query("delete from eventlog_parked");
  await db.query(
    "insert into eventlog_group (group_name, part, checkpoint) select 'stuck', part, 0 from eventlog_partition",
  );
  const source = await request("POST", "/api/v1/sources", {
    key: await server.key(["sources:manage"]),
    json: { name: "demo", scheme: "telegram", secret: "0123456789abcdef" },
  });
  assert.equal(source.status, 201);
  const digit = (n: number) => n.toString(16).repeat(32);
  for (let n = 0; n < 3; n++) {
    const json = {
      external_message_id: digit(n),
      external_client_id: digit(n),
      client_phone: "+79194961182",
      message_text: "hello",
      send_at: 0,
    };
    const headers = { "x-telegram-bot-api-secret-token": "0123456789abcdef" };
    assert.equal((await request("POST", "/api/v1/webhook?source=demo", { json, headers })).status, 202);
  }
  const groups = async () =>
    (await request("GET", "/api/v1/consumers", { key })).as(ConsumerGroupList).groups;
  const stuck = (await groups()).find(({ group }) => group === "stuck");
  assert.equal(stuck?.lag_entries, 3);
  assert.equal(stuck.owners, 0);
  assert.ok(stuck.lag_seconds >= 0 && stuck.lag_seconds < 60);
  await db.query("delete from eventlog_group where group_name = 'stuck'");
  await app.drain();
  const inbox = (await groups()).find(({ group }) => group === "inbox");
  assert.ok(inbox !== undefined);
  const { partitions, ...figures } = inbox;
  assert.deepEqual(figures, {
    group: "inbox",
    lag_entries: 0,
    lag_seconds: 0,
    parked: 0,
    dead: 0,
    owners: 1,
  });
  assert.equal(partitions.length, 16);
  assert.ok(partitions.every(({ lag_entries, stopped }) => lag_entries === 0 && stopped === null));
});
