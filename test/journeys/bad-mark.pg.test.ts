import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Problem } from "../../protocol/errors.ts";
import { limits } from "../../protocol/limits.ts";
import { Unread } from "../../protocol/notifications.ts";
import { greet } from "../socket.ts";
import { openAccounts } from "./accounts.ts";

/** Marks that must be refused by the field that is wrong, over HTTP and over the socket alike. */

const accounts = await openAccounts({ after });
const { access_token: key } = await accounts.register();
const path = "/api/v1/notifications/mark";
const name = "notifications.mark";

/** Stands in values that no answer may repeat. */
const marker = "s3cr3t";
const id = "01a1fd6d-975e-7000-af02-84c5ca3e2bff";
const byIds = { state: "read", notification_ids: [id] };
const byPlace = { state: "read", up_to: "1658926500000-0" };
const idsOf = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, n) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`);

const either = "an object of `state` and either `notification_ids` or `up_to`, and not both";
type Case = readonly [what: string, body: unknown, at: readonly string[], says: string];
const cases: readonly Case[] = [
  ["nothing", {}, ["", "/state"], either],
  ["neither form", { state: "read" }, [""], either],
  ["both forms", { ...byIds, ...byPlace }, [""], either],
  ["no state", { up_to: byPlace.up_to }, ["/state"], "is required"],
  ["back to unread", { ...byIds, state: "unread" }, ["/state"], "one of seen, read, archived"],
  ["a state that is null", { ...byPlace, state: null }, ["/state"], "one of seen, read, archived"],
  ["no ids", { ...byIds, notification_ids: [] }, ["/notification_ids"], "a list of at least 1"],
  [
    "one id too many",
    { ...byIds, notification_ids: idsOf(limits.marksPerRequest + 1) },
    ["/notification_ids"],
    `a list of at most ${limits.marksPerRequest}`,
  ],
  ["one id as text", { ...byIds, notification_ids: id }, ["/notification_ids"], "a list"],
  ["an id that is none", { ...byIds, notification_ids: [id, marker] }, ["/notification_ids/1"], "a UUID"],
  [
    "an id in capitals",
    { ...byIds, notification_ids: [id.toUpperCase()] },
    ["/notification_ids/0"],
    "a UUID",
  ],
  ["a place that is none", { ...byPlace, up_to: marker }, ["/up_to"], "a stream id"],
  ["a place that is a number", { ...byPlace, up_to: 7 }, ["/up_to"], "a stream id"],
  ["a field that is not known", { ...byPlace, more: marker }, ["/more"], "is not a known field"],
  ["two wrong fields", { state: marker, up_to: marker }, ["/state", "/up_to"], "one of seen, read, archived"],
];

/** Whether what the refusal says is of these fields, in any order, and begins with one of them. */
function judge(
  { code, detail = "", errors = [] }: Partial<Problem>,
  [what, , at, says]: Case,
  whole: string,
) {
  assert.equal(code, "invalid_body", what);
  assert.deepEqual(errors.map(({ pointer }) => pointer).sort(), at, what);
  assert.ok(
    errors.some((one) => one.detail.includes(says)),
    `${what}: ${JSON.stringify(errors)}`,
  );
  const [first] = errors;
  assert.ok(detail.startsWith(`${first?.pointer === "" ? whole : first?.pointer} ${first?.detail}`), detail);
  assert.ok(!JSON.stringify({ detail, errors }).includes(marker), what);
}

test("over HTTP each bad mark is refused by what is wrong with it", async () => {
  for (const one of [...cases, ["a list", [], [""], either] as const]) {
    const answer = await accounts.request("POST", path, { key, json: one[1] });
    assert.equal(answer.status, 400, answer.text);
    judge(JSON.parse(answer.text) as Problem, one, "the body");
  }
});

test("over the socket each bad mark is refused by the same fields", async () => {
  const socket = await greet(accounts.url, key);
  for (const [n, one] of cases.entries()) {
    socket.send({ type: "request", id: n, name, params: one[1] });
    const frame = await socket.answer(n);
    assert.ok(frame.type === "error", JSON.stringify(frame));
    judge(frame.error, one, "params");
  }
  socket.ws.close();
});

test("both forms are taken, with as many ids as there may be, over HTTP and the socket", async () => {
  const socket = await greet(accounts.url, key);
  const good = [byIds, byPlace, { ...byIds, notification_ids: idsOf(limits.marksPerRequest) }];
  for (const [n, params] of good.entries()) {
    const answer = await accounts.request("POST", path, { key, json: params });
    assert.deepEqual([answer.status, answer.as(Unread)], [200, { unread: 0, version: 0 }], answer.text);
    socket.send({ type: "request", id: n, name, params });
    assert.deepEqual(await socket.answer(n), { type: "answer", id: n, data: answer.as(Unread) });
  }
  socket.ws.close();
});
