import assert from "node:assert/strict";
import { test } from "node:test";
import { NotificationPage, Notified, type Unread, streamIdPattern } from "../../protocol/notifications.ts";
import { closeRules } from "../../protocol/close-codes.ts";
import { createApp } from "../../src/app.ts";
import { eventually } from "../harness.ts";
import { missedEntriesMax } from "../../src/gateway/catch-up.ts";
import { type Accounts, openAccounts } from "./accounts.ts";
import { inLanes } from "./lean-client.ts";
import { SeedClient, idsOf } from "./notifications.ts";

type Cleanup = Parameters<typeof openAccounts>[0];

/** A server, a program that tells people things, and somebody. */
async function openScene(t: Cleanup, settings: Readonly<Record<string, string>> = {}) {
  const accounts = await openAccounts(t, settings);
  const key = await accounts.key(["notify:write"]);
  const clients: SeedClient[] = [];
  t.after(async () => clients.forEach((client) => client.drop()));
  const connect = (
    parameters: Readonly<Record<string, string | number>>,
    token?: string,
    url = accounts.url,
  ): SeedClient => {
    const client = new SeedClient(url, parameters, token);
    clients.push(client);
    return client;
  };
  const tell = async (userIds: readonly number[], parts: object = {}): Promise<readonly string[]> => {
    const json = { target: userIds.map((id) => ({ id })), message: "Hello", source: "test", ...parts };
    const answer = await accounts.request("POST", "/api/v1/notify", { key, json });
    assert.equal(answer.status, 202, answer.text);
    return idsOf(answer.as(Notified).results);
  };
  return { ...accounts, notifyKey: key, connect, tell };
}

async function unreadOf(accounts: Accounts, token: string): Promise<number> {
  const answer = await accounts.request("GET", "/api/v1/notifications/unread", { key: token });
  return (JSON.parse(answer.text) as Unread).unread;
}

test("seed 004 as it stands: notify, push, a restart between push and read, read, ack, and nothing more", async (t) => {
  const scene = await openScene(t);
  const [user1, user2] = [
    await scene.register({ username: "user1" }),
    await scene.register({ username: "user2" }),
  ];
  const json = {
    target: [
      { id: user1.user.id, login: "user1" },
      { id: user2.user.id, login: "user2" },
    ],
    message: "Новое сообщение",
    source: "chat-api",
    created_at: "2024-01-01T12:00:00Z",
  };
  const parameters = { user_id: user1.user.id, login: "user1" };
  const first = scene.connect(parameters, user1.access_token);
  const answer = await scene.request("POST", "/api/v1/notify", { key: scene.notifyKey, json });
  assert.equal(answer.status, 202, answer.text);
  const [id1 = "", id2 = ""] = idsOf(answer.as(Notified).results);
  assert.deepEqual(JSON.parse(answer.text), {
    results: [
      { target: json.target[0], notification_id: id1 },
      { target: json.target[1], notification_id: id2 },
    ],
  });
  const [push] = await first.hears(1);
  assert.match(push?.stream_id ?? "", new RegExp(streamIdPattern));
  assert.deepEqual(push, {
    notification_id: id1,
    stream_id: push?.stream_id,
    message: "Новое сообщение",
    created_at: "2024-01-01T12:00:00Z",
    source: "chat-api",
    status: "unread",
  });

  const { config } = scene.app.deps;
  await scene.app.close();
  const restarted = await createApp(config, { log: scene.app.deps.log });
  t.after(() => restarted.close());
  const url = `http://127.0.0.1:${restarted.api?.port ?? 0}`;
  const second = scene.connect(parameters, user1.access_token, url);
  assert.deepEqual(await second.hears(1), [push]);
  second.read(id1, push?.stream_id);
  await second.isAcknowledged(1);
  assert.deepEqual(second.frames.at(-1), {
    type: "notification.read.ack",
    data: { notification_id: id1, stream_id: push?.stream_id },
  });
  // A repetition is harmless, and acknowledged again; so is what nobody knows.
  second.read(id1, push?.stream_id);
  second.read("00000000-0000-4000-8000-000000000000");
  await second.isAcknowledged(3);
  const third = await scene.connect(parameters, user1.access_token, url).opened();
  third.read(id1);
  await third.isAcknowledged(1);
  assert.deepEqual(third.pushes, []);
  assert.deepEqual(second.errors, []);
});

test("what was told while somebody was away comes in order before what is new, on each device until it is read", async (t) => {
  const scene = await openScene(t);
  const { user, access_token: token } = await scene.register();
  const ids: string[] = [];
  for (let n = 0; n < 120; n++) ids.push(...(await scene.tell([user.id], { message: `m${n}` })));
  const [one, two] = [
    scene.connect({ user_id: user.id }, token),
    scene.connect({ login: user.username }, token),
  ];
  ids.push(...(await scene.tell([user.id], { message: "new" })));
  for (const device of [one, two]) {
    await eventually(
      "all of them",
      () => new Set(device.pushes.map((push) => push.notification_id)).size === ids.length,
    );
    const heard = [...new Set(device.pushes.map((push) => push.notification_id))];
    assert.deepEqual(heard, ids);
  }
  const [first = "", second = ""] = ids;
  one.read(first);
  await eventually("both devices know", () => one.acks.includes(first) && two.acks.includes(first));
  assert.deepEqual([one.acks, two.acks], [[first], [first]]);
  const json = { state: "archived", notification_ids: [second] };
  await scene.request("POST", "/api/v1/notifications/mark", { key: token, json });
  await eventually("both devices know", () => one.acks.includes(second) && two.acks.includes(second));
  assert.equal(await unreadOf(scene, token), ids.length - 2);
  const later = scene.connect({ user_id: user.id }, token);
  await later.hears(ids.length - 2);
  assert.deepEqual([...new Set(later.pushes.map((push) => push.notification_id))], ids.slice(2));
});

