import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { test } from "node:test";
import { eventually } from "../../../../test/harness.ts";
import { Value } from "typebox/value";
import { jwtVerify } from "jose";
import { defaultPreferences } from "../../../../protocol/preferences.ts";
import { PushedNotification } from "../../../../protocol/push.ts";
import { heartbeatMs } from "../../../gateway/keeper.ts";
import { believeMs } from "../../../gateway/presence-people.ts";
import { leaveAfterMs } from "../../../gateway/presence.ts";
import { knownAfterMs } from "../../../gateway/who-is-there.ts";
import { deadAfterMs } from "./decide.ts";
import type { Queryable } from "../../../lib/db.ts";
import { takeDue } from "./due.ts";
import { pushAfterMs } from "./follow.ts";
import { callMaxMs } from "./call.ts";
import { lanesMax, personLanesMax, waitMaxMs } from "./lanes.ts";
import { hardLimit, leaseMs } from "./send.ts";
import { serviceLanesMin } from "./services.ts";
import { failuresMax, retryAfterMaxMs } from "./verdict.ts";
import { messagesTo, openPushStage, pushedTo } from "./push.fixture.ts";
import { openPushService } from "./service.fixture.ts";
import { createVapid } from "./vapid.ts";

const minuteMs = 60_000;

test("who has no connection is pushed what they were told: encrypted, signed, and all that a page needs to show it", async (t) => {
  const stage = await openPushStage(t);
  const { service, clock } = stage;
  const userId = await stage.person();
  const browser = await stage.subscribe(userId);
  await stage.tell(userId, { message: "before" });
  const id = await stage.tell(userId, {
    message: "Привет 😀",
    source: "shop",
    category: "orders",
    link: "/o/7",
  });
  await stage.pass(pushAfterMs - 1);
  assert.deepEqual(messagesTo(browser, service), [], "not before they had time to come back");
  await stage.pass(1);

  const pushed = pushedTo(browser, service).find(({ notification_id }) => notification_id === id);
  assert.deepEqual([...Value.Errors(PushedNotification, pushed)], []);
  assert.deepEqual(pushed, {
    notification_id: id,
    stream_id: pushed?.stream_id,
    message: "Привет 😀",
    source: "shop",
    category: "orders",
    link: "/o/7",
    created_at: new Date(clock.now() - pushAfterMs).toISOString(),
    unread: 2,
  });
  const { headers } = service.received[0] ?? assert.fail();
  assert.deepEqual(
    [headers["content-encoding"], headers["ttl"], headers["urgency"], headers["topic"]],
    ["aes128gcm", String(900 - pushAfterMs / 1_000), "normal", undefined],
  );
  assert.deepEqual([await stage.due(), await stage.outcomes()], [[], { sent: 2 }]);
});

test("the signature is of the key that browsers subscribe with, for their push service alone, and names whom to write to", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  await stage.subscribe(userId);
  await stage.tell(userId);
  await stage.pass();
  const { authorization = "" } = stage.service.received[0]?.headers ?? {};
  const [, token = "", key = ""] = /^vapid t=([^,]+), k=(.+)$/.exec(authorization) ?? [];
  const { publicKey, subject } = await createVapid(stage)();
  assert.equal(key, publicKey);
  const point = Buffer.from(publicKey, "base64url");
  const jwk = {
    kty: "EC",
    crv: "P-256",
    x: point.subarray(1, 33).toString("base64url"),
    y: point.subarray(33).toString("base64url"),
  };
  const { payload } = await jwtVerify(token, createPublicKey({ key: jwk, format: "jwk" }), {
    algorithms: ["ES256"],
    audience: stage.service.origin,
  });
  assert.equal(payload.sub, subject);
  const leftS = (payload.exp ?? 0) - Date.now() / 1_000;
  assert.ok(leftS > 3_600 && leftS <= 86_400, "good for longer than it is used, and no longer than a day");
});

test("nobody is pushed what they hear over a connection, but who only seems to be connected is pushed it some minutes later", async (t) => {
  const stage = await openPushStage(t);
  const { service, online } = stage;
  const [here, dead] = [await stage.person(), await stage.person()];
  const [one, other] = [await stage.subscribe(here), await stage.subscribe(dead)];
  online.add(here).add(dead);
  await stage.tell(here);
  await stage.tell(dead);
  await stage.pass();
  assert.deepEqual((await stage.due()).length, 2);
  online.delete(dead);
  await stage.pass(deadAfterMs - pushAfterMs - 1);
  assert.deepEqual(service.received.length, 0);
  await stage.pass(1);
  assert.deepEqual([messagesTo(one, service), messagesTo(other, service)], [[], ["Hello"]]);
  assert.deepEqual(await stage.due(), []);
  const noticedMs = 2 * heartbeatMs + leaveAfterMs;
  assert.ok(deadAfterMs >= believeMs + noticedMs, "by then it is known, also if the gateway was killed");
});

