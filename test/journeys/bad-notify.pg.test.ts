import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Problem } from "../../protocol/errors.ts";
import { limits } from "../../protocol/limits.ts";
import { openAccounts } from "./accounts.ts";

/** Stands in values that no answer may repeat. */
const marker = "s3cr3t";

type BadNotify = {
  readonly what: string;
  /** Changes to a good body; undefined leaves the field out. */
  readonly body?: Readonly<Record<string, unknown>> | string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Status and code, and the fields at fault. */
  readonly refused: string;
  readonly at?: readonly string[];
};

const accounts = await openAccounts({ after });
const { user, access_token: token } = await accounts.register();
const key = await accounts.key(["notify:write"]);
const good = { target: [{ id: user.id }], message: "Hello", source: "test" };

function field(name: string, values: Readonly<Record<string, unknown>>): readonly BadNotify[] {
  return Object.entries(values).map(([what, value]) => ({
    what: `${name}: ${what}`,
    body: { [name]: value },
    refused: "400 invalid_body",
    at: [`/${name}`],
  }));
}

const badTargets: readonly (readonly [what: string, target: unknown, at: string])[] = [
  ["an id that is text", { id: "1" }, "/target/0/id"],
  ["an id of 0", { id: 0 }, "/target/0/id"],
  ["a fraction", { id: 1.5 }, "/target/0/id"],
  ["no id", { login: "ann" }, "/target/0/id"],
  ["a login that is a number", { id: 1, login: 7 }, "/target/0/login"],
  ["a login that nobody can have", { id: 1, login: `${marker}!` }, "/target/0/login"],
  ["a field that is not known", { id: 1, name: "Ann" }, "/target/0/name"],
  ["null", null, "/target/0"],
];

const cases: readonly BadNotify[] = [
  ...field("target", {
    "left out": undefined,
    empty: [],
    "an object": { id: 1 },
    "one too many": Array.from({ length: limits.notifyTargets + 1 }, () => ({ id: 1 })),
  }),
  ...badTargets.map(([what, target, at]) => ({
    what: `target: ${what}`,
    body: { target: [target] },
    refused: "400 invalid_body",
    at: [at],
  })),
  ...field("message", {
    "left out": undefined,
    empty: "",
    blank: " \t\n",
    "one character too many": `${marker}${"a".repeat(limits.messageTextLength)}`,
    NUL: `${marker}\u0000`,
    "a lone surrogate": `${marker}\ud800`,
    "a number": 7,
    null: null,
  }),
  ...field("source", {
    "left out": undefined,
    empty: "",
    "one character too many": "s".repeat(limits.nameLength + 1),
    "a line break": "a\nb",
    "a list": ["chat-api"],
  }),
  ...field("created_at", {
    "unix seconds": 1_704_110_400,
    "a date alone": "2024-01-01",
    "no zone": "2024-01-01T12:00:00",
    "the 30th of February": "2024-02-30T12:00:00Z",
    "the 29th of February of another year": "2023-02-29T12:00:00Z",
    "hour 24": "2024-01-01T24:00:00Z",
    "a year that PostgreSQL does not know": "0000-01-01T12:00:00Z",
    words: marker,
  }),
  ...field("ttl_s", {
    zero: 0,
    negative: -1,
    "a second too long": limits.notificationTtlS + 1,
    text: "60",
    "a fraction": 1.5,
  }),
  ...field("category", {
    empty: "",
    capitals: "News",
    "one character too many": "c".repeat(limits.nameLength + 1),
  }),
  ...field("critical", { text: "true", "a number": 1 }),
  ...field("link", {
    "a script": "javascript:alert(1)",
    words: "see there",
    "too long": `/${"x".repeat(limits.linkLength)}`,
    "a lone surrogate": `/${marker}\ud800`,
  }),
  ...field("unknown", { "a field": 1 }),
  {
    what: "texts that are too much together",
    body: {
      target: Array.from({ length: Math.floor(limits.notifyBytes / 4_096) + 1 }, () => ({ id: user.id })),
      message: "a".repeat(4_096),
    },
    refused: "400 invalid_body",
    at: ["/message"],
  },
  { what: "no JSON", body: "{", refused: "400 invalid_json" },
  { what: "a list", body: "[]", refused: "400 invalid_body", at: [""] },
  ...Object.entries({
    "an empty key": "",
    "a key with a space": "a b",
    "a key of another script": "ключ",
    "a key that is too long": "k".repeat(limits.idempotencyKeyLength + 1),
  }).map(([what, value]) => ({
    what,
    headers: { "idempotency-key": Buffer.from(value).toString("latin1") },
    refused: "400 invalid_header",
    at: ["Idempotency-Key"],
  })),
  { what: "a person's token", headers: { authorization: `Bearer ${token}` }, refused: "403 forbidden" },
  { what: "no such key", headers: { authorization: `Bearer tdk_${marker}` }, refused: "401 unauthorized" },
];

test("there are no fewer than forty bad requests, and no two alike", () => {
  assert.ok(cases.length >= 40, String(cases.length));
  assert.equal(new Set(cases.map(({ what }) => what)).size, cases.length);
});

test("every bad request to tell people something is refused by what is wrong, and tells nobody anything", async () => {
  const wrong: string[] = [];
  for (const { what, body, headers = {}, refused, at = [] } of cases) {
    const text = typeof body === "string" ? body : JSON.stringify({ ...good, ...body });
    const all = { "content-type": "application/json", authorization: `Bearer ${key}`, ...headers };
    const answer = await accounts.request("POST", "/api/v1/notify", { headers: all, body: text });
    const { code, errors = [] } = JSON.parse(answer.text) as Problem;
    const pointers = errors.map(({ pointer }) => pointer);
    if (`${answer.status} ${code}` !== refused || pointers.join(" ") !== at.join(" "))
      wrong.push(`${what}: wanted ${refused} at [${at.join(" ")}], got ${answer.text.slice(0, 300)}`);
    if (answer.text.includes(marker)) wrong.push(`${what}: shows too much: ${answer.text}`);
  }
  assert.equal(wrong.slice(0, 10).join("\n"), "");
  const { rows } = await accounts.app.deps.db.query<{ count: number }>(
    "select (select count(*) from notification) + (select count(*) from notification_request) as count",
  );
  assert.equal(rows[0]?.count, 0);
});

test("what the table changes is wrong in one thing each: what it is changed from is accepted", async () => {
  const answer = await accounts.request("POST", "/api/v1/notify", {
    key,
    json: {
      ...good,
      created_at: "2024-02-29T12:00:00.123456789+03:00",
      ttl_s: limits.notificationTtlS,
      category: "c".repeat(limits.nameLength),
      critical: true,
      link: `/${"x".repeat(limits.linkLength - 1)}`,
      message: "😀".repeat(limits.messageTextLength),
    },
    headers: { "idempotency-key": "k".repeat(limits.idempotencyKeyLength) },
  });
  assert.equal(answer.status, 202, answer.text);
});
