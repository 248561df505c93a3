import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServerFrame } from "../../protocol/frames.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import { topics } from "../../protocol/topics.ts";
import { eventually } from "../harness.ts";
import { listen } from "../events.ts";
import { type Accounts, openAccounts } from "./accounts.ts";

async function openRoom(accounts: Accounts) {
  const [ann, bob] = [await accounts.register(), await accounts.register()];
  const body = { kind: "private", name: "plans", member_ids: [bob.user.id] };
  const room = await accounts.post("/api/v1/rooms", body, ann.access_token);
  const { id } = JSON.parse(room.text) as { id: number };
  const say = (content: string) =>
    accounts.post(`/api/v1/rooms/${id}/messages`, { client_msg_id: uuidv7(), content }, ann.access_token);
  return { ann, bob, id, topic: topics.room(id), say };
}

function textsOf(frames: readonly ServerFrame[]): string[] {
  return frames
    .filter((frame) => frame.type === "entry")
    .map(({ entry }) => (entry.data as { message?: { content: string } }).message?.content ?? entry.type);
}

test("entries come as events, and whoever comes back with the last id misses none of them", async (t) => {
  const accounts = await openAccounts(t);
  const { bob, topic, say } = await openRoom(accounts);
  const own = topics.user(bob.user.id);
  const query = `topics=${topic},${own}&token=${bob.access_token}`;
  const first = await listen(accounts.url, query);
  assert.equal(first.response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  assert.equal(first.response.headers.get("cache-control"), "no-store");
  assert.ok(first.response.headers.get("x-request-id"));
  await eventually("it is subscribed", () => first.frames().some(({ type }) => type === "subscribed"));
  await say("one");
  await eventually("the message", () => textsOf(first.frames()).length === 1);
  first.stop();
  await say("two");
  await say("three");

  const second = await listen(accounts.url, query, { "last-event-id": first.events.at(-1)?.id ?? "" });
  await say("four");
  await eventually("everything since", () => textsOf(second.frames()).length >= 3);
  assert.deepEqual(textsOf(second.frames()), ["two", "three", "four"]);
  second.stop();
});

test("a stream ends for whoever is removed, signs out, or when the server goes", async (t) => {
  const accounts = await openAccounts(t);
  const { ann, bob, id, topic, say } = await openRoom(accounts);
  const open = (token: string) =>
    listen(accounts.url, `topics=${topic}`, { authorization: `Bearer ${token}` });
  const [removed, stays] = [await open(bob.access_token), await open(ann.access_token)];
  await eventually("both are subscribed", () => [removed, stays].every((one) => one.frames().length > 0));
  await accounts.request("DELETE", `/api/v1/rooms/${id}/members/${bob.user.id}`, { key: ann.access_token });
  await say("secret");
  await eventually("the message", () => textsOf(stays.frames()).includes("secret"));
  await eventually("the removal", () => removed.frames().some(({ type }) => type === "removed"));
  assert.deepEqual(textsOf(removed.frames()), ["member.removed"]);

  await accounts.post("/api/v1/auth/logout", { refresh_token: bob.refresh_token });
  await eventually("the stream of whoever signed out ends", removed.isEnded);
  assert.deepEqual(removed.events.at(-1), {
    id: undefined,
    name: "close",
    data: { code: 4004, reason: "The person signed out, or was signed out" },
  });
  await accounts.app.close();
  await eventually("all end with the server", stays.isEnded);
  assert.equal((stays.events.at(-1)?.data as { code: number } | undefined)?.code, 4103);
});

test("what is wrong with a wish for a stream is told as over HTTP anywhere", async (t) => {
  const accounts = await openAccounts(t);
  const { bob, topic } = await openRoom(accounts);
  const key = bob.access_token;
  const tooMany = Array.from({ length: limits.topicsPerStream + 1 }, (_, i) => `room/${i + 1}`).join(",");
  const wrong: readonly (readonly [string, number, string, Record<string, string>?])[] = [
    ["", 400, "invalid_query"],
    ["topics=", 400, "invalid_query"],
    [`topics=${tooMany}`, 400, "invalid_query"],
    [`topics=${topic},${topic}`, 400, "invalid_query"],
    [`topics=${topic}&since=1`, 400, "invalid_query"],
    [`topics=${topic}`, 400, "invalid_header", { "last-event-id": "1-0-1,1-0-2" }],
    [`topics=${topic}&token=other`, 401, "unauthorized"],
  ];
  for (const [query, status, code, headers = {}] of wrong) {
    const answer = await accounts.request("GET", `/api/v1/events?${query}`, { key, headers });
    assert.deepEqual([answer.status, answer.problem().code], [status, code], query);
  }
  const anonymous = await accounts.request("GET", `/api/v1/events?topics=${topic}`);
  assert.equal(anonymous.problem().code, "unauthorized");
});

test("an address has so many streams and not one more, and asking for their headers takes no place", async (t) => {
  const accounts = await openAccounts(t, { CONNECTIONS_PER_ADDRESS: "1" });
  const { bob, topic } = await openRoom(accounts);
  const query = `topics=${topic}`;
  const key = bob.access_token;
  for (let i = 0; i < 3; i++) {
    assert.equal((await accounts.request("HEAD", `/api/v1/events?${query}`, { key })).status, 200);
  }
  const only = await listen(accounts.url, `${query}&token=${key}`);
  await eventually("it is subscribed", () => only.frames().length > 0);
  const second = await accounts.request("GET", `/api/v1/events?${query}`, { key });
  assert.deepEqual([second.status, second.problem().code], [429, "rate_limited"]);
  only.stop();
  await eventually("the place is free again", async () => {
    const again = await listen(accounts.url, `${query}&token=${key}`);
    again.stop();
    return again.response.status === 200;
  });
});
