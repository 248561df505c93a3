import assert from "node:assert/strict";
import { test } from "node:test";
import { BroadcastAccepted, type BroadcastList } from "../../protocol/broadcasts.ts";
import type { Unread } from "../../protocol/notifications.ts";
import { createClient } from "../../sdk/client.ts";
import { type NotificationStore, openNotifications } from "../../sdk/notification-store.ts";
import { createApp } from "../../src/app.ts";
import { createModules } from "../../src/modules.ts";
import { eventually } from "../harness.ts";
import { openAccounts } from "./accounts.ts";
import { cuttable } from "./event-law.ts";
import { SeedClient } from "./notifications.ts";

type Cleanup = Parameters<typeof openAccounts>[0];

/** A server, and a program that tells everybody things. */
async function openScene(t: Cleanup) {
  const accounts = await openAccounts(t);
  const key = await accounts.key(["notify:write"]);
  const connect = (userId: number, token: string, url = accounts.url): SeedClient => {
    const client = new SeedClient(url, { user_id: userId }, token);
    t.after(async () => client.drop());
    return client;
  };
  const tell = async (message: string, parts: object = {}): Promise<BroadcastAccepted> => {
    const json = { message, source: "ops", ...parts };
    const answer = await accounts.request("POST", "/api/v1/broadcasts", { key, json });
    assert.equal(answer.status, 202, answer.text);
    return answer.as(BroadcastAccepted);
  };
  const list = async (token: string, url?: string): Promise<BroadcastList> => {
    const address = `${url ?? ""}/api/v1/broadcasts`;
    const answer = await (url === undefined
      ? accounts.request("GET", address, { key: token })
      : fetch(address, { headers: { authorization: `Bearer ${token}` } }).then(async (response) => ({
          text: await response.text(),
        })));
    return JSON.parse(answer.text) as BroadcastList;
  };
  return { ...accounts, key, connect, tell, list };
}

const wordsOf = ({ broadcasts }: BroadcastList): readonly string[] =>
  broadcasts.map(({ message, status }) => `${message} ${status}`);

test("everybody is told over the seed's WebSocket, also who signs up later, until they have read it; also after a restart", async (t) => {
  const scene = await openScene(t);
  const ann = await scene.register();
  const first = await scene.connect(ann.user.id, ann.access_token).opened();
  const {
    broadcast_id: id,
    stream_id,
    expires_at,
  } = await scene.tell("Maintenance at 22:00", {
    created_at: "2024-01-01T12:00:00Z",
    ttl_s: 3_600,
    link: "/status",
  });
  assert.ok(Date.parse(expires_at) > Date.now());
  const push = {
    notification_id: id,
    stream_id,
    message: "Maintenance at 22:00",
    created_at: "2024-01-01T12:00:00Z",
    source: "ops",
    status: "unread",
  };
  assert.deepEqual(await first.hears(1), [push]);
  const bob = await scene.register();
  const bobs = scene.connect(bob.user.id, bob.access_token);
  assert.deepEqual(await bobs.hears(1), [push]);

  const { config } = scene.app.deps;
  await scene.app.close();
  const restarted = await createApp(config, { log: scene.app.deps.log });
  t.after(() => restarted.close());
  const url = `http://127.0.0.1:${restarted.api?.port ?? 0}`;
  const [one, two] = [
    scene.connect(ann.user.id, ann.access_token, url),
    scene.connect(ann.user.id, ann.access_token, url),
  ];
  for (const device of [one, two]) assert.deepEqual(await device.hears(1), [push]);
  one.read(id, stream_id);
  await eventually("both devices know", () => one.acks.length === 1 && two.acks.length === 1);
  assert.deepEqual(two.frames.at(-1), {
    type: "notification.read.ack",
    data: { notification_id: id, stream_id },
  });
  one.read(id);
  await eventually("a repetition is acknowledged", () => one.acks.length === 2);
  const later = await scene.connect(ann.user.id, ann.access_token, url).opened();
  later.read(id);
  await eventually("it is let in", () => later.acks.length === 1);
  assert.deepEqual(later.pushes, []);
  assert.deepEqual(wordsOf(await scene.list(ann.access_token, url)), ["Maintenance at 22:00 read"]);
  assert.deepEqual(wordsOf(await scene.list(bob.access_token, url)), ["Maintenance at 22:00 unread"]);
});

