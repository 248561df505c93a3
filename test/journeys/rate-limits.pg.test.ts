import assert from "node:assert/strict";
import { test } from "node:test";
import { uuidv7 } from "../../protocol/ids.ts";
import type { Answer } from "../app.ts";
import { greet } from "../socket.ts";
import { openAccounts } from "./accounts.ts";
import { hexId, openInbox, signatures, webhook } from "./inbox.ts";

/** So little comes back per second that a test never sees it. */
const burst = (count: number): string => `0.01/${count}`;

/** Checks a refusal by the limit that is counted by `name`. */
function assertLimited(answer: Answer, name: string, quota: number): void {
  assert.equal(answer.status, 429, answer.text);
  const problem = answer.problem();
  assert.equal(problem.code, "rate_limited");
  assert.equal(problem.status, 429);
  const retryAfter = Number(answer.headers.get("retry-after"));
  assert.ok(retryAfter > 90 && retryAfter <= 100, String(retryAfter));
  assert.match(answer.headers.get("ratelimit") ?? "", new RegExp(`"${name}";r=0;t=\\d+`));
  const policy = `"${name}";q=${quota};w=${quota * 100}`;
  assert.ok(answer.headers.get("ratelimit-policy")?.includes(policy), policy);
}

test("one message more than a contact may send is 429, repetitions of known ones never are", async (t) => {
  const { app, dialogsOf, post, send } = await openInbox(t, { RATE_LIMIT_CONTACT: burst(3) });
  const client = hexId();
  const sent = Array.from({ length: 3 }, () => webhook({ external_client_id: client }));
  for (const body of sent) await send(body);
  const more = webhook({ external_client_id: client });
  assertLimited(await post(more), "contact", 3);
  for (const body of [...sent, ...sent]) await send(body);
  assertLimited(await post(more), "contact", 3);
  assertLimited(await post(webhook({ external_client_id: client.toUpperCase() })), "contact", 3);
  await send(webhook());
  await app.drain();
  assert.equal((await dialogsOf(client))[0]?.messages_count, 3);
});

test("copies of one new message that arrive together count once", async (t) => {
  const { app, dialogsOf, send } = await openInbox(t, { RATE_LIMIT_CONTACT: burst(1) });
  const sent = webhook();
  await Promise.all(Array.from({ length: 50 }, () => send(sent)));
  await app.drain();
  assert.equal((await dialogsOf(sent.external_client_id))[0]?.messages_count, 1);
});

test("one webhook more than a source may send is 429, and those that are not its own do not count", async (t) => {
  const { addSource, post, request, send, source } = await openInbox(t, { RATE_LIMIT_SOURCE: burst(5) });
  const signed = await addSource("telegram");
  const forge = (token: string) =>
    request("POST", `/api/v1/webhook?source=${signed.name}`, {
      json: webhook(),
      headers: signatures.telegram(token),
    });
  for (let i = 0; i < 10; i++) assert.equal((await forge("forged")).status, 401);
  assert.equal((await forge(signed.secret)).status, 202);

  for (let i = 1; i <= 5; i++) {
    const answer = await post(webhook());
    assert.equal(answer.status, 202);
    assert.match(
      answer.headers.get("ratelimit") ?? "",
      new RegExp(`"ip";r=\\d+;t=\\d+, "source";r=${5 - i};`),
    );
  }
  assertLimited(await post(webhook()), "source", 5);
  const other = await addSource("api_key");
  const answer = await request("POST", "/api/v1/webhook", { key: other.secret, json: webhook() });
  assert.equal(answer.status, 202);
  assert.notEqual(source.name, other.name);
  await assert.rejects(send(webhook()));
});

test("one request more than an address may send is 429 on every route but health", async (t) => {
  // The first one made the source.
  const { admin, post, request } = await openInbox(t, { RATE_LIMIT_IP: burst(5) });
  for (let i = 1; i <= 4; i++) {
    const answer = await post(webhook());
    assert.equal(answer.status, 202);
    assert.match(answer.headers.get("ratelimit") ?? "", new RegExp(`^"ip";r=${4 - i};`));
  }
  assertLimited(await post(webhook()), "ip", 5);
  const headers = { "x-forwarded-for": "203.0.113.9" };
  assertLimited(await request("GET", "/api/v1/dialogs", { key: admin, headers }), "ip", 5);
  assertLimited(await request("POST", "/api/v1/webhook", { body: "{broken" }), "ip", 5);
  assertLimited(await request("GET", "/nowhere"), "ip", 5);
  for (const path of ["/health", "/health/live", "/health/ready"]) {
    assert.equal((await request("GET", path)).status, 200);
  }
});

test("behind a trusted proxy each of its clients has a limit of its own", async (t) => {
  const { post, request, source } = await openInbox(t, {
    RATE_LIMIT_IP: burst(2),
    TRUST_PROXY: "127.0.0.1",
  });
  const from = (address: string) =>
    request("POST", "/api/v1/webhook", {
      key: source.secret,
      json: webhook(),
      headers: { "x-forwarded-for": address },
    });
  for (const address of ["203.0.113.1", "203.0.113.2", "2001:db8::1"]) {
    assert.equal((await from(address)).status, 202);
    assert.equal((await from(address)).status, 202);
    assertLimited(await from(address), "ip", 2);
  }
  assertLimited(await from("2001:db8::ffff"), "ip", 2);
  assert.equal((await post(webhook())).status, 202);
});

test("one request more than a person may send is 429, over their sockets too, which go on to hear", async (t) => {
  const { admin, post, register, request, url } = await openAccounts(t, { RATE_LIMIT_PERSON: burst(3) });
  const { access_token: key } = await register();
  const say = (credential: string) => post("/api/v1/messages", { content: "Hello" }, credential);
  for (let i = 1; i <= 3; i++) assert.equal((await say(key)).status, 201);
  assertLimited(await say(key), "person", 3);
  assertLimited(await request("GET", "/api/v1/me", { key }), "person", 3);
  assert.equal((await say((await register()).access_token)).status, 201);
  for (let i = 1; i <= 5; i++)
    assert.equal((await request("GET", "/api/v1/users", { key: admin })).status, 200);
  const socket = await greet(url, key);
  socket.send({ type: "subscribe", id: 1, topics: ["room/1"] });
  assert.equal((await socket.answer(1)).type, "subscribed");
  socket.send({ type: "request", id: 2, name: "typing.set", params: { room_id: 1, on: true } });
  const refused = await socket.answer(2);
  assert.ok(refused.type === "error", refused.type);
  assert.equal(refused.error.code, "rate_limited");
  assert.ok((refused.error.retry_after_s ?? 0) > 90);
});

test("1,000 retries of one send at once by one person are one message and equal answers, with the limits that hold unless set", async (t) => {
  const { post, register } = await openAccounts(t, { RATE_LIMIT_PERSON: "" });
  const { access_token: key } = await register();
  const wish = { content: "Hello", client_msg_id: uuidv7() };
  const answers = await Promise.all(
    Array.from({ length: 1_000 }, () => post("/api/v1/rooms/1/messages", wish, key)),
  );
  assert.equal(answers.filter(({ status }) => status === 201).length, 1);
  assert.equal(answers.filter(({ status }) => status === 200).length, 999);
  assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
});
