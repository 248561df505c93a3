import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Problem, errorRules } from "../../protocol/errors.ts";
import type { Db } from "../../src/lib/db.ts";
import { type BadRequest, badBodies, badEnvelopes, marker } from "./bad-bodies.ts";
import { badReads } from "./bad-reads.ts";
import { badSenders } from "./bad-senders.ts";
import { openInbox, webhook } from "./inbox.ts";
import { type Reply, openLeanClient } from "./lean-client.ts";

const inbox = await openInbox({ after });
const { app, dialogsOf, messages, post, source, url } = inbox;
const client = openLeanClient({ after }, url, 4);

const jsonType = { "content-type": "application/json" };

const cases: readonly BadRequest[] = [
  ...badBodies,
  ...badEnvelopes.map((bad) => ({
    ...bad,
    headers: { authorization: `Bearer ${source.secret}`, ...(bad.headers ?? jsonType) },
  })),
  ...(await badSenders(inbox)),
  ...badReads(inbox),
];

/** Sends it with what it leaves unsaid being right. */
function send(bad: BadRequest): Promise<Reply> {
  return client({
    path: "/api/v1/webhook",
    headers: { ...jsonType, authorization: `Bearer ${source.secret}` },
    body: JSON.stringify(webhook()),
    ...bad,
  });
}

/** Rows of every table of the log and the inbox, and how far each partition of the log has come. */
async function traces(db: Db): Promise<Record<string, number>> {
  const { rows: tables } = await db.query<{ name: string }>(
    `select relname as name from pg_class
      where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
        and relname ~ '^(inbox|eventlog)_' order by 1`,
  );
  const counts: Record<string, number> = {};
  for (const { name } of tables) {
    const { rows } = await db.query<{ count: number }>(`select count(*) from ${name}`);
    counts[name] = rows[0]?.count ?? -1;
  }
  const { rows } = await db.query<{ sum: number }>(
    "select sum(next_offset)::bigint as sum from eventlog_partition",
  );
  return { ...counts, next_offset: rows[0]?.sum ?? -1 };
}

function readProblem({ status, headers, text }: Reply): Problem {
  assert.equal(headers["content-type"], "application/problem+json; charset=utf-8", text);
  const problem = JSON.parse(text) as Problem;
  assert.equal(problem.status, status);
  assert.equal(problem.type, `urn:tidings:error:${problem.code}`);
  assert.equal(problem.title, errorRules[problem.code].title);
  assert.equal(problem.request_id, headers["x-request-id"]);
  return problem;
}

const internals =
  /\b(select|insert|update \w+ set|postgres|pg_\w+|eventlog_\w+|inbox_\w+|constraint|node_modules|stack)\b|\.ts\b|\bat \S+:\d+|[A-Z]\w*Error\b/;

test("there are no fewer than a hundred and fifty bad requests, and no two alike", () => {
  assert.ok(cases.length >= 150, String(cases.length));
  assert.equal(new Set(cases.map(({ what }) => what)).size, cases.length);
});

test("every bad request gets the status, code and pointer that say what is wrong, and leaves no trace", async () => {
  await app.drain();
  const before = await traces(app.deps.db);
  const wrong: string[] = [];
  for (const bad of cases) {
    const reply = await send(bad);
    const { status, text } = reply;
    const { code, errors = [] } = readProblem(reply);
    const pointers = errors.map(({ pointer }) => pointer).sort();
    const expected = (bad.at ?? []).toSorted();
    if (`${status} ${code}` !== bad.refused || pointers.join(" ") !== expected.join(" ")) {
      wrong.push(`${bad.what}: wanted ${bad.refused} at [${expected.join(" ")}], got ${text}`);
    }
    if (text.includes(marker) || internals.test(text)) wrong.push(`${bad.what}: shows too much: ${text}`);
    if (status === 405) assert.match(String(reply.headers["allow"]), /OPTIONS/);
    if (status === 401) assert.equal(reply.headers["www-authenticate"], "Bearer");
  }
  assert.equal(wrong.slice(0, 10).join("\n"), "");
  await app.drain();
  assert.deepEqual(await traces(app.deps.db), before);
});

test("what lies exactly at a bound is accepted", async () => {
  const client = webhook().external_client_id;
  const good = [
    { message_text: "a" },
    { message_text: "a".repeat(4_096) },
    { message_text: "😀".repeat(4_096) },
    { message_text: ` \n${"b".repeat(4_096)}\t ` },
    { message_text: "\ud83d\ude00" },
    { client_phone: "+1234567" },
    { client_phone: "+123456789012345" },
    { send_at: 0 },
    { send_at: 4_102_444_800 },
  ];
  for (const parts of good) {
    const answer = await post(webhook({ external_client_id: client, ...parts }));
    assert.equal(answer.status, 202, answer.text);
  }
  await app.drain();
  const [dialog] = await dialogsOf(client);
  assert.equal(dialog?.messages_count, good.length);
  assert.equal((await messages(dialog.id)).length, good.length);
});

test("of a field that is given twice the last value counts", async () => {
  const sent = webhook({ message_text: "last" });
  const body = JSON.stringify(sent).replace("{", '{"message\\u005ftext":["first"],"send_at":"first",');
  const answer = await inbox.request("POST", "/api/v1/webhook", { key: source.secret, body });
  assert.equal(answer.status, 202, answer.text);
  await app.drain();
  const [dialog] = await dialogsOf(sent.external_client_id);
  const [message] = await messages(dialog?.id ?? 0);
  assert.deepEqual([message?.text, message?.sent_at], ["last", "2022-01-01T00:00:00.000Z"]);
});
