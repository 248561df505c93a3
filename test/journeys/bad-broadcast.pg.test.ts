import { after } from "node:test";
import { openAccounts } from "./accounts.ts";
import { type BadTelling, badTellings, field, marker, testBadTellings } from "./bad-tellings.ts";

const accounts = await openAccounts({ after });
const { access_token: token } = await accounts.register();
const key = await accounts.key(["notify:write"]);
const otherKey = await accounts.key(["inbox:read"]);
const path = "/api/v1/broadcasts";
const good = { message: "Hello", source: "test" };

const cases: readonly BadTelling[] = [
  ...field("target", { "somebody in particular": [{ id: 1 }], null: null }),
  ...badTellings(token),
  ...field("expires_at", { "a field that is not known": "2030-01-01T00:00:00Z" }),
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

testBadTellings(accounts, { path, key, body: good }, { cases, least: 30, table: "notification_broadcast" });