test("what was seen or read meanwhile, has ended or was removed is not pushed", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  await stage.subscribe(userId);
  const who = { userId, actor: `user:${userId}` };
  for (const state of ["seen", "read", "archived"] as const)
    await stage.store.mark(who, { state, notification_ids: [await stage.tell(userId)] });
  await stage.tell(userId, { ttlS: 5 });
  const removed = await stage.tell(userId);
  await stage.db.query("delete from notification where id = $1", [removed]);
  assert.equal((await stage.due()).length, 5);
  await stage.pass();
  assert.deepEqual([stage.service.received.length, await stage.due()], [0, []]);
  assert.deepEqual(await stage.outcomes(), { read: 5 });
});

test("who does not wish pushes of a category gets none, nor in quiet hours before they end; what is critical is pushed at once", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  const browser = await stage.subscribe(userId);
  const [none, off] = [
    { inbox: "each", push: false },
    { inbox: "off", push: true },
  ] as const;
  await stage.tell(userId, { category: "other", message: "wished" });
  await stage.tell(userId, { category: "news", message: "not by push" });
  await stage.tell(userId, { category: "ads", message: "turned off meanwhile" });
  await stage.tell(userId, { category: "news", critical: true, message: "critical" });
  const preferences = {
    ...defaultPreferences,
    categories: { news: none, ads: off },
    quiet_hours: { from: "00:00", to: "00:10" },
  };
  await stage.db.query("update notification_person set preferences = $2 where user_id = $1", [
    userId,
    preferences,
  ]);
  await stage.pass();
  assert.deepEqual(messagesTo(browser, stage.service), ["critical"]);
  assert.equal(stage.service.received[0]?.headers["urgency"], "high");
  assert.deepEqual(await stage.due(), [
    { id: (await stage.due())[0]?.id, inMs: 10 * minuteMs - pushAfterMs, failures: 0 },
  ]);
  await stage.pass(10 * minuteMs);
  assert.deepEqual(messagesTo(browser, stage.service), ["critical", "wished"]);
  assert.deepEqual(await stage.outcomes(), { unwanted: 2, waits: 1, sent: 2 });
});

test("a browser that its push service does not know any more is forgotten, with what was due to it", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  const [gone, missing, left] = [
    await stage.subscribe(userId),
    await stage.subscribe(userId),
    await stage.subscribe(userId),
  ];
  stage.service.answer((endpoint) => {
    if (endpoint === gone.subscription.endpoint) return { status: 410 };
    return { status: endpoint === missing.subscription.endpoint ? 404 : 201 };
  });
  await stage.tell(userId);
  await stage.pass();
  await stage.tell(userId);
  const { rows } = await stage.db.query("select id, last_ok_at from notification_push_subscription");
  assert.deepEqual(rows, [{ id: left.id, last_ok_at: new Date(stage.clock.now()) }]);
  assert.equal((await stage.due()).length, 1);
  assert.deepEqual(await stage.outcomes(), { gone: 2, sent: 1 });
});

test("a subscription ends with its sign-in, and with the person's account", async (t) => {
  const stage = await openPushStage(t);
  const [out, lapsed, disabled, stays] = [
    await stage.person(),
    await stage.person(),
    await stage.person(),
    await stage.person(),
  ];
  for (const userId of [out, lapsed, stays])
    await stage.subscribe(userId, { sessionId: await stage.signIn(userId) });
  await stage.subscribe(disabled);
  for (const userId of [out, lapsed, disabled, stays]) await stage.tell(userId);
  await stage.db.query(
    "update account_session set ended_at = now(), end_reason = 'logout' where user_id = $1",
    [out],
  );
  await stage.db.query("update account_session set expires_at = $2 where user_id = $1", [
    lapsed,
    new Date(stage.clock.now()),
  ]);
  await stage.db.query("update account_user set disabled_at = now() where id = $1", [disabled]);
  await stage.pass();
  const { rows } = await stage.db.query("select user_id from notification_push_subscription");
  assert.deepEqual([rows, stage.service.received.length], [[{ user_id: stays }], 1]);
  assert.deepEqual(await stage.outcomes(), { signed_out: 3, sent: 1 });
});

