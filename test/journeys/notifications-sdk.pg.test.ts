import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createClient } from "../../sdk/client.ts";
import { type NotificationStore, openNotifications } from "../../sdk/notification-store.ts";
import { eventually } from "../harness.ts";
import { type Accounts, openAccounts } from "./accounts.ts";
import { cuttable } from "./event-law.ts";
import { idsOf } from "./notifications.ts";

/** The client's notifications against the real server: devices of one person, and a program that tells them things. */

const messagesOf = (store: NotificationStore): readonly string[] =>
  store.get().notifications.map(({ message }) => message);
const unreadOf = (store: NotificationStore): readonly string[] =>
  store
    .get()
    .notifications.filter(({ status }) => status === "unread" || status === "seen")
    .map(({ message }) => message);

/** A device, with everything that ever came to be shown on it. */
async function openDevice(t: TestContext, { url }: Accounts, token: string) {
  const { webSocket, cut } = cuttable();
  const errors: unknown[] = [];
  const client = createClient({
    url,
    credentials: token,
    webSocket,
    onError: (error) => errors.push(error),
  });
  const store = await openNotifications(client);
  const shown: string[] = [];
  let last: readonly string[] = [];
  store.subscribe(() => {
    shown.push(...messagesOf(store).filter((message) => !last.includes(message)));
    last = messagesOf(store);
  });
  t.after(() => {
    store.stop();
    client.stop();
    assert.deepEqual(errors, []);
  });
  return { client, store, shown, cut };
}

/** A server, a program that tells things through the client, and somebody. */
async function openScene(t: TestContext) {
  const accounts = await openAccounts(t);
  const program = createClient({ url: accounts.url, credentials: await accounts.key(["notify:write"]) });
  const { user, access_token: token } = await accounts.register();
  let told = 0;
  const tell = async (message: string, parts: { readonly ttl_s?: number } = {}): Promise<string> => {
    const notify = { target: [{ id: user.id }], message, source: "test", ...parts };
    const { results } = await program.notifications.notify(notify, { idempotencyKey: `telling-${++told}` });
    return idsOf(results)[0] ?? assert.fail();
  };
  return { ...accounts, program, user, token, tell };
}

type Device = Awaited<ReturnType<typeof openDevice>>;

/** Waits until a device shows these as unread, and counts what the server counts. */
async function shows({ client, store }: Device, messages: readonly string[]): Promise<void> {
  const wanted = JSON.stringify(messages);
  await eventually(`it shows ${wanted}`, async () => {
    const { unread } = await client.notifications.unread();
    return JSON.stringify(unreadOf(store)) === wanted && store.unread.get() === unread;
  }).catch(() => assert.deepEqual([unreadOf(store), store.unread.get()], [messages, messages.length]));
}

test("what was told while somebody was away is on both devices, and what one of them reads is read on the other", async (t) => {
  const scene = await openScene(t);
  const a = await scene.tell("a");
  await scene.tell("b");
  const [one, two] = [await openDevice(t, scene, scene.token), await openDevice(t, scene, scene.token)];
  for (const device of [one, two]) await shows(device, ["a", "b"]);
  const c = await scene.tell("c");
  for (const device of [one, two]) await shows(device, ["a", "b", "c"]);

  one.store.markRead([a]);
  assert.equal(one.store.unread.get(), 2, "at once on the device itself");
  for (const device of [one, two]) await shows(device, ["b", "c"]);
  two.store.markSeen([c]);
  await eventually("it is seen", () => one.store.get().notifications.at(-1)?.status === "seen");
  two.store.archive([c]);
  for (const device of [one, two]) await shows(device, ["b"]);
  await eventually("it is gone", () => !messagesOf(one.store).includes("c"));
  await scene.tell("d");
  await shows(two, ["b", "d"]);
  two.store.markAllRead();
  for (const device of [one, two]) await shows(device, []);
  assert.deepEqual(messagesOf(one.store), ["a", "b", "d"]);
});

test("over lost connections nothing is lost and nothing shown twice, whatever was told and read meanwhile", async (t) => {
  const scene = await openScene(t);
  const [one, two] = [await openDevice(t, scene, scene.token), await openDevice(t, scene, scene.token)];
  for (const device of [one, two]) await shows(device, []);
  const words: string[] = [];
  const read = new Set<string>();
  for (let i = 0; i < 30; i++) {
    const word = `m${i}`;
    words.push(word);
    if (i % 5 === 0) one.cut();
    if (i % 7 === 0) two.cut();
    const id = await scene.tell(word);
    if (i % 3 !== 0) continue;
    read.add(word);
    // Also of what this device has not heard of yet.
    (i % 2 === 0 ? one : two).store.markRead([id]);
  }
  const left = words.filter((word) => !read.has(word));
  for (const device of [one, two]) {
    await shows(device, left);
    assert.deepEqual(new Set(device.shown).size, device.shown.length, "nothing is shown twice");
    // What was read before it was heard of need not be shown at all.
    assert.deepEqual(
      device.shown.filter((word) => !read.has(word)),
      left,
      "in the order in which it was told",
    );
  }
});

test("what ends disappears by itself from every device, and counts no more", async (t) => {
  const scene = await openScene(t);
  await scene.tell("brief", { ttl_s: 2 });
  await scene.tell("lasting");
  const device = await openDevice(t, scene, scene.token);
  await shows(device, ["brief", "lasting"]);
  // No entry says so before it is removed, which happens once a minute.
  await shows(device, ["lasting"]);
  assert.deepEqual(messagesOf(device.store), ["lasting"]);
  assert.deepEqual(device.shown, ["brief", "lasting"]);
});

test("under a key a program tells something once, however often it says so", async (t) => {
  const { program, user, token, ...scene } = await openScene(t);
  const notify = { target: [{ id: user.id }], message: "once", source: "test" };
  const first = await program.notifications.notify(notify, { idempotencyKey: "key" });
  assert.deepEqual(await program.notifications.notify(notify, { idempotencyKey: "key" }), first);
  const other = program.notifications.notify({ ...notify, message: "other" }, { idempotencyKey: "key" });
  await assert.rejects(other, { code: "idempotency_mismatch", status: 422 });
  const person = createClient({ url: scene.url, credentials: token });
  const { notifications, unread } = await person.notifications.list({ state: "any" });
  assert.deepEqual([notifications.map(({ message }) => message), unread], [["once"], 1]);
});
