import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../protocol/limits.ts";
import { readsMax } from "./journal.ts";
import { notificationsKeptMax } from "./notification-state.ts";
import { endTimerMsMax } from "./notification-store.ts";
import { World, opened, shownBy, wordsOf } from "./notification-world.fixture.ts";
import { type Told, settle } from "./world.fixture.ts";

test("what was told before is read in pages, and what is new comes by itself, with a count of its own", async (t) => {
  const world = new World();
  for (let i = 0; i < limits.pageRows + 1; i++) world.server.tell();
  const { store } = await opened(t, world);
  const counts: number[] = [];
  store.unread.subscribe((unread) => counts.push(unread));
  assert.equal(store.get().notifications.length, limits.pageRows + 1);
  assert.equal(world.asked.filter((one) => one.endsWith("/notifications")).length, 2);
  world.server.tell();
  await world.push();
  assert.deepEqual([store.unread.get(), store.get().unread, counts], [202, 202, [202]]);
});

test("no more pages are read than are kept", async (t) => {
  const world = new World();
  for (let i = 0; i < notificationsKeptMax + limits.pageRows; i++) world.server.tell();
  const { store } = await opened(t, world);
  assert.equal(store.get().notifications.length, notificationsKeptMax);
  assert.equal(store.unread.get(), notificationsKeptMax + limits.pageRows);
  const pages = (): number => world.asked.filter((one) => one.endsWith("/notifications")).length;
  assert.equal(pages(), notificationsKeptMax / limits.pageRows);
  // After a gap all that are kept are read anew, though there are as many as are kept from the beginning.
  world.server.mark({ state: "read", up_to: world.server.unreadList()[300]?.stream_id ?? "" });
  await world.reconnect(true);
  assert.deepEqual(
    store.get().notifications.map(({ notification_id }) => notification_id),
    world.server.unreadList().map(({ notification_id }) => notification_id),
  );
});

test("what is read here is read at once, is told in the background until the server has it, and only once", async (t) => {
  const { world, store } = await opened(t);
  const [a, b, c] = ["a", "b", "c"].map((words) => world.server.tell(900_000, words).notification_id);
  await world.push();
  world.answer = () => new Error("no network");
  store.markSeen([a ?? ""]);
  store.markRead([a ?? "", b ?? ""]);
  store.archive([c ?? ""]);
  assert.deepEqual([wordsOf(store), store.unread.get()], [["a read", "b read"], 0]);
  await world.pass(10_000);
  assert.equal(world.server.unread().unread, 3);
  world.answer = (asked) => world.server.answer(asked);
  await world.pass(60_000);
  assert.deepEqual([world.server.unread().unread, store.unread.get()], [0, 0]);
  const { length } = world.marks;
  await world.push();
  store.markRead([a ?? ""]);
  store.markSeen([b ?? ""]);
  await world.pass(60_000);
  assert.equal(world.marks.length, length, "what the server knows is not told again");
  assert.deepEqual([store.get().uncounted, world.errors], [{}, []]);
});

test("more are marked than one request may name, and it takes two", async (t) => {
  const { world, store } = await opened(t);
  for (let i = 0; i <= limits.marksPerRequest; i++) world.server.tell();
  await world.push();
  store.markRead(store.get().notifications.map(({ notification_id }) => notification_id));
  await settle();
  assert.deepEqual(
    world.marks.map((mark) => ("notification_ids" in mark ? mark.notification_ids.length : 0)),
    [limits.marksPerRequest, 1],
  );
  assert.deepEqual([world.server.unread().unread, store.unread.get()], [0, 0]);
});

test("all are read up to the newest that is known, and not one that nobody has heard of", async (t) => {
  const { world, store } = await opened(t);
  store.markAllRead();
  assert.deepEqual(world.marks, [], "there is nothing to mark");
  world.server.tell(900_000, "a");
  await world.push();
  const later = world.server.tell(900_000, "b");
  store.markAllRead();
  assert.equal(store.unread.get(), 0);
  await settle();
  await world.push();
  assert.deepEqual([wordsOf(store), store.unread.get()], [["a read", "b unread"], 1]);
  assert.deepEqual(world.server.unreadList(), [later]);
});

test("what another device has read is read here", async (t) => {
  const { world, store } = await opened(t);
  const { notification_id: id } = world.server.tell(900_000, "a");
  await world.push();
  world.server.mark({ state: "read", notification_ids: [id] });
  await world.push();
  assert.deepEqual([wordsOf(store), store.unread.get()], [["a read"], 0]);
});

test("what ends disappears by itself, by the server's clock, with one timer for all of them", async (t) => {
  for (const aheadMs of [3_600_000, -3_600_000]) {
    const world = new World(aheadMs);
    const { store } = await opened(t, world);
    const timers = world.clock.timers;
    world.server.tell(10_000, "a");
    world.server.tell(5_000, "b");
    world.server.tell(endTimerMsMax * 2, "c");
    await world.push();
    assert.deepEqual([wordsOf(store).length, store.unread.get()], [3, 3]);
    assert.equal(world.clock.timers, timers + 1);
    await world.pass(4_999);
    assert.equal(store.unread.get(), 3);
    await world.pass(1);
    assert.deepEqual([wordsOf(store), store.unread.get()], [["a unread", "c unread"], 2]);
    await world.pass(5_000);
    assert.deepEqual([wordsOf(store), store.unread.get()], [["c unread"], 1]);
    world.client.stop();
    store.stop();
  }
});