test("what everybody is told comes among a person's own, in order, to who was away", async (t) => {
  const scene = await openScene(t);
  const { user, access_token: token } = await scene.register();
  const words: string[] = [];
  for (let n = 0; n < 120; n++) {
    words.push(`m${n}`);
    if (n % 2 === 0) await scene.tell(`m${n}`);
    else {
      const json = { target: [{ id: user.id }], message: `m${n}`, source: "test" };
      assert.equal((await scene.request("POST", "/api/v1/notify", { key: scene.key, json })).status, 202);
    }
    // Places are of milliseconds, and within one a person's own come first.
    const told = Date.now();
    await eventually("the next millisecond", () => Date.now() > told);
  }
  const client = scene.connect(user.id, token);
  await client.hears(120);
  assert.deepEqual(
    client.pushes.map(({ message }) => message),
    words,
  );
  const unread = JSON.parse(
    (await scene.request("GET", "/api/v1/notifications/unread", { key: token })).text,
  ) as Unread;
  assert.equal(unread.unread, 60, "their own");
  assert.equal((await scene.list(token)).unread, 60);
});

test("what is withdrawn, or was erased from the log, is told to nobody any more", async (t) => {
  const scene = await openScene(t);
  const { user, access_token: token } = await scene.register();
  const [a, b] = [await scene.tell("a"), await scene.tell("b"), await scene.tell("c")];
  const ids = async (): Promise<readonly string[]> =>
    (await scene.list(scene.key)).broadcasts.map(({ notification_id: id, message }) => `${message} ${id}`);
  assert.equal((await ids()).at(-1), `a ${a.broadcast_id}`, "a program finds what it may withdraw");
  for (let n = 0; n < 2; n++) {
    const path = `/api/v1/broadcasts/${a.broadcast_id}`;
    assert.equal((await scene.request("DELETE", path, { key: scene.key })).status, 204);
  }
  await scene.app.deps.eventlog.redact([b.broadcast_id], "erased");
  await scene.app.drain();
  assert.deepEqual(wordsOf(await scene.list(token)), ["c unread"]);
  const client = scene.connect(user.id, token);
  await client.hears(1);
  assert.deepEqual(
    client.pushes.map(({ message }) => message),
    ["c"],
  );
});

test("a device that marks all as read reads nothing that it has not shown", async (t) => {
  const scene = await openScene(t);
  const { user, access_token: token } = await scene.register();
  const wish = async (json: object): Promise<void> => {
    const answer = await scene.request("PUT", "/api/v1/notifications/preferences", { json, key: token });
    assert.equal(answer.status, 200, answer.text);
  };
  await wish({ categories: { news: { inbox: "off", push: false } } });
  await scene.tell("news", { category: "news" });
  const json = { target: [{ id: user.id }], message: "own", source: "test" };
  assert.equal((await scene.request("POST", "/api/v1/notify", { key: scene.key, json })).status, 202);
  const client = createClient({ url: scene.url, credentials: token });
  const store = await openNotifications(client);
  t.after(() => {
    store.stop();
    client.stop();
  });
  await eventually("it shows what is not hidden", () => store.unread.get() === 1);
  store.markAllRead();
  await eventually("the server knows", async () => (await client.notifications.unread()).unread === 0);
  await wish({});
  await eventually("what was hidden is there", () => store.unread.get() === 1);
  assert.deepEqual(wordsOf(await scene.list(token)), ["news unread"]);
});

