import assert from "node:assert/strict";
import { test } from "node:test";
import type { Problem } from "../../protocol/errors.ts";
import type { Unread } from "../../protocol/notifications.ts";
import { openAccounts } from "./accounts.ts";
import { inLanes, openLeanClient } from "./lean-client.ts";

const repeats = 10_000;
const connections = 20;

test("ten thousand repeats of one key over twenty connections, half with another body, have one effect", async (t) => {
  const accounts = await openAccounts(t, { RATE_LIMIT_IP: "100000/100000" });
  const { user, access_token: token } = await accounts.register();
  const key = await accounts.key(["notify:write"]);
  const client = openLeanClient(t, accounts.url, connections);
  const headers = {
    "content-type": "application/json",
    authorization: `Bearer ${key}`,
    "idempotency-key": "order-7",
  };
  const bodies = ["first", "other"].map((message) =>
    JSON.stringify({ target: [{ id: user.id }], message, source: "test" }),
  );
  const call = { path: "/api/v1/notify", headers };
  const replies = await inLanes(repeats, connections, async (i) => {
    const body = i % 2;
    const { status, text, headers: answered } = await client({ ...call, body: bodies[body] ?? "" });
    return { body, status, text, replayed: answered["idempotent-replayed"] };
  });
  const accepted = replies.filter(({ status }) => status === 202);
  const winner = accepted[0]?.body;
  assert.ok(
    accepted.every(({ body }) => body === winner),
    "the other body was never accepted",
  );
  assert.equal(new Set(accepted.map(({ text }) => text)).size, 1, "every answer is the same");
  assert.equal(
    accepted.filter(({ replayed }) => replayed === undefined).length,
    1,
    "one of them is the first",
  );
  for (const { body, status, text } of replies) {
    if (status === 202) continue;
    const { code } = JSON.parse(text) as Problem;
    // While the first one is worked on nobody knows whether another body is the same.
    if (status === 409) assert.equal(code, "request_in_flight");
    else assert.deepEqual([status, code, body === winner], [422, "idempotency_mismatch", false]);
  }
  const late = replies.slice(repeats / 2);
  assert.ok(
    late.every(({ body, status }) => status === (body === winner ? 202 : 422)),
    "by then it is known",
  );
  const answer = await accounts.request("GET", "/api/v1/notifications/unread", { key: token });
  assert.deepEqual(JSON.parse(answer.text) as Unread, { unread: 1, version: 1 });
});
