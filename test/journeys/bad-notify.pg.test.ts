import assert from "node:assert/strict";
import { after, test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { NotificationPage } from "../../protocol/notifications.ts";
import { openAccounts } from "./accounts.ts";
import { type BadTelling, badKey, badTellings, field, marker, testBadTellings } from "./bad-tellings.ts";

const accounts = await openAccounts({ after });
const { user, access_token: token } = await accounts.register();
const key = await accounts.key(["notify:write"]);
const good = { target: [{ id: user.id }], message: "Hello", source: "test" };

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

const cases: readonly BadTelling[] = [
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
  ...badTellings(token),
  ...field("message", { null: null }),
  ...field("source", { "a list": ["chat-api"] }),
  ...field("created_at", {
    "a date alone": "2024-01-01",
    "no zone": "2024-01-01T12:00:00",
    "the 29th of February of another year": "2023-02-29T12:00:00Z",
    "hour 24": "2024-01-01T24:00:00Z",
    "a year that PostgreSQL does not know": "0000-01-01T12:00:00Z",
  }),
  ...field("ttl_s", { negative: -1, "a fraction": 1.5 }),
  ...field("category", { empty: "" }),
  ...field("critical", { "a number": 1 }),
  ...field("link", { words: "see there", "a lone surrogate": `/${marker}\ud800` }),
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
  badKey("an empty key", ""),
  badKey("a key with a space", "a b"),
  badKey("a key of another script", "ключ"),
  { what: "no such key", headers: { authorization: `Bearer tdk_${marker}` }, refused: "401 unauthorized" },
];

testBadTellings(
  accounts,
  { path: "/api/v1/notify", key, body: good },
  { cases, least: 40, table: "notification" },
);

test("times are kept to the millisecond: what is finer is cut off, and never rounded into another year", async () => {
  const person = await accounts.register();
  const sent = ["2999-12-31T23:59:59.999999999Z", "1000-01-01T00:00:00Z", "2024-01-01T12:00:00.1239+03:00"];
  for (const created_at of sent) {
    const json = { ...good, target: [{ id: person.user.id }], created_at };
    const answer = await accounts.request("POST", "/api/v1/notify", { key, json });
    assert.equal(answer.status, 202, answer.text);
  }
  const list = await accounts.request("GET", "/api/v1/notifications", { key: person.access_token });
  assert.deepEqual(
    list.as(NotificationPage).notifications.map(({ created_at }) => created_at),
    ["2024-01-01T09:00:00.123Z", "1000-01-01T00:00:00.000Z", "2999-12-31T23:59:59.999Z"],
  );
});
