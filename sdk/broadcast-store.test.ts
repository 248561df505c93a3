import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../protocol/limits.ts";
import { endTimerMsMax } from "./notification-store.ts";
import { World, everybody, opened, shownBy, topic, wordsOf } from "./notification-world.fixture.ts";
import { type Told, settle } from "./world.fixture.ts";

const broadcastsPath = "/api/v1/broadcasts";

test("what everybody is told stands among a person's own, by its place, with one count of both", async (t) => {
  const world = new World();
  world.server.board.tell(900_000, { message: "all 1" });
  const { store } = await opened(t, world);
  const counts: number[] = [];
  store.unread.subscribe((unread) => counts.push(unread));
  await world.pass(1);
  world.server.tell(900_000, "own");
  await world.push();
  await world.pass(1);
  world.server.board.tell(900_000, { message: "all 2" });
  await world.push();
  assert.deepEqual(wordsOf(store), ["all 1 unread", "own unread", "all 2 unread"]);
  assert.deepEqual([store.unread.get(), store.get().unread, counts], [3, 3, [2, 3]]);
  const lists = world.asked.filter((one) => one.endsWith("/broadcasts"));
  assert.equal(lists.length, 1, "it is read once, when both topics are heard");
});

test("both are marked alike, one by one and all at once, and other devices are heard of", async (t) => {
  const { world, store } = await opened(t);
  const own = world.server.tell(900_000, "own");
  const [a, b, c] = ["a", "b", "c"].map((message) => world.server.board.tell(900_000, { message }));
  await world.push();
  store.markRead([own.notification_id, a?.notification_id ?? ""]);
  assert.deepEqual([wordsOf(store), store.unread.get()], [["own read", "a read", "b unread", "c unread"], 2]);
  await settle();
  assert.deepEqual(world.server.board.unreadList(), [b, c]);
  world.server.mark({ state: "archived", notification_ids: [b?.notification_id ?? ""] });
  await world.push();
  assert.deepEqual([wordsOf(store), store.unread.get()], [["own read", "a read", "c unread"], 1]);
  world.server.tell(900_000, "own 2");
  await world.push();
  store.markAllRead();
  assert.equal(store.unread.get(), 0);
  await settle();
  await world.push();
  assert.deepEqual(
    [world.server.board.unreadList(), world.server.unread().unread, store.unread.get()],
    [[], 0, 0],
  );
  assert.deepEqual(world.errors, []);
});

test("all are read without what everybody is told this very moment, whatever its place", async (t) => {
  const { world, store } = await opened(t);
  world.server.tell(900_000, "own");
  await world.push();
  // By a clock that is behind: told later, with an earlier place, which no device has heard of yet.
  const late = world.server.board.tell(900_000, {
    message: "late",
    stream_id: `${world.server.now - 1_000}-500000000`,
  });
  store.markAllRead();
  await settle();
  await world.push();
  assert.deepEqual(world.server.board.unreadList(), [late]);
  assert.deepEqual(wordsOf(store), ["late unread", "own read"]);
});

test("what was hidden when all were read is unread when it is shown again, here and on other devices", async (t) => {
  const { world, store } = await opened(t);
  const news = world.server.board.tell(900_000, { message: "news", category: "news" });
  await world.pass(1);
  world.server.wish({ categories: { news: { inbox: "off", push: false } } });
  world.server.tell(900_000, "own");
  await world.push();
  store.markAllRead();
  await settle();
  world.server.wish({ categories: {} });
  await world.push();
  assert.deepEqual(world.server.board.unreadList(), [news]);
  assert.deepEqual(wordsOf(store), ["news unread", "own read"]);
});

test("what is withdrawn or ends is gone by itself", async (t) => {
  const { world, store } = await opened(t);
  const { notification_id: id } = world.server.board.tell(900_000, { message: "a" });
  world.server.board.tell(5_000, { message: "b" });
  world.server.board.tell(endTimerMsMax * 2, { message: "c" });
  await world.push();
  world.server.board.withdraw([id]);
  await world.push();
  assert.deepEqual(wordsOf(store), ["b unread", "c unread"]);
  await world.pass(5_000);
  assert.deepEqual([wordsOf(store), store.unread.get()], [["c unread"], 1]);
});

