import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../../../../protocol/limits.ts";
import { readConfig } from "../../../config.ts";
import { createPushHosts } from "./hosts.ts";
import { listPushSubscriptions, subscribePush, unsubscribePush } from "./subscriptions.ts";
import { messagesTo, openPushStage } from "./push.fixture.ts";
import { createBrowser } from "./service.fixture.ts";
import { createVapid } from "./vapid.ts";
import webPush from "web-push";

test("one browser more than a person may have takes the place of the one that was silent longest", async (t) => {
  const stage = await openPushStage(t);
  const [userId, other] = [await stage.person(), await stage.person()];
  const ofOther = await stage.subscribe(other);
  const browsers = [];
  for (let i = 0; i < limits.pushSubscriptionsPerPerson; i++) {
    stage.clock.advance(1_000);
    browsers.push(await stage.subscribe(userId));
  }
  const [first, second, third] = browsers;
  stage.clock.advance(1_000);
  const again = await stage.subscribe(userId, { browser: first ?? assert.fail() });
  assert.equal(again.id, first?.id, "it says once more that it is there");
  const took = new Date(stage.clock.now());
  await stage.db.query("update notification_push_subscription set last_ok_at = $2 where id = $1", [
    second?.id,
    took,
  ]);
  const one = await stage.subscribe(userId);
  const ids = (await listPushSubscriptions(stage.db, userId, stage.clock.now())).map(({ id }) => id);
  const left = browsers.filter((browser) => browser !== third).map(({ id }) => id);
  assert.deepEqual(
    ids.toSorted((a, b) => a - b),
    [...left, one.id].toSorted((a, b) => a - b),
  );
  assert.equal(ids.length, limits.pushSubscriptionsPerPerson);
  assert.deepEqual((await listPushSubscriptions(stage.db, other, stage.clock.now())).length, 1);
  assert.ok(ofOther.id > 0);
});

test("browsers that one person subscribes at the same moment are no more than they may have", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  await Promise.all(
    Array.from({ length: limits.pushSubscriptionsPerPerson + 5 }, () => stage.subscribe(userId)),
  );
  const all = await listPushSubscriptions(stage.db, userId, stage.clock.now());
  assert.equal(all.length, limits.pushSubscriptionsPerPerson);
});

test("a browser belongs to who is signed in there last: what was due for somebody else is not pushed to it", async (t) => {
  const stage = await openPushStage(t);
  const [before, now] = [await stage.person(), await stage.person()];
  const browser = await stage.subscribe(before);
  await stage.tell(before, { message: "secret" });
  await stage.subscribe(now, { browser });
  await stage.tell(before, { message: "another secret" });
  await stage.tell(now, { message: "yours" });
  // As if it had become due just before the browser changed hands.
  await stage.db.query(
    `insert into notification_push_due (subscription_id, notification_id, user_id, told_at, due_at)
     select $1, id, user_id, now(), '2000-01-01' from notification where user_id = $2`,
    [browser.id, before],
  );
  await stage.pass();
  assert.deepEqual(messagesTo(browser, stage.service), ["yours"]);
  const lists = [
    await listPushSubscriptions(stage.db, before, stage.clock.now()),
    await listPushSubscriptions(stage.db, now, stage.clock.now()),
  ];
  assert.deepEqual(
    lists.map((list) => list.map(({ id }) => id)),
    [[], [browser.id]],
  );
});

test("keys that change are the ones that are encrypted for", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  const { subscription } = await stage.subscribe(userId);
  const renewed = createBrowser(subscription.endpoint);
  await stage.subscribe(userId, { browser: renewed });
  await stage.tell(userId);
  await stage.pass();
  assert.deepEqual(messagesTo(renewed, stage.service), ["Hello"]);
});

test("who ends a subscription is not pushed any more, may repeat it, and cannot end that of somebody else", async (t) => {
  const stage = await openPushStage(t);
  const [userId, other] = [await stage.person(), await stage.person()];
  const browser = await stage.subscribe(userId);
  await stage.tell(userId);
  await unsubscribePush(stage.db, other, browser.id);
  assert.equal((await stage.due()).length, 1);
  await unsubscribePush(stage.db, userId, browser.id);
  await unsubscribePush(stage.db, userId, browser.id);
  assert.deepEqual(await stage.due(), []);
  await stage.pass();
  assert.equal(stage.service.received.length, 0);
});

test("what is shown of subscriptions is the host alone", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  const hosts = createPushHosts(["push.example.org"]);
  const browser = createBrowser("https://push.example.org:8443/a/secret?b=c");
  const { id, isNew } = await subscribePush(
    { ...stage, hosts },
    { userId, sessionId: undefined },
    browser.subscription,
  );
  assert.equal(isNew, true);
  const created_at = new Date(stage.clock.now()).toISOString();
  assert.deepEqual(await listPushSubscriptions(stage.db, userId, stage.clock.now()), [
    { id, host: "push.example.org:8443", created_at, last_ok_at: null },
  ]);
});

test("without keys in the options all processes have one pair, made once; with them theirs holds", async (t) => {
  const { db } = await openPushStage(t);
  const processes = Array.from({ length: 8 }, () => createVapid({ db, config: readConfig({}) }));
  const pairs = await Promise.all(processes.map((vapid) => vapid()));
  assert.equal(new Set(pairs.map(({ publicKey, privateKey }) => publicKey + privateKey)).size, 1);
  assert.equal(Buffer.from(pairs[0]?.publicKey ?? "", "base64url").length, 65);
  await db.query("delete from notification_push_key");
  const first = createVapid({ db, config: readConfig({}) })();
  const slow: typeof db = {
    ...db,
    query: async (text, ...rest) => {
      if (text.startsWith("insert")) await first;
      return db.query(text, ...rest);
    },
  };
  assert.deepEqual(await createVapid({ db: slow, config: readConfig({}) })(), await first);
  const own = webPush.generateVAPIDKeys();
  const subject = "mailto:ops@example.com";
  const config = readConfig({
    VAPID_PUBLIC_KEY: own.publicKey,
    VAPID_PRIVATE_KEY: own.privateKey,
    VAPID_SUBJECT: subject,
  });
  assert.deepEqual(await createVapid({ db, config })(), { ...own, subject });
});

test("a key that could not be looked up is looked up again", async (t) => {
  const { db } = await openPushStage(t);
  let isAway = true;
  const sometimes: typeof db = {
    ...db,
    query: (...args) => (isAway ? Promise.reject(new Error("away")) : db.query(...args)),
  };
  const vapid = createVapid({ db: sometimes, config: readConfig({}) });
  await assert.rejects(vapid(), /away/);
  isAway = false;
  assert.equal((await vapid()).subject, "mailto:nobody@example.org");
});
