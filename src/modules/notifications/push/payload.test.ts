import assert from "node:assert/strict";
import { createECDH } from "node:crypto";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { Value } from "typebox/value";
import { limits } from "../../../../protocol/limits.ts";
import { PushedNotification } from "../../../../protocol/push.ts";
import { createSeal, pushTtlMaxS } from "./seal.ts";
import { createBrowser, decryptPush } from "./service.fixture.ts";
import { payloadBytesMax, pushPayload } from "./payload.ts";
import webPush from "web-push";

const seal = await createSeal({ ...webPush.generateVAPIDKeys(), subject: "mailto:ops@example.org" });
const browser = createBrowser("https://push.example.org/a");
const { p256dh, auth } = browser.subscription.keys;
const to = {
  endpoint: browser.subscription.endpoint,
  p256dh: Buffer.from(p256dh, "base64url"),
  auth: Buffer.from(auth, "base64url"),
};
const notification = {
  notification_id: "c1c8a2a5-0c4a-8d7e-9b43-6c2d1f0e9a77",
  stream_id: "1795000000000-0",
  message: "",
  source: "shop",
  category: "general",
  link: null,
  created_at: "2024-01-01T12:00:00.000Z",
};
const docsUrl = new URL("../../../../docs/protocol.md", import.meta.url);
const overheadBytes = Buffer.byteLength(pushPayload(notification, 1));

test("what is read in a browser is the example of RFC 8291, so that the tests' own reading is right", () => {
  const keys = createECDH("prime256v1");
  keys.setPrivateKey("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94", "base64url");
  const body =
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
  const auth = Buffer.from("BTBZMqHH6r4Tts7J_aSIgg", "base64url");
  const text = decryptPush(Buffer.from(body, "base64url"), { keys, auth });
  assert.equal(text, "When I grow up, I want to be a watermelon");
});

test("a message that just fits is sent whole, and of one that is a byte longer its beginning", () => {
  const roomBytes = payloadBytesMax - overheadBytes;
  const whole = "a".repeat(roomBytes);
  const payload = pushPayload({ ...notification, message: whole }, 1);
  const { body } = seal(to, { payload, ttlS: 60, critical: false });
  assert.equal(body.length, 4_096, "as much as push services take");
  assert.equal(browser.decrypt(body).message, whole);
  const cut = browser.decrypt(
    seal(to, {
      payload: pushPayload({ ...notification, message: `${whole}a` }, 1),
      ttlS: 60,
      critical: false,
    }).body,
  );
  assert.equal(cut.message, `${"a".repeat(roomBytes - 3)}…`);
});

test("whatever is in it, it fits, is cut between two characters and is as a page expects it", () => {
  const texts = ["😀", "é", "я", '"', "\u0001", "\u2028", "a😀\\"];
  const links = [null, `/${"x".repeat(1_999)}`, `/${"я".repeat(1_999)}`];
  for (const text of texts)
    for (const link of links) {
      const message = text.repeat(limits.messageTextLength).slice(0, limits.messageTextLength);
      const source = "я".repeat(limits.nameLength);
      const payload = pushPayload({ ...notification, message, source, link }, 10_000);
      assert.ok(Buffer.byteLength(payload) <= payloadBytesMax, `${text} ${link?.length}`);
      const read = JSON.parse(payload) as PushedNotification;
      assert.deepEqual([...Value.Errors(PushedNotification, read)], []);
      assert.ok(read.message.isWellFormed() && message.startsWith(read.message.slice(0, -1)));
      // A link that would leave no room for words is left out whole: half an address leads nowhere.
      assert.equal(read.link, link !== null && link.endsWith("я") ? null : link);
      assert.ok(Buffer.byteLength(payload) > payloadBytesMax - 16, "and no more is cut than must be");
    }
});

test("the service worker of docs/protocol.md shows what is pushed, once, and opens its link", async () => {
  const text = await readFile(docsUrl, "utf8");
  const [, code = ""] = /```js\n(self\.addEventListener\("push"[^]*?)```/.exec(text) ?? [];
  const handlers = new Map<string, (event: unknown) => void>();
  const [shown, opened]: [unknown[], unknown[]] = [[], []];
  const self = {
    addEventListener: (name: string, handler: (event: unknown) => void) => handlers.set(name, handler),
    registration: { showNotification: (...all: unknown[]) => shown.push(all) },
    clients: { openWindow: (link: unknown) => opened.push(link) },
  };
  runInNewContext(code, { self });
  const payload = pushPayload({ ...notification, message: "Hello", link: "/orders/7" }, 3);
  const { body } = seal(to, { payload, ttlS: 60, critical: false });
  const event = { waitUntil: () => undefined };
  handlers.get("push")?.({ ...event, data: { json: () => browser.decrypt(body) } });
  const options = { body: "Hello", tag: notification.notification_id, data: { link: "/orders/7" } };
  assert.deepEqual(JSON.parse(JSON.stringify(shown)), [["shop", options]]);
  const close = (): undefined => undefined;
  for (const link of ["/orders/7", null])
    handlers.get("notificationclick")?.({ ...event, notification: { close, data: { link } } });
  assert.deepEqual(opened, ["/orders/7", "/"]);
});

