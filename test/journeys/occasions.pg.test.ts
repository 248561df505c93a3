import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createClient } from "../../sdk/client.ts";
import { type NotificationStore, openNotifications } from "../../sdk/notification-store.ts";
import { Message, Room } from "../../protocol/chat.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { tracesIn } from "../../src/modules/notifications/occasions/occasions.fixture.ts";
import { eventually } from "../harness.ts";
import { openAccounts } from "./accounts.ts";

/** What happens in rooms becomes notifications, through a whole server: over HTTP and the client. */

async function openScene(t: TestContext) {
  const server = await openAccounts(t);
  const [ann, bob] = [await server.register({ username: "ann" }), await server.register({ username: "bob" })];
  const made = await server.post(
    "/api/v1/rooms",
    { kind: "private", name: "us", member_ids: [bob.user.id] },
    ann.access_token,
  );
  const roomId = made.as(Room).id;
  const say = async (content: string, reply_to?: string, token = ann.access_token): Promise<Message> => {
    const message = { client_msg_id: uuidv7(), content, ...(reply_to === undefined ? {} : { reply_to }) };
    const answer = await server.post(`/api/v1/rooms/${roomId}/messages`, message, token);
    assert.equal(answer.status, 201, answer.text);
    return answer.as(Message);
  };
  const client = createClient({ url: server.url, credentials: bob.access_token });
  const store = await openNotifications(client);
  t.after(() => {
    store.stop();
    client.stop();
  });
  return { ...server, ann, bob, roomId, say, store };
}

const shown = (store: NotificationStore): readonly (readonly [string, string])[] =>
  store.get().notifications.map(({ category, message }) => [category, message] as const);

async function shows(
  store: NotificationStore,
  expected: readonly (readonly [string, string])[],
): Promise<void> {
  const wanted = JSON.stringify([expected, expected.length]);
  const actual = () => [shown(store), store.unread.get()];
  // What is erased disappears at once, and is counted no more when the server has followed.
  await eventually(`it shows ${wanted}`, () => JSON.stringify(actual()) === wanted).catch(() =>
    assert.deepEqual(actual(), [expected, expected.length]),
  );
}

test("who is mentioned or answered sees so on their device, unless they wish not to", async (t) => {
  const { app, request, bob, say, store } = await openScene(t);
  const question = await say("does anybody hear me?", undefined, bob.access_token);
  await say("hello @Bob!");
  await say("I do", question.id);
  const told = [
    ["mention", "ann: hello @Bob!"],
    ["reply", "ann: I do"],
  ] as const;
  await shows(store, told);

  const wishes = { categories: { mention: { inbox: "off", push: false } } };
  const key = bob.access_token;
  const wished = await request("PUT", "/api/v1/notifications/preferences", { json: wishes, key });
  assert.equal(wished.status, 200, wished.text);
  await say("@bob are you there?");
  await say("I still do", question.id);
  await app.drain();
  await shows(store, [...told, ["reply", "ann: I still do"]]);
});

test("what is deleted disappears from every device and every table, and the room's other words stay", async (t) => {
  const { app, request, ann, roomId, say, store } = await openScene(t);
  const words = "words to forget";
  const message = await say(`@bob ${words}`);
  await say("@bob stay");
  await shows(store, [
    ["mention", `ann: @bob ${words}`],
    ["mention", "ann: @bob stay"],
  ]);
  const route = `/api/v1/rooms/${roomId}/messages/${message.id}`;
  const deleted = await request("DELETE", route, { key: ann.access_token });
  assert.equal(deleted.status, 200, deleted.text);
  await shows(store, [["mention", "ann: @bob stay"]]);
  await app.drain();
  assert.deepEqual(await tracesIn(app.deps.db, words), {});
});

test("mentions end by the server's options for what rooms tell", async (t) => {
  const server = await openAccounts(t, { NOTIFICATION_TTL: "900,chat=3600" });
  const [ann, bob] = [await server.register(), await server.register()];
  const room = "/api/v1/rooms/1/messages";
  const message = { client_msg_id: uuidv7(), content: `@${bob.user.username}` };
  assert.equal((await server.post(room, message, ann.access_token)).status, 201);
  const client = createClient({ url: server.url, credentials: bob.access_token });
  t.after(() => client.stop());
  await eventually("it is told", async () => (await client.notifications.unread()).unread === 1);
  const { notifications } = await client.notifications.list({});
  const [told] = notifications;
  assert.ok(told !== undefined);
  const lifeS = (Date.parse(told.expires_at) - Date.parse(told.created_at)) / 1_000;
  assert.ok(lifeS >= 3_600 && lifeS < 3_660, `${lifeS}`);
});