test("a push service that fails, is silent or hangs up is called again, ever more rarely, and given up in the end", async (t) => {
  const stage = await openPushStage(t);
  const { service } = stage;
  const userId = await stage.person();
  await stage.subscribe(userId);
  await stage.tell(userId, { ttlS: 86_400 });
  const answers = [{ status: 500 }, "silence", "hang up", { status: 429 }, { status: 408 }] as const;
  let lastMs = 0;
  service.answer({ status: 500 });
  await stage.pass();
  for (let failures = 1; failures < failuresMax; failures++) {
    const [due] = await stage.due();
    assert.ok(due !== undefined && due.failures === failures, `after ${failures}`);
    const ceilingMs = Math.min(3_600_000, 10_000 * 2 ** (failures - 1));
    assert.ok(due.inMs >= ceilingMs / 2 && due.inMs <= ceilingMs, `${due.inMs} of ${ceilingMs}`);
    lastMs = due.inMs;
    service.answer(answers[failures % answers.length] ?? assert.fail());
    await stage.pass(due.inMs - 1);
    assert.equal(service.received.length, failures, "not before it is due");
    await stage.pass(1);
  }
  assert.ok(lastMs > 600_000);
  assert.deepEqual([await stage.due(), service.received.length], [[], failuresMax]);
  assert.deepEqual(await stage.outcomes(), { failed: failuresMax - 1, given_up: 1 });
});

test("nothing is called again that would end before, and a push service is obeyed that says when, within an hour", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  await stage.subscribe(userId);
  stage.service.answer({ status: 429, headers: { "Retry-After": "120" } });
  await stage.tell(userId, { ttlS: 7_200 });
  await stage.pass();
  assert.equal((await stage.due())[0]?.inMs, 120_000);
  const inADay = new Date(stage.clock.now() + 120_000 + 86_400_000).toUTCString();
  stage.service.answer({ status: 503, headers: { "Retry-After": inADay } });
  await stage.pass(120_000);
  assert.equal((await stage.due())[0]?.inMs, retryAfterMaxMs);
  await stage.pass(retryAfterMaxMs);
  assert.deepEqual(
    [await stage.due(), stage.service.received.length],
    [[], 3],
    "it ends within the next hour",
  );
  assert.deepEqual(await stage.outcomes(), { failed: 2, given_up: 1 });
});

test("what a push service will never take is dropped, redirections are not followed, and the browser stays subscribed", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  await stage.subscribe(userId);
  for (const status of [400, 401, 403, 413, 302]) {
    stage.service.answer({ status, headers: { Location: `${stage.service.origin}/elsewhere` } });
    await stage.tell(userId);
    await stage.pass();
  }
  assert.deepEqual([await stage.due(), stage.service.received.length], [[], 5]);
  assert.deepEqual(await stage.outcomes(), { refused: 4, too_large: 1 });
  const { rows } = await stage.db.query("select last_ok_at from notification_push_subscription");
  assert.deepEqual(rows, [{ last_ok_at: null }]);
});

test("what is due survives a restart, and what was on its way when the process ended is sent again, what was answered is not", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  const [answered, waiting] = [await stage.subscribe(userId), await stage.subscribe(userId)];
  await stage.tell(userId, { message: "due" });
  stage.restart();
  const ending = new AbortController();
  stage.service.answer((endpoint) =>
    endpoint === waiting.subscription.endpoint ? "silence" : { status: 201 },
  );
  stage.clock.advance(pushAfterMs);
  const run = stage.start({ callMaxMs: 60_000 }).run(ending.signal);
  await eventually("one has answered", async () => (await stage.due()).length === 1);
  ending.abort(new Error("the process ends"));
  await Promise.allSettled([run]);
  assert.deepEqual(
    (await stage.due()).map(({ inMs, failures }) => [inMs, failures]),
    [[leaseMs, 0]],
  );
  stage.restart();
  stage.service.answer({ status: 201 });
  await stage.pass(leaseMs);
  const sent = [messagesTo(answered, stage.service), messagesTo(waiting, stage.service)];
  assert.deepEqual([sent, await stage.due()], [[["due"], ["due", "due"]], []]);
});

