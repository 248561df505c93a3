import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, createClient } from "../../sdk/client.ts";
import type { Problem } from "../../protocol/errors.ts";
import { limits } from "../../protocol/limits.ts";
import { PushSubscribed, PushSubscriptionList } from "../../protocol/push.ts";
import {
  type Browser,
  createBrowser,
  openPushService,
} from "../../src/modules/notifications/push/service.fixture.ts";
import { eventually } from "../harness.ts";
import { openAccounts, password, signedInOf } from "./accounts.ts";

/** Web push over HTTP and by the client library, to a push service on this machine. */

const service = await openPushService({ after });
const accounts = await openAccounts({ after }, { WEB_PUSH_HOSTS: "127.0.0.1" });

/** Somebody with a browser, as a page sees it. */
async function openPage(): Promise<{ client: Client; browser: Browser; userId: number; token: string }> {
  const { user, access_token: token } = await accounts.register();
  const client = createClient({ url: accounts.url, credentials: token });
  return { client, browser: service.browser(), userId: user.id, token };
}

/** What a browser's `PushSubscription` is to a page: more than the server wants, until it is written as JSON. */
const asBrowserHasIt = ({ subscription }: Browser) => ({
  options: { userVisibleOnly: true },
  unsubscribe: () => Promise.resolve(true),
  toJSON: () => ({ ...subscription, whatever: "a later standard adds" }),
});

const pushedTo = (browser: Browser) =>
  service.received
    .filter(({ endpoint }) => endpoint === browser.subscription.endpoint)
    .map(({ body }) => browser.decrypt(body));

test("whose page is closed gets it from the push service, and whose page is open does not", async (t) => {
  const [closed, open] = [await openPage(), await openPage()];
  t.after(() => open.client.stop());
  for (const { client, browser } of [closed, open]) {
    assert.match(await client.push.key(), /^B[A-Za-z0-9_-]{86}$/);
    await client.push.subscribe(asBrowserHasIt(browser));
  }
  const heard: string[] = [];
  open.client.subscribe(`user/${open.userId}`, { entry: ({ type }) => heard.push(type) });
  open.client.start();
  await eventually("it is connected", () => open.client.connection.get().state === "open");
  const program = createClient({ url: accounts.url, credentials: await accounts.key(["notify:write"]) });
  await program.notifications.notify({
    target: [{ id: closed.userId }, { id: open.userId }],
    message: "Your order has left",
    source: "shop",
    link: "https://shop.example.org/orders/7",
  });
  // After the start of a server it is some time until it is known who is connected.
  await eventually("it is pushed", () => pushedTo(closed.browser).length === 1, 30_000);
  const [pushed] = pushedTo(closed.browser);
  const { notifications } = await closed.client.notifications.list();
  assert.deepEqual(pushed, {
    notification_id: notifications[0]?.notification_id,
    stream_id: notifications[0]?.stream_id,
    message: "Your order has left",
    source: "shop",
    category: "general",
    link: "https://shop.example.org/orders/7",
    created_at: notifications[0]?.created_at,
    unread: 1,
  });
  assert.equal(
    service.received[0]?.headers["authorization"]?.endsWith(`k=${await closed.client.push.key()}`),
    true,
  );
  await eventually("the other one has heard it", () => heard.includes("notification.created"));
  assert.deepEqual(pushedTo(open.browser), []);
  await eventually("it is shown that the push service took it", async () => {
    const { subscriptions } = await closed.client.push.list();
    return subscriptions[0]?.last_ok_at !== null;
  });
});

test("a browser is subscribed once, is shown without its secrets, and is gone when its person ends it or signs out", async () => {
  const { user, access_token: token, refresh_token } = await accounts.register();
  const [client, browser] = [createClient({ url: accounts.url, credentials: token }), service.browser()];
  const path = "/api/v1/push/subscriptions";
  const first = await accounts.post(path, browser.subscription, token);
  const again = await accounts.post(path, browser.subscription, token);
  assert.deepEqual([first.status, again.status], [201, 200]);
  const { id } = first.as(PushSubscribed);
  assert.equal(again.as(PushSubscribed).id, id);
  const list = await accounts.request("GET", path, { key: token });
  const [shown] = list.as(PushSubscriptionList).subscriptions;
  assert.deepEqual([shown?.id, shown?.host, shown?.last_ok_at], [id, new URL(service.origin).host, null]);
  for (const secret of ["/push/", browser.subscription.keys.auth, browser.subscription.keys.p256dh])
    assert.ok(!list.text.includes(secret));

  await client.push.unsubscribe(id);
  await client.push.unsubscribe(id);
  assert.deepEqual((await client.push.list()).subscriptions, []);

  await client.push.subscribe(browser.subscription);
  assert.equal((await client.push.list()).subscriptions.length, 1);
  await accounts.post("/api/v1/auth/logout", { refresh_token });
  const { access_token: key } = signedInOf(await accounts.login(user.username, password));
  assert.deepEqual((await accounts.request("GET", path, { key })).as(PushSubscriptionList).subscriptions, []);
});

