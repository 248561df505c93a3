import assert from "node:assert/strict";
import { test } from "node:test";
import type { Problem } from "../../protocol/errors.ts";
import { limits } from "../../protocol/limits.ts";
import type { TestApp } from "../app.ts";

/** Stands in values that no answer may repeat. */
export const marker = "s3cr3t";

/** A request to tell somebody something that must be refused. */
export type BadTelling = {
  readonly what: string;
  readonly method?: string;
  readonly path?: string;
  /** Changes to a good body; undefined leaves the field out. */
  readonly body?: Readonly<Record<string, unknown>> | string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Status and code, and the fields at fault. */
  readonly refused: string;
  readonly at?: readonly string[];
  /** What its sentence must have in it. */
  readonly says?: string;
};

/** Values of one field that are wrong. */
export function field(
  name: string,
  values: Readonly<Record<string, unknown>>,
  says = "",
): readonly BadTelling[] {
  return Object.entries(values).map(([what, value]) => ({
    what: `${name}: ${what}`,
    body: { [name]: value },
    refused: "400 invalid_body",
    at: [`/${name}`],
    says,
  }));
}

/** What is wrong whoever is told; `token` is a person's. */
export const badTellings = (token: string): readonly BadTelling[] => [
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
  ...field(
    "created_at",
    {
      "the year 3000": "3000-01-01T00:00:00Z",
      "the last second that RFC 3339 has": "9999-12-31T23:59:59Z",
      "the year 999": "0999-12-31T23:59:59Z",
    },
    "in the years 1000 to 2999",
  ),
  ...field("created_at", { "a leap second": "2016-12-31T23:59:60Z" }, "without a leap second"),
  ...field("ttl_s", { zero: 0, "a second too long": limits.notificationTtlS + 1, text: "60" }),
  ...field("category", { capitals: "News", "one character too many": "c".repeat(limits.nameLength + 1) }),
  ...field("critical", { text: "true" }),
  ...field("link", { "a script": "javascript:alert(1)", "too long": `/${"x".repeat(limits.linkLength)}` }),
  ...field(
    "link",
    {
      "another host": `//${marker}.example/x`,
      "another host by a backslash": `/\\${marker}.example/x`,
      "another host with three slashes": `///${marker}.example/x`,
    },
    "two name another host",
  ),
  { what: "no JSON", body: "{", refused: "400 invalid_json" },
  { what: "a list", body: "[]", refused: "400 invalid_body", at: [""] },
  badKey("a key that is too long", "k".repeat(limits.idempotencyKeyLength + 1)),
  { what: "a person's token", headers: { authorization: `Bearer ${token}` }, refused: "403 forbidden" },
];

/** An idempotency key that is none; headers have a byte a character. */
export function badKey(what: string, key: string): BadTelling {
  return {
    what,
    headers: { "idempotency-key": Buffer.from(key).toString("latin1") },
    refused: "400 invalid_header",
    at: ["Idempotency-Key"],
  };
}

/** What lies exactly at each bound. */
const atBounds = {
  body: {
    created_at: "2024-02-29T12:00:00.123456789+03:00",
    ttl_s: limits.notificationTtlS,
    category: "c".repeat(limits.nameLength),
    critical: true,
    link: `/${"x".repeat(limits.linkLength - 1)}`,
    message: "😀".repeat(limits.messageTextLength),
  },
  headers: { "idempotency-key": "k".repeat(limits.idempotencyKeyLength) },
};

/** Where they go, and what a request says of which a case changes one thing. */
type Good = { readonly path: string; readonly key: string; readonly body: object };

/** Tests that each of so many cases is refused, that nothing is then in this table, and that nothing else was wrong. */
export function testBadTellings(
  { app, request }: TestApp,
  good: Good,
  { cases, least, table }: { cases: readonly BadTelling[]; least: number; table: string },
): void {
  test(`there are no fewer than ${least} bad requests, and no two alike`, () => {
    assert.ok(cases.length >= least, String(cases.length));
    assert.equal(new Set(cases.map(({ what }) => what)).size, cases.length);
  });

  test("every bad request is refused by what is wrong, and tells nobody anything", async () => {
    assert.equal((await misjudged(request, good, cases)).slice(0, 10).join("\n"), "");
    const { rows } = await app.deps.db.query<{ count: number }>(
      `select (select count(*) from ${table}) + (select count(*) from notification_request) as count`,
    );
    assert.equal(rows[0]?.count, 0);
  });

  test("what the table changes is wrong in one thing each: what it is changed from is accepted", async () => {
    const { body, headers } = atBounds;
    const json = { ...good.body, ...body };
    const answer = await request("POST", good.path, { key: good.key, json, headers });
    assert.equal(answer.status, 202, answer.text);
  });
}

/** Sends each of them, and names those that are not refused as they must be, or whose refusal repeats a marked value. */
async function misjudged(
  request: TestApp["request"],
  good: Good,
  cases: readonly BadTelling[],
): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const one of cases) {
    const { what, method = "POST", path = good.path, body, headers = {}, refused, at = [], says = "" } = one;
    const text = typeof body === "string" ? body : JSON.stringify({ ...good.body, ...body });
    const sent = method === "POST" || body !== undefined ? { body: text } : {};
    const type = "body" in sent ? { "content-type": "application/json" } : {};
    const all = { ...type, authorization: `Bearer ${good.key}`, ...headers };
    const answer = await request(method, path, { headers: all, ...sent });
    const { code, detail = "", errors = [] } = JSON.parse(answer.text) as Problem;
    const pointers = errors.map(({ pointer }) => pointer);
    if (`${answer.status} ${code}` !== refused || pointers.join(" ") !== at.join(" "))
      wrong.push(`${what}: wanted ${refused} at [${at.join(" ")}], got ${answer.text.slice(0, 300)}`);
    if (!detail.includes(says)) wrong.push(`${what}: does not say "${says}": ${detail}`);
    if (answer.text.includes(marker)) wrong.push(`${what}: shows too much: ${answer.text}`);
  }
  return wrong;
}