test("processes that both believe to lead send nothing twice", async (t) => {
  const stage = await openPushStage(t);
  const { signal } = new AbortController();
  const userId = await stage.person();
  const browser = await stage.subscribe(userId);
  const count = 2 * personLanesMax;
  for (let i = 0; i < count; i++) await stage.tell(userId, { message: `m${i}` });
  stage.clock.advance(pushAfterMs);
  const other = stage.start();
  await Promise.all([stage.run(signal), other.run(signal)]);
  const messages = messagesTo(browser, stage.service);
  assert.deepEqual([messages.length, new Set(messages).size], [count, count]);
});

test("what one process takes and has not written down yet, another one passes over", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  await stage.subscribe(userId);
  for (let i = 0; i < 5; i++) await stage.tell(userId);
  const nowMs = stage.clock.now() + pushAfterMs;
  const take = async (db: Queryable, rowsMax: number) => {
    const taken = await takeDue(db, { rowsMax, leaseMs }, nowMs);
    return taken.map(({ notificationId }) => notificationId);
  };
  const [one, other] = await stage.db.transaction(async (tx) => [await take(tx, 3), await take(stage.db, 3)]);
  assert.deepEqual([one?.length, other?.length, new Set([...(one ?? []), ...(other ?? [])]).size], [3, 2, 5]);
  assert.deepEqual(await take(stage.db, 5), [], "until the lease ends");
});

test("neither a push service that is silent nor a person whose browsers are holds up the others", async (t) => {
  const stage = await openPushStage(t);
  const elsewhere = await openPushService(t);
  const [userId, other] = [await stage.person(), await stage.person()];
  // Of the second service the same person has browsers, too, all of which are silent.
  for (const service of [stage.service, elsewhere])
    await stage.subscribe(userId, { browser: service.browser() });
  const browser = await stage.subscribe(other, { browser: elsewhere.browser() });
  stage.service.answer("silence");
  elsewhere.answer((endpoint) => (endpoint === browser.subscription.endpoint ? { status: 201 } : "silence"));
  for (let i = 0; i < lanesMax; i++) await stage.tell(userId);
  stage.clock.advance(1);
  for (let i = 0; i < 5; i++) await stage.tell(other, { ttlS: 800 });
  stage.clock.advance(pushAfterMs);
  const ending = new AbortController();
  const run = stage.start({ callMaxMs: 60_000 }).run(ending.signal);
  await eventually("all others have got theirs", async () => (await stage.outcomes())["sent"] === 5);
  ending.abort(new Error("the process ends"));
  await Promise.allSettled([run]);
  assert.equal(messagesTo(browser, elsewhere).length, 5);
  const silent = stage.service.received.length + elsewhere.received.length - 5;
  assert.ok(silent >= 1 && silent <= personLanesMax, `${silent} calls for one person`);
  assert.ok((await stage.outcomes())["sent"] === 5);
});

test("people whose push service is silent have no more lanes than it has, however many they are", async (t) => {
  const stage = await openPushStage(t);
  const elsewhere = await openPushService(t);
  const other = await stage.person();
  for (let i = 0; i < lanesMax + 1; i++) {
    const userId = await stage.person();
    await stage.subscribe(userId);
    await stage.tell(userId);
  }
  const browser = await stage.subscribe(other, { browser: elsewhere.browser() });
  stage.clock.advance(1);
  await stage.tell(other, { message: "the last one" });
  stage.service.answer("silence");
  stage.clock.advance(pushAfterMs);
  const ending = new AbortController();
  const run = stage.start({ callMaxMs: 60_000 }).run(ending.signal);
  await eventually("the other one has got theirs", async () => (await stage.outcomes())["sent"] === 1);
  ending.abort(new Error("the process ends"));
  await Promise.allSettled([run]);
  assert.deepEqual(
    [messagesTo(browser, elsewhere).length, stage.service.received.length],
    [1, serviceLanesMin],
  );
});

test("what is taken is not taken again while it waits for a lane, is called, and is given up at last", () => {
  assert.ok(leaseMs > waitMaxMs + hardLimit * callMaxMs + 5_000);
});

test("nothing is sent while it is not known who is connected", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  await stage.subscribe(userId);
  await stage.tell(userId);
  stage.uptime(knownAfterMs - 1);
  await stage.pass();
  assert.equal(stage.service.received.length, 0);
  stage.uptime(knownAfterMs);
  await stage.pass();
  assert.equal(stage.service.received.length, 1);
});