const good = createBrowser(`${service.origin}/bad`).subscription;
const { p256dh, auth } = good.keys;
/** Of the right length, and no point of the curve. */
const noPoint = Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 7)]).toString("base64url");
const marker = "s3cr3t";

/** Bodies that are wrong, and the field at fault. */
const bad: readonly (readonly [what: string, body: unknown, at: string])[] = [
  ["nothing", {}, "/endpoint /keys"],
  ["a list", [], ""],
  ["a field that is not known", { ...good, options: marker }, "/options"],
  ...Object.entries({
    "a number": 7,
    empty: "",
    "a path": "/push",
    words: `https://${marker} x`,
    "another scheme": `ftp://127.0.0.1/${marker}`,
    "another script": "https://127.0.0.1/ключ",
    "one character too many": `${service.origin}/`.padEnd(limits.pushEndpointLength + 1, "x"),
    "a host that may not be called": `https://${marker}.example.org/x`,
    "a private network": "https://10.0.0.1/x",
    "a name before the host": `http://${marker}@127.0.0.1/x`,
    "a fragment": `${service.origin}/x#${marker}`,
    "no host": "https://:80/x",
  }).map(([what, endpoint]) => [`endpoint: ${what}`, { ...good, endpoint }, "/endpoint"] as const),
  ["expirationTime: text", { ...good, expirationTime: marker }, "/expirationTime"],
  ["keys: a text", { ...good, keys: marker }, "/keys"],
  ["keys: none", { ...good, keys: {} }, "/keys/p256dh /keys/auth"],
  ["keys: one more", { ...good, keys: { ...good.keys, more: marker } }, "/keys/more"],
  ...Object.entries({
    "a number": 7,
    "a byte too few": p256dh.slice(0, 86),
    "a byte too many": `${p256dh}A`,
    "not base64url": `+${p256dh.slice(1)}`,
    "no point of the curve": noPoint,
    "a point that is compressed": `A${p256dh.slice(1)}`,
  }).map(
    ([what, value]) =>
      [`p256dh: ${what}`, { ...good, keys: { p256dh: value, auth } }, "/keys/p256dh"] as const,
  ),
  ...Object.entries({
    null: null,
    "a byte too few": auth.slice(0, 20),
    "a byte too many": `${auth}AA`,
    "not base64url": `/${auth.slice(1)}`,
  }).map(
    ([what, value]) => [`auth: ${what}`, { ...good, keys: { p256dh, auth: value } }, "/keys/auth"] as const,
  ),
];

test("every bad subscription is refused by what is wrong with it, and nobody is subscribed by it", async () => {
  const { client, token } = await openPage();
  const wrong: string[] = [];
  for (const [what, body, at] of bad) {
    const answer = await accounts.post("/api/v1/push/subscriptions", body, token);
    const { code, errors = [] } = JSON.parse(answer.text) as Problem;
    const pointers = errors.map(({ pointer }) => pointer).join(" ");
    if (answer.status !== 400 || code !== "invalid_body" || pointers !== at)
      wrong.push(`${what}: wanted [${at}], got ${answer.status} ${answer.text.slice(0, 300)}`);
    if (answer.text.includes(marker)) wrong.push(`${what}: shows too much: ${answer.text}`);
  }
  assert.equal(wrong.join("\n"), "");
  assert.ok(bad.length >= 25, String(bad.length));
  assert.deepEqual((await client.push.list()).subscriptions, []);
  const longest = { ...good, endpoint: `${service.origin}/`.padEnd(limits.pushEndpointLength, "x") };
  const padded = { ...longest, keys: { p256dh: `${p256dh}=`, auth: `${auth}==` } };
  assert.equal((await accounts.post("/api/v1/push/subscriptions", padded, token)).status, 201);
});
