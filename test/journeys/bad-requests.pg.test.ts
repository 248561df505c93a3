import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Problem, errorRules } from "../../protocol/errors.ts";
import type { Db } from "../../src/lib/db.ts";
import { type BadRequest, badBodies, badEnvelopes, marker } from "./bad-bodies.ts";
import { badReads, goodCursor } from "./bad-reads.ts";
import { badSenders } from "./bad-senders.ts";
import { readDescription } from "../description.ts";
import { hexId, openInbox, signToken, webhook } from "./inbox.ts";
import { type Reply, openLeanClient, sendOdd } from "./lean-client.ts";

const jwtSecret = "a secret of the bad requests, long enough";
const inbox = await openInbox({ after }, { JWT_SECRET: jwtSecret });
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
  const body = JSON.stringify(webhook());
  if (bad.odd !== undefined) return sendOdd(url, { path: "/api/v1/webhook", body, odd: bad.odd });
  return client({
    path: "/api/v1/webhook",
    headers: { ...jsonType, authorization: `Bearer ${source.secret}` },
    body,
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
    const challenge = code === "unauthorized" ? "Bearer" : "Webhook-Signature";
    if (status === 401) assert.equal(reply.headers["www-authenticate"], challenge);
  }
  assert.equal(wrong.slice(0, 10).join("\n"), "");
  await app.drain();
  assert.deepEqual(await traces(app.deps.db), before);
});

test("the served description names every refusal of the table, but those of paths and methods that are none", async () => {
  const description = await readDescription(inbox.request);
  const missing = cases.map(({ what, method = "POST", path = "/api/v1/webhook", refused }) => {
    const [status = "", code = ""] = refused.split(" ");
    if (!description.has(method, path)) {
      return /^40[45] (not_found|method_not_allowed)$|^400 invalid_path$/.test(refused) ? undefined : what;
    }
    return description.missing(method, path, { status: Number(status), code });
  });
  assert.deepEqual(
    missing.filter((text) => text !== undefined),
    [],
  );
});

test("the cursors of the table are wrong in one thing each: the one they differ from is taken", async () => {
  const answer = await inbox.request("GET", `/api/v1/dialogs?cursor=${goodCursor}`, { key: inbox.admin });
  assert.equal(answer.status, 200, answer.text);
});

test("a person with the longest subject and issuer that there are can send a message", async () => {
  const key = signToken(jwtSecret, { sub: "ш".repeat(255), iss: "漢".repeat(255), scope: "webhook:write" });
  const path = `/api/v1/webhook?source=${source.name}`;
  const answer = await inbox.request("POST", path, { key, json: webhook() });
  assert.equal(answer.status, 202, answer.text);
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

/** So little comes back per second that a test never sees it. */
const burst = (count: number): string => `0.01/${count}`;

test("every bucket that is empty and a request that is late are refused as the served description says", async (t) => {
  const limited = await openInbox(t, {
    RATE_LIMIT_CONTACT: burst(1),
    RATE_LIMIT_SOURCE: burst(4),
    RATE_LIMIT_IP: burst(12),
    REQUEST_TIMEOUT_MS: "1000",
  });
  const description = await readDescription(limited.request);
  const path = "/api/v1/webhook";
  const refusals: (readonly [string, Reply, string])[] = [];
  const client = openLeanClient(t, limited.url, 1);
  const headers = { ...jsonType, authorization: `Bearer ${limited.source.secret}` };
  const call = (parts: object) => client({ path, headers, body: JSON.stringify(webhook(parts)) });

  const sameContact = { external_client_id: hexId() };
  assert.equal((await call(sameContact)).status, 202);
  refusals.push(["429 rate_limited", await call(sameContact), '"contact";r=0']);
  for (let i = 0; i < 2; i++) assert.equal((await call({})).status, 202);
  refusals.push(["429 rate_limited", await call({}), '"source";r=0']);
  const odd = [`Authorization: Bearer ${limited.source.secret}`, "X-Late: yes"];
  refusals.push([
    "408 request_timeout",
    await sendOdd(limited.url, { path, odd, body: "{", missing: 1 }),
    "",
  ]);
  let last = await call({});
  while (!String(last.headers["ratelimit"]).startsWith('"ip";r=0;')) last = await call({});
  refusals.push(["429 rate_limited", await call({}), '"ip";r=0']);

  for (const [refused, reply, bucket] of refusals) {
    const { status, code } = readProblem(reply);
    assert.equal(`${status} ${code}`, refused);
    assert.ok(String(reply.headers["ratelimit"] ?? "").includes(bucket), `${bucket}: ${reply.text}`);
    assert.equal(description.missing("POST", path, { status, code }), undefined);
  }
});
