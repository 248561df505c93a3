import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Problem } from "../../protocol/errors.ts";
import { limits } from "../../protocol/limits.ts";
import { openAccounts } from "./accounts.ts";

/** Stands in values that no answer may repeat. */
const marker = "s3cr3t";

type Bad = {
  readonly what: string;
  readonly method?: string;
  readonly path?: string;
  /** Changes to a good body; undefined leaves the field out. */
  readonly body?: Readonly<Record<string, unknown>> | string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Status and code, and the fields at fault. */
  readonly refused: string;
  readonly at?: readonly string[];
};

const accounts = await openAccounts({ after });
const { access_token: token } = await accounts.register();
const key = await accounts.key(["notify:write"]);
const otherKey = await accounts.key(["inbox:read"]);
const path = "/api/v1/broadcasts";
const good = { message: "Hello", source: "test" };

function field(name: string, values: Readonly<Record<string, unknown>>): readonly Bad[] {
  return Object.entries(values).map(([what, value]) => ({
    what: `${name}: ${what}`,
    body: { [name]: value },
    refused: "400 invalid_body",
    at: [`/${name}`],
  }));
}

const cases: readonly Bad[] = [
  ...field("target", { "somebody in particular": [{ id: 1 }], null: null }),
  ...field("message", {
    "left out": undefined,
    empty: "",
    blank: " \t\n",
    "one character too many": `${marker}${"a".repeat(limits.messageTextLength)}`,
    NUL: `${marker}\u0000`,
    "a lone surrogate": `${marker}\ud800`,
    "a number": 7,
  }),
  ...field("source", {
    "left out": undefined,
    empty: "",
    "one character too many": "s".repeat(limits.nameLength + 1),
    "a line break": "a\nb",
  }),
  ...field("created_at", {
    "unix seconds": 1_704_110_400,
    "the 30th of February": "2024-02-30T12:00:00Z",
    words: marker,
  }),
  ...field("ttl_s", { zero: 0, "a second too long": limits.notificationTtlS + 1, text: "60" }),
  ...field("category", { capitals: "News", "one character too many": "c".repeat(limits.nameLength + 1) }),
  ...field("critical", { text: "true" }),
  ...field("link", { "a script": "javascript:alert(1)", "too long": `/${"x".repeat(limits.linkLength)}` }),
  ...field("expires_at", { "a field that is not known": "2030-01-01T00:00:00Z" }),
  { what: "no JSON", body: "{", refused: "400 invalid_json" },
  { what: "a list", body: "[]", refused: "400 invalid_body", at: [""] },
  {
    what: "a key that is too long",
    headers: { "idempotency-key": "k".repeat(limits.idempotencyKeyLength + 1) },
    refused: "400 invalid_header",
    at: ["Idempotency-Key"],
  },
  { what: "a person's token", headers: { authorization: `Bearer ${token}` }, refused: "403 forbidden" },
  {
    what: "to withdraw no id",
    method: "DELETE",
    path: `${path}/1`,
    refused: "400 invalid_path",
    at: ["broadcast_id"],
  },
  {
    what: "to withdraw with a body",
    method: "DELETE",
    path: `${path}/00000000-0000-4000-8000-000000000000`,
    body: { reason: marker },
    refused: "400 invalid_body",
    at: [""],
  },
  {
    what: "to list with a filter",
    method: "GET",
    path: `${path}?state=unread`,
    headers: { authorization: `Bearer ${token}` },
    refused: "400 invalid_query",
    at: ["state"],
  },
  {
    what: "to list as a program that may tell nothing",
    method: "GET",
    headers: { authorization: `Bearer ${otherKey}` },
    refused: "403 forbidden",
  },
];

test("there are no fewer than thirty bad requests, and no two alike", () => {
  assert.ok(cases.length >= 30, String(cases.length));
  assert.equal(new Set(cases.map(({ what }) => what)).size, cases.length);
});

test("every bad request about what everybody is told is refused by what is wrong, and tells nobody anything", async () => {
  const wrong: string[] = [];
  for (const { what, method = "POST", body, headers = {}, refused, at = [], ...one } of cases) {
    const text = typeof body === "string" ? body : JSON.stringify({ ...good, ...body });
    const sent = method === "POST" || body !== undefined ? { body: text } : {};
    const type = "body" in sent ? { "content-type": "application/json" } : {};
    const all = { ...type, authorization: `Bearer ${key}`, ...headers };
    const answer = await accounts.request(method, one.path ?? path, { headers: all, ...sent });
    const { code, errors = [] } = JSON.parse(answer.text) as Problem;
    const pointers = errors.map(({ pointer }) => pointer);
    if (`${answer.status} ${code}` !== refused || pointers.join(" ") !== at.join(" "))
      wrong.push(`${what}: wanted ${refused} at [${at.join(" ")}], got ${answer.text.slice(0, 300)}`);
    if (answer.text.includes(marker)) wrong.push(`${what}: shows too much: ${answer.text}`);
  }
  assert.equal(wrong.slice(0, 10).join("\n"), "");
  const { rows } = await accounts.app.deps.db.query<{ count: number }>(
    "select (select count(*) from notification_broadcast) + (select count(*) from notification_request) as count",
  );
  assert.equal(rows[0]?.count, 0);
});

test("what the table changes is wrong in one thing each: what it is changed from is accepted", async () => {
  const answer = await accounts.request("POST", path, {
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
