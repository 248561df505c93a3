import assert from "node:assert/strict";
import { test } from "node:test";
import { openChat } from "./chat-store.ts";
import { ChatWorld } from "./chat-world.fixture.ts";
import { TidingsError, needsSignIn } from "./errors.ts";
import { createHttp } from "./http.ts";
import { settle, verdictOf } from "./world.fixture.ts";

/** What a proxy or a hotel's network answers in the server's place decides nothing that cannot be undone. */

const page = (status: number) => ({ status, body: "<html>default backend</html>" });

const pageError = (status: number) =>
  new TidingsError({ code: "unexpected_answer", status, retry: "later", message: "" });

/** A chat with two rooms, of which the first is open, and no connection: everything goes over HTTP. */
async function opened() {
  const world = new ChatWorld();
  for (const id of [1, 2]) {
    world.server.create(id);
    world.server.join(id, world.me);
  }
  const opening = openChat(world.client);
  await settle();
  world.serve(0);
  await world.arrive(0);
  const chat = await opening;
  const reading = chat.openRoom(1);
  await world.calm();
  await reading;
  return { world, chat };
}

/** Everything that is asked is answered, for so long. */
async function answered(world: ChatWorld, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    while (world.questions.length > 0) {
      world.serve(0);
      await world.arrive(0);
    }
    await world.clock.pass(1_000);
  }
}

test("rooms stay while somebody in front of the server answers, and are read again by themselves", async () => {
  for (const status of [401, 403, 404]) {
    const { world, chat } = await opened();
    world.server.inFront = page(status);
    world.link?.limit("room/1");
    world.link?.limit("user/7");
    chat.markRead(1, 1);
    await answered(world, 60);
    assert.deepEqual(Object.keys(chat.get().rooms), ["1", "2"], String(status));
    world.server.inFront = undefined;
    world.server.rename(1, "Tea");
    await answered(world, 60);
    assert.equal(chat.get().rooms[1]?.stale, false);
    assert.deepEqual(world.errors, []);
    chat.stop();
    world.client.stop();
  }
});

test("a message waits while somebody in front of the server answers, and arrives after that", async () => {
  for (const status of [401, 403, 404]) {
    const { world, chat } = await opened();
    await world.loseConnection();
    world.server.inFront = page(status);
    await chat.send(1, "words");
    await answered(world, 1);
    assert.match(chat.outbox.get()[0]?.status ?? "", /queued|in_flight/, String(status));
    world.server.inFront = undefined;
    await world.calm();
    assert.deepEqual(chat.outbox.get(), []);
    assert.equal(world.server.rooms.get(1)?.messages.length, 1);
    chat.stop();
    world.client.stop();
  }
});

test("a page with status 401 costs no token, and makes nobody sign in", async () => {
  const asked: unknown[] = [];
  const tokens = {
    token: (refused?: string) => {
      asked.push(refused);
      return Promise.resolve("good");
    },
  };
  const http = createHttp(() => Promise.reject(pageError(401)), tokens);
  const call = { method: "GET", path: "/api/v1/me", repeatable: true } as const;
  assert.equal(await verdictOf(http.call(call)), "unexpected_answer");
  assert.deepEqual(asked, [undefined]);
  assert.equal(needsSignIn(pageError(401)), false);
});