test("over a gap of either topic nothing is lost, shown twice, or unread again", async (t) => {
  const { world, store } = await opened(t);
  const shown = shownBy(store);
  const a = world.server.board.tell(900_000, { message: "a" });
  await world.push();
  for (const [message, limited] of [
    ["b", false],
    ["c", true],
  ] as const) {
    world.server.board.tell(900_000, { message });
    if (limited) world.server.mark({ state: "read", notification_ids: [a.notification_id] });
    await world.reconnect(limited);
    await world.push();
  }
  assert.deepEqual(
    [shown, wordsOf(store)],
    [
      ["a", "b", "c"],
      ["a read", "b unread", "c unread"],
    ],
  );
  assert.equal(store.unread.get(), 2);
});

test("a gap of one topic alone is made good, too", async (t) => {
  for (const missed of [topic, everybody]) {
    const { world, store } = await opened(t);
    const a = world.server.board.tell(900_000, { message: "a" });
    await world.push();
    world.server.mark({ state: "read", notification_ids: [a.notification_id] });
    world.server.board.tell(900_000, { message: "b" });
    await world.push(missed === topic ? everybody : topic);
    await world.limit(missed);
    assert.deepEqual(wordsOf(store), ["a read", "b unread"], missed);
    world.client.stop();
    store.stop();
  }
});

test("wishes that change hide at once what was turned off, and bring back what is not any more", async (t) => {
  const { world, store } = await opened(t);
  world.server.board.tell(900_000, { message: "news", category: "news" });
  world.server.board.tell(900_000, { message: "rest" });
  await world.push();
  // A list from before the change is on its way.
  const reply = Promise.withResolvers<Told>();
  const before = { status: 200, body: world.server.board.list() };
  world.answer = (asked) => (asked.path === broadcastsPath ? reply.promise : world.server.answer(asked));
  await world.reconnect(true);
  const shown: (readonly string[])[] = [];
  store.subscribe(() => shown.push(wordsOf(store)));
  world.server.wish({ categories: { news: { inbox: "off", push: false } } });
  await world.push();
  assert.deepEqual([wordsOf(store), store.unread.get()], [["rest unread"], 1]);
  world.answer = (asked) => world.server.answer(asked);
  reply.resolve(before);
  await settle();
  world.server.board.tell(900_000, { message: "more news", category: "news" });
  await world.push();
  assert.deepEqual(wordsOf(store), ["rest unread"]);
  assert.deepEqual(
    shown.filter((words) => words.length > 1),
    [],
    "not for a moment",
  );
  world.server.wish({ categories: {} });
  await world.push();
  assert.deepEqual(wordsOf(store), ["news unread", "rest unread", "more news unread"]);
});

test("what was muted is shown when that ends, also when the client was stopped meanwhile", async (t) => {
  const { world, store } = await opened(t);
  world.server.board.tell(900_000, { message: "a" });
  await world.push();
  for (const stops of [false, true]) {
    world.server.wish({ muted_until: new Date(world.server.now + 10_000).toISOString() });
    await world.push();
    assert.deepEqual([wordsOf(store), store.unread.get()], [[], 0]);
    if (stops) world.client.stop();
    await world.pass(10_000);
    if (stops) {
      world.client.start();
      await settle();
    }
    assert.deepEqual([wordsOf(store), store.unread.get()], [["a unread"], 1]);
  }
});

test("a server that knows no broadcasts tells a person's own all the same", async (t) => {
  const world = new World();
  const { store } = await opened(t, world, [topic]);
  world.server.tell(900_000, "own");
  await world.push(topic);
  assert.deepEqual([wordsOf(store), world.errors], [["own unread"], ["not_found"]]);
  assert.ok(!world.asked.some((one) => one.endsWith("/broadcasts")));
});

test("what the server refuses to mark for good shows as the server has it", async (t) => {
  const { world, store } = await opened(t);
  const { notification_id: id } = world.server.board.tell(900_000, { message: "a" });
  await world.push();
  world.refuseMarks();
  store.markRead([id]);
  await settle();
  assert.deepEqual([wordsOf(store), store.unread.get(), world.errors], [["a unread"], 1, ["forbidden"]]);
});

test("as many as may live are marked with one request", async (t) => {
  const { world, store } = await opened(t);
  for (let n = 0; n < limits.broadcasts; n++) world.server.board.tell();
  await world.push(everybody);
  store.markAllRead();
  await settle();
  assert.deepEqual([world.marks.length, world.server.board.unreadList()], [1, []]);
});