test("what has ended is neither pushed nor listed nor counted", async (t) => {
  const scene = await openScene(t, { NOTIFICATION_TTL: "3600,brief=1" });
  const { user, access_token: token } = await scene.register();
  const [ending] = await scene.tell([user.id], { source: "brief" });
  const [own] = await scene.tell([user.id], { source: "brief", ttl_s: 600 });
  const [lasting] = await scene.tell([user.id]);
  await eventually("one has ended", async () => (await unreadOf(scene, token)) === 2);
  const answer = await scene.request("GET", "/api/v1/notifications", { key: token });
  const page = answer.as(NotificationPage);
  assert.deepEqual(
    page.notifications.map((seen) => seen.notification_id),
    [lasting, own],
  );
  const client = scene.connect({ user_id: user.id }, token);
  await client.hears(2);
  assert.ok(client.pushes.every((push) => push.notification_id !== ending));
});

test("a connection that names somebody else is refused, and so is a program", async (t) => {
  const scene = await openScene(t);
  const { user, access_token: token } = await scene.register();
  for (const [parameters, credential] of [
    [{ user_id: user.id + 1 }, token],
    [{ login: "somebody-else" }, token],
    [{ user_id: user.id, login: "somebody-else" }, token],
    [{ user_id: `0${user.id}` }, token],
    [{ user_id: 1 }, scene.notifyKey],
  ] as const) {
    const client = scene.connect(parameters, credential);
    await eventually("it is sent away", () => client.closed !== undefined);
    assert.equal(client.closed, closeRules.forbidden.code, JSON.stringify(parameters));
  }
});

test("a bad read is answered with what is wrong, and the connection stays", async (t) => {
  const scene = await openScene(t);
  const { user, access_token: token } = await scene.register();
  const client = scene.connect({ user_id: user.id }, token);
  const [id = ""] = await scene.tell([user.id]);
  await client.hears(1);
  client.send({ type: "notification.read" });
  client.send({ type: "notification.read", data: { notification_id: 7 } });
  client.send({ type: "notification.read", data: { notification_id: id, stream_id: "x" } });
  await eventually("three refusals", () => client.errors.length === 3);
  assert.deepEqual(new Set(client.errors), new Set(["invalid_body"]));
  client.read(id);
  await eventually("the ack", () => client.acks.length === 1);
});

test("a client that acknowledges a whole backlog at once has all of it acknowledged, and is refused nothing", async (t) => {
  const scene = await openScene(t, { RATE_LIMIT_FRAMES: "500/20" });
  const { user, access_token: token } = await scene.register();
  const count = 300;
  const target = Array.from({ length: count }, (_, n) => n);
  for (const n of target) await scene.tell([user.id], { message: `m${n}` });
  const client = scene.connect({ user_id: user.id }, token);
  for (const { notification_id } of await client.hears(count)) client.read(notification_id);
  await eventually("all are acknowledged", () => client.acks.length === count);
  assert.deepEqual([client.errors, client.closed], [[], undefined]);
  assert.equal(await unreadOf(scene, token), 0);
});

test("who reads slowly hears everything, or is sent away and hears it on the next connection", async (t) => {
  const scene = await openScene(t);
  const bulk = { message: "x".repeat(4_000), ttl_s: 600 };
  // More than a reader is kept for: with some of these it is the last page that waits.
  const late = missedEntriesMax + 50;
  for (const backlog of [0, 149, 249]) {
    const { user, access_token: token } = await scene.register();
    for (let n = 0; n < backlog; n++) await scene.tell([user.id], bulk);
    const slow = await scene.connect({ user_id: user.id }, token).opened();
    slow.stopReading();
    await inLanes(late, 20, () => scene.tell([user.id]));
    slow.readOn();
    const expected = backlog + late;
    const heardBy = (client: SeedClient): number =>
      new Set(client.pushes.map((push) => push.notification_id)).size;
    await eventually(
      "it has heard all, or is sent away",
      () => slow.closed !== undefined || heardBy(slow) === expected,
    );
    if (slow.closed === undefined) continue;
    assert.equal(slow.closed, closeRules.slow_reader.code);
    const next = scene.connect({ user_id: user.id }, token);
    await eventually("the next one hears all", () => heardBy(next) === expected);
  }
});

test("who reads on a connection that hears nothing of it gets an answer all the same", async (t) => {
  const scene = await openScene(t);
  const { user, access_token: token } = await scene.register();
  const [id = ""] = await scene.tell([user.id]);
  const client = await scene.connect({}, token).opened();
  client.read(id);
  await eventually("the ack", () => client.acks.length === 1);
  assert.equal(await unreadOf(scene, token), 0);
});

test("what is erased from the log is no longer listed", async (t) => {
  const scene = await openScene(t);
  const { user, access_token: token } = await scene.register();
  const [id = "", other] = [
    ...(await scene.tell([user.id], { message: "secret" })),
    ...(await scene.tell([user.id])),
  ];
  await scene.app.deps.eventlog.redact([{ id, topic: `user/${user.id}` }], "erased");
  await scene.app.drain();
  const page = (await scene.request("GET", "/api/v1/notifications", { key: token })).as(NotificationPage);
  assert.deepEqual(
    page.notifications.map((seen) => seen.notification_id),
    [other],
  );
  assert.equal(page.unread, 1);
});