test("what has ended is removed by the timer, and everybody is told so", async (t) => {
  const scene = await openScene(t);
  const { access_token: token } = await scene.register();
  await scene.tell("brief", { ttl_s: 1 });
  const { version } = await scene.list(token);
  await eventually("it has ended", async () => (await scene.list(token)).broadcasts.length === 0);
  const { deps } = scene.app;
  const timers = createModules(deps).all.flatMap((module) => module.timers);
  await timers.find(({ name }) => name === "notification expiry")?.run(new AbortController().signal);
  assert.equal((await scene.list(token)).version, version + 1);
  const { rows } = await deps.db.query("select from notification_broadcast");
  assert.deepEqual(rows, []);
});

test("the same request under the same key is done once, and says so", async (t) => {
  const scene = await openScene(t);
  const call = (message: string) =>
    scene.request("POST", "/api/v1/broadcasts", {
      key: scene.key,
      json: { message, source: "ops" },
      headers: { "idempotency-key": "k1" },
    });
  const [first, again, other] = [await call("a"), await call("a"), await call("b")];
  assert.deepEqual([first.status, again.status, other.status], [202, 202, 422]);
  assert.equal(again.text, first.text);
  assert.deepEqual(
    [first, again].map(({ headers }) => headers.get("idempotent-replayed")),
    [null, "true"],
  );
});

test("devices with the client show everybody's and their own as one, over lost connections too, and nothing twice", async (t) => {
  const scene = await openScene(t);
  const program = createClient({ url: scene.url, credentials: scene.key });
  const { user, access_token: token } = await scene.register();
  const open = async () => {
    const { webSocket, cut } = cuttable();
    const errors: unknown[] = [];
    const client = createClient({
      url: scene.url,
      credentials: token,
      webSocket,
      onError: (error) => errors.push(error),
    });
    const store = await openNotifications(client);
    const shown: string[] = [];
    let last: readonly string[] = [];
    store.subscribe(({ notifications }) => {
      const messages = notifications.map(({ message }) => message);
      shown.push(...messages.filter((message) => !last.includes(message)));
      last = messages;
    });
    t.after(() => {
      store.stop();
      client.stop();
      assert.deepEqual(errors, []);
    });
    return { client, store, shown, cut };
  };
  const devices = [await open(), await open()];
  const unreadOf = (store: NotificationStore): readonly string[] =>
    store
      .get()
      .notifications.filter(({ status }) => status === "unread" || status === "seen")
      .map(({ message }) => message);
  const left: string[] = [];
  for (let n = 0; n < 24; n++) {
    const message = `m${n}`;
    const device = devices[n % 2] ?? assert.fail();
    if (n % 5 === 0) device.cut();
    const id =
      n % 3 === 0
        ? (
            await program.notifications.notify({ target: [{ id: user.id }], message, source: "test" })
          ).results.flatMap((result) => ("notification_id" in result ? [result.notification_id] : []))
        : [(await program.notifications.broadcast({ message, source: "test" })).broadcast_id];
    if (n % 4 === 0) device.store.markRead(id);
    else left.push(message);
  }
  const { client } = devices[0] ?? assert.fail();
  for (const { store, shown } of devices) {
    const wanted = JSON.stringify(left);
    await eventually("it shows what is unread, and counts it", async () => {
      const [own, shared] = [await client.notifications.unread(), await client.notifications.broadcasts()];
      return JSON.stringify(unreadOf(store)) === wanted && store.unread.get() === own.unread + shared.unread;
    }).catch(() => assert.deepEqual([unreadOf(store), store.unread.get()], [left, left.length]));
    assert.equal(new Set(shown).size, shown.length, "nothing is shown twice");
  }
  devices[0]?.store.markAllRead();
  for (const { store } of devices) await eventually("all are read", () => store.unread.get() === 0);
  assert.equal((await client.notifications.broadcasts()).unread, 0);
});