test("no timer is set for longer than a timer can be, and the end comes all the same", async (t) => {
  const { world, store } = await opened(t);
  world.server.tell(endTimerMsMax + 1, "a");
  await world.push();
  const ring = world.clock.now() + endTimerMsMax;
  store.unread.subscribe((unread) => assert.deepEqual([unread, world.clock.now()], [0, ring + 1]));
  // Without a connection, whose own timers would be in the way.
  world.sockets.last.end(4_003);
  await settle();
  assert.equal(world.clock.next, ring);
  await world.clock.pass(endTimerMsMax);
  assert.equal(store.unread.get(), 1);
  await world.clock.pass(1);
  assert.equal(store.unread.get(), 0);
});

test("over a reconnect nothing is shown twice, and over a gap neither", async (t) => {
  const { world, store } = await opened(t);
  const shown = shownBy(store);
  world.server.tell(900_000, "a");
  await world.push();
  for (const [words, limited] of [
    ["b", false],
    ["c", true],
  ] as const) {
    world.server.tell(900_000, words);
    await world.reconnect(limited);
    await world.push();
  }
  const { notification_id: id } = world.server.unreadList()[0] ?? assert.fail();
  store.archive([id]);
  await world.push();
  assert.deepEqual(shown, ["a", "b", "c"]);
  assert.equal(store.unread.get(), world.server.unread().unread);
});

test("what was read here and archived elsewhere while entries were missed is gone", async (t) => {
  const { world, store } = await opened(t);
  const ids = ["a", "b"].map((words) => world.server.tell(900_000, words).notification_id);
  await world.push();
  store.markRead(ids.slice(0, 1));
  await settle();
  await world.push();
  assert.deepEqual(wordsOf(store), ["a read", "b unread"]);
  world.server.mark({ state: "archived", notification_ids: ids.slice(0, 1) });
  await world.reconnect(true);
  assert.deepEqual(wordsOf(store), ["b unread"]);
});

test("what has ended while the client was stopped is gone when it is back", async (t) => {
  const { world, store } = await opened(t);
  world.server.tell(10_000, "a");
  await world.push();
  world.client.stop();
  await world.pass(10_000);
  world.client.start();
  await settle();
  assert.deepEqual([wordsOf(store), store.unread.get()], [[], 0]);
});

test("a page that entries have overtaken is read again, so many times", async (t) => {
  const world = new World();
  world.server.tell(900_000, "a");
  const held: { readonly told: Told; readonly reply: PromiseWithResolvers<Told> }[] = [];
  world.answer = (asked) => {
    if (!asked.path.includes("/notifications")) return world.server.answer(asked);
    const one = { told: world.server.answer(asked), reply: Promise.withResolvers<Told>() };
    held.push(one);
    return one.reply.promise;
  };
  const { store } = await opened(t, world);
  for (let i = 1; i <= readsMax; i++) {
    assert.equal(held.length, i);
    world.server.tell(900_000, `later ${i}`);
    await world.push();
    held.at(-1)?.reply.resolve(held.at(-1)?.told ?? assert.fail());
    await settle();
  }
  assert.equal(held.length, readsMax, "it waits before it tries once more");
  world.answer = (asked) => world.server.answer(asked);
  await world.pass(10_000);
  assert.deepEqual(
    wordsOf(store),
    ["a", "later 1", "later 2", "later 3", "later 4", "later 5"].map((w) => `${w} unread`),
  );
  assert.deepEqual([store.unread.get(), world.errors], [readsMax + 1, []]);
});

test("what the server refuses to mark for good shows as the server has it, and the refusal is told", async (t) => {
  const { world, store } = await opened(t);
  const { notification_id: id } = world.server.tell(900_000, "a");
  await world.push();
  world.refuseMarks();
  store.markRead([id]);
  await settle();
  assert.deepEqual([wordsOf(store), store.unread.get(), world.errors], [["a unread"], 1, ["forbidden"]]);
});

test("while the client is stopped nothing happens, and what was marked is told after the next start", async (t) => {
  const { world, store } = await opened(t);
  const { notification_id: id } = world.server.tell(900_000, "a");
  world.server.tell(1_000, "b");
  await world.push();
  world.answer = () => Promise.withResolvers<Told>().promise;
  store.markRead([id]);
  await settle();
  world.client.stop();
  await settle();
  assert.equal(world.clock.timers, 0);
  world.answer = (asked) => world.server.answer(asked);
  const { length } = world.fetch.asked;
  await world.pass(60_000);
  assert.equal(world.fetch.asked.length, length);
  world.client.start();
  await settle();
  await world.welcome();
  await world.push();
  assert.deepEqual([wordsOf(store), store.unread.get()], [["a read"], 0]);
  assert.equal(world.server.unread().unread, 0);
});

test("after its stop, or when somebody else signs in, it refuses what is asked of it and shows nothing new", async (t) => {
  const { world, store } = await opened(t);
  world.server.tell(900_000, "a");
  await world.push();
  const before = store.get();
  world.sockets.last.end();
  await world.pass(30_000);
  await world.sockets.welcome(world.clock, { user_id: 8 });
  for (const act of [
    () => store.markRead(["x"]),
    () => store.markSeen(["x"]),
    () => store.archive(["x"]),
    () => store.markAllRead(),
  ]) {
    assert.throws(act, { code: "stopped" });
  }
  assert.deepEqual([store.get(), world.marks], [before, []]);
});