/** The page of docs/protocol.md with a browser around it, and a server that answers so. */
async function openPage(status: number, faults: readonly string[] = []) {
  const [, code = ""] =
    /```js\n(async function call\(token[^]*?)```/.exec(await readFile(docsUrl, "utf8")) ?? [];
  const done: string[] = [];
  let isSubscribed = true;
  const left = [...faults];
  const pushManager = {
    getSubscription: async () => (isSubscribed ? { unsubscribe } : null),
    subscribe: async ({ applicationServerKey }: { applicationServerKey: unknown }) => {
      const name = applicationServerKey === "KEY" ? left.shift() : "TypeError";
      if (name !== undefined) throw Object.assign(new Error(name), { name });
      isSubscribed = true;
      return { endpoint: "https://push.example.org/x" };
    },
  };
  const unsubscribe = async (): Promise<void> => {
    isSubscribed = false;
    done.push("unsubscribe");
  };
  const registration = { pushManager };
  const fetch = async (path: string, { method }: { method: string }) => {
    done.push(`${method} ${path}`);
    return { ok: status < 300, status, json: async () => (status < 300 ? { public_key: "KEY", id: 7 } : {}) };
  };
  const serviceWorker = {
    register: async () => undefined,
    ready: Promise.resolve(registration),
    getRegistration: async () => registration,
  };
  const page = runInNewContext(`${code}; ({ enablePush, disablePush })`, {
    fetch,
    navigator: { serviceWorker },
  });
  return { done, page: page as Record<"enablePush" | "disablePush", (token?: string) => Promise<unknown>> };
}

test("the page of docs/protocol.md subscribes its browser, anew if the key is another one, and unsubscribes it", async () => {
  const calls = ["GET /api/v1/push/key", "POST /api/v1/push/subscriptions"] as const;
  const known = await openPage(200);
  assert.deepEqual(await known.page.enablePush("TOKEN"), { public_key: "KEY", id: 7 });
  assert.deepEqual(known.done, calls);
  const other = await openPage(201, ["InvalidStateError"]);
  await other.page.enablePush("TOKEN");
  assert.deepEqual(other.done, [calls[0], "unsubscribe", calls[1]]);
  await other.page.disablePush();
  assert.deepEqual(other.done.slice(3), ["unsubscribe"]);
});

test("the page of docs/protocol.md keeps a subscription that is good, though the token has ended or they say no", async () => {
  const expired = await openPage(401);
  await assert.rejects(expired.page.enablePush("OLD"), /401/);
  assert.deepEqual(expired.done, ["GET /api/v1/push/key"]);
  const denied = await openPage(200, ["NotAllowedError"]);
  await assert.rejects(denied.page.enablePush("TOKEN"), { name: "NotAllowedError" });
  assert.deepEqual(denied.done, ["GET /api/v1/push/key"]);
});

test("a push service is told how long to keep it: a second at least, and no longer than any of them does", () => {
  const ttl = (ttlS: number): unknown => seal(to, { payload: "{}", ttlS, critical: false }).headers["TTL"];
  assert.deepEqual(
    [ttl(0), ttl(1), ttl(pushTtlMaxS), ttl(pushTtlMaxS + 1)],
    [1, 1, pushTtlMaxS, pushTtlMaxS],
  );
});

test("one signature serves a push service for an hour, and no other push service", async () => {
  let nowMs = 0;
  const vapid = { ...webPush.generateVAPIDKeys(), subject: "mailto:ops@example.org" };
  const sealAt = await createSeal(vapid, () => nowMs);
  const signature = (endpoint: string): unknown =>
    sealAt({ ...to, endpoint }, { payload: "{}", ttlS: 60, critical: false }).headers["Authorization"];
  const first = signature("https://push.example.org/a");
  nowMs = 3_599_999;
  assert.equal(signature("https://push.example.org/b"), first);
  assert.notEqual(signature("https://push.example.org:8443/b"), first);
  nowMs = 3_600_000;
  assert.notEqual(signature("https://push.example.org/a"), first);
});
