import assert from "node:assert/strict";
import { test } from "node:test";
import { uuidv7 } from "../protocol/ids.ts";
import { ChatWorld, contents, opened, roomOf } from "./chat-world.fixture.ts";
import { openChat } from "./chat-store.ts";
import { storageMs } from "./reporting-storage.ts";
import { messagesKeptMax, messagesUnseenMax } from "./room-view.ts";
import { type ClientStorage, memoryStorage } from "./storage.ts";
import { repeatBackoff } from "./backoff.ts";
import { problem, settle, verdictOf } from "./world.fixture.ts";

/** What a chat does when its storage fails, when it has ended, and with rooms that nobody looks at. */

/** A storage with a message of an earlier load, which cannot be read for now. */
async function unreadable(fail: () => Promise<never>) {
  const memory = memoryStorage();
  const first = await opened({ storage: memory });
  await first.world.calm();
  await first.world.loseConnection();
  await first.chat.send(1, "of an earlier load");
  first.chat.stop();
  first.world.client.stop();
  const state = { failing: true };
  const storage: ClientStorage = {
    ...memory,
    load: (prefix) => (state.failing ? fail() : memory.load(prefix)),
  };
  return { storage, state };
}

test("a chat opens without what waits in a storage that cannot be read, and sends it when it can be", async () => {
  const never = new Promise<never>(() => undefined);
  for (const fail of [() => Promise.reject(new Error("locked")), () => never]) {
    const { storage, state } = await unreadable(fail);
    const world = new ChatWorld({ storage });
    world.server.create(1);
    world.server.join(1, world.me);
    const opening = openChat(world.client);
    await settle();
    world.serve(0);
    await world.arrive(0);
    await world.clock.pass(storageMs);
    const chat = await opening;
    await world.calm();
    await chat.send(1, "new words");
    await world.clock.pass(storageMs);
    await world.calm();
    assert.deepEqual(contents(roomOf(chat, 1)), ["new words"]);
    assert.ok(world.storageErrors.length > 0);
    assert.ok(world.storageErrors.every((code) => code === "storage_failed"));

    // The connection stands all the while.
    state.failing = false;
    await world.clock.pass(repeatBackoff.maxMs);
    await world.calm();
    assert.deepEqual(contents(roomOf(chat, 1)), ["new words", "of an earlier load"]);
    assert.deepEqual(chat.outbox.get(), []);
    assert.deepEqual(world.errors, []);
    chat.stop();
    world.client.stop();
    assert.equal(world.clock.timers, 0);
  }
});

test("messages that are asked for before the list of rooms has come are all shown", async () => {
  const world = new ChatWorld();
  world.server.create(1);
  world.server.join(1, world.me);
  world.server.join(1, 8);
  for (let n = 0; n <= messagesUnseenMax; n++) world.server.send(1, 8, `m${n}`, uuidv7());
  const opening = openChat(world.client);
  await settle();
  world.serve(0);
  await world.arrive(0);
  const chat = await opening;
  await world.welcome();
  while ((await world.handle()) > 0);
  const loading = chat.loadMessages(1);
  await settle();
  const paths = world.questions.map(({ path }) => path.replace(/\?.*/, ""));
  assert.deepEqual(paths, ["/api/v1/rooms", "/api/v1/rooms/1/messages"]);
  // The list, then the page.
  for (let n = 0; n < 2; n++) {
    world.serve(0);
    await world.arrive(0);
  }
  await loading;
  assert.equal(roomOf(chat, 1).messages.length, messagesUnseenMax + 1);
  chat.stop();
  world.client.stop();
});

test("a chat that has ended refuses everything that would do something", async () => {
  const { world, chat } = await opened();
  await world.calm();
  const refused = await chat.send(1, "refused");
  await world.calm();
  chat.stop();
  for (const ask of [
    () => chat.send(1, "lost?"),
    () => chat.resend(refused),
    () => chat.discard(refused),
    () => chat.openRoom(1),
    () => chat.loadMembers(1),
    () => chat.loadMessages(1),
  ]) {
    assert.equal(await verdictOf(ask()), "stopped", String(ask));
  }
  chat.markRead(2, 1);
  await world.clock.pass(1_000);
  assert.deepEqual(world.questions, []);
  assert.deepEqual([...(await world.storage.load("outbox/7/")).keys()], [`outbox/7/${refused}`]);
  world.client.stop();
});

test("a page that is read ends a message that was refused although an earlier attempt had come through", async () => {
  const { world, chat } = await opened({ gapMax: 0 });
  await world.calm();
  await world.loseConnection();
  await chat.send(1, "there already");
  world.serve(0);
  await world.arrive(0, true);
  // Nobody tells this device of it: its second attempt is refused, and the entry is among those that were missed.
  world.server.inFront = problem(400, "invalid_body");
  while (world.questions.length === 0) await world.clock.pass(100);
  world.serve(0);
  await world.arrive(0);
  world.server.inFront = undefined;
  world.server.send(1, 8, "another", "another");
  await world.calm();
  assert.deepEqual(
    chat.outbox.get().map(({ content, status }) => [content, status]),
    [["there already", "failed"]],
  );
  const reading = chat.openRoom(1);
  await world.calm();
  await reading;
  assert.deepEqual(contents(roomOf(chat, 1)), ["there already", "another"]);
  assert.deepEqual(chat.outbox.get(), []);
  assert.equal((await world.storage.load("outbox/")).size, 0);
});

test("of a room that nobody has looked at only the newest messages stay, and whoever opens it has them all", async () => {
  const { world, chat } = await opened();
  await world.calm();
  const say = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) world.server.send(1, 8, `words ${i}`, crypto.randomUUID());
    await world.calm();
  };
  await say(messagesUnseenMax);
  assert.equal(roomOf(chat, 1).messages.length, messagesUnseenMax);
  await say(1);
  assert.equal(roomOf(chat, 1).messages.length, messagesUnseenMax);
  assert.equal(roomOf(chat, 1).messages.at(-1)?.seq, messagesUnseenMax + 1);
  assert.equal(roomOf(chat, 1).unread, messagesUnseenMax + 1);
  // What comes while the list is read is applied to what was read, too.
  world.link?.limit("user/7");
  await settle();
  assert.deepEqual(
    world.questions.map(({ path }) => path.replace(/\?.*/, "")),
    ["/api/v1/rooms"],
  );
  for (let i = 0; i < messagesUnseenMax; i++) world.server.send(1, 8, "flood", crypto.randomUUID());
  while ((world.link?.waiting() ?? []).length > 0) await world.push(0);
  assert.equal(world.questions.length, 1);
  await say(3);
  assert.equal(roomOf(chat, 1).messages.length, messagesUnseenMax);

  const reading = chat.openRoom(1);
  await world.calm();
  await reading;
  assert.equal(roomOf(chat, 1).messages.length, 2 * messagesUnseenMax + 4);
  chat.closeRoom(1);
  await say(5);
  assert.equal(roomOf(chat, 1).messages.length, 2 * messagesUnseenMax + 9, "what was seen stays");
  assert.ok(messagesUnseenMax < messagesKeptMax);
});
