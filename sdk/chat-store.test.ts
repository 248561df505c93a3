import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { applySnapshot, emptyChat } from "./chat-state.ts";
import type { ChatState, RoomView } from "./chat-view.ts";
import { type ChatWorld, contents, opened, roomOf } from "./chat-world.fixture.ts";
import { journalEntriesMax } from "./journal.ts";
import { TidingsError } from "./errors.ts";
import { helloFrame, settle, verdictOf } from "./world.fixture.ts";

test("a store shows the person's rooms and what happens in them", async () => {
  const { world, chat } = await opened();
  await world.calm();
  assert.deepEqual(Object.keys(chat.get().rooms), ["1", "2"]);
  assert.equal(roomOf(chat, 2).unread, 1);
  world.server.send(2, 8, "hello", "a");
  await world.calm();
  assert.equal(roomOf(chat, 2).unread, 2);
  assert.deepEqual(contents(roomOf(chat, 2)), ["hello"]);
  world.server.join(3, world.me);
  world.server.leave(1, world.me);
  await world.calm();
  assert.deepEqual(Object.keys(chat.get().rooms), ["2", "3"]);
  world.server.send(3, 8, "welcome", "b");
  await world.calm();
  assert.deepEqual(contents(roomOf(chat, 3)), ["welcome"]);
  assert.deepEqual(world.errors, []);
});

test("a room is read when it is opened, and its members when they are wanted", async () => {
  const { world, chat } = await opened();
  await world.calm();
  const reading = chat.openRoom(2);
  await world.calm();
  await reading;
  assert.deepEqual(contents(roomOf(chat, 2)), ["before"]);
  assert.equal(roomOf(chat, 2).members, undefined);
  const listing = chat.loadMembers(2);
  await world.calm();
  await listing;
  assert.deepEqual(
    roomOf(chat, 2).members?.map(({ user_id }) => user_id),
    [7, 8],
  );
  world.server.join(2, 9);
  await world.calm();
  assert.equal(roomOf(chat, 2).members?.length, 3);
});

test("a message that is written shows at once, over the socket and without one, and once in the end", async () => {
  const { world, chat } = await opened();
  await world.calm();
  const shown = (): readonly string[] => {
    const { messages, pending } = roomOf(chat, 1);
    return [
      ...messages.map(({ content }) => content),
      ...pending.map(({ content, status }) => `${content} ${status}`),
    ];
  };
  await chat.send(1, "over the socket");
  assert.deepEqual(shown(), ["over the socket in_flight"]);
  await world.calm();
  assert.deepEqual(shown(), ["over the socket"]);

  await world.loseConnection();
  await chat.send(1, "over HTTP");
  assert.deepEqual(shown(), ["over the socket", "over HTTP in_flight"]);
  world.serve(0);
  await world.arrive(0);
  assert.deepEqual(shown(), ["over the socket", "over HTTP"]);
  await world.calm();
  assert.deepEqual(shown(), ["over the socket", "over HTTP"]);
  assert.equal(roomOf(chat, 1).unread, 0);
});

test("an answer that is lost makes no second message", async () => {
  const { world, chat } = await opened();
  await world.calm();
  await world.loseConnection();
  await chat.send(1, "once");
  world.serve(0);
  await world.arrive(0, true);
  await world.calm();
  assert.deepEqual(contents(roomOf(chat, 1)), ["once"]);
  assert.deepEqual(chat.outbox.get(), []);
  assert.equal(world.server.rooms.get(1)?.messages.length, 1);
});

test("an entry ends what waits for an answer", async () => {
  const { world, chat } = await opened();
  await world.calm();
  await world.loseConnection();
  await chat.send(1, "heard of");
  world.serve(0);
  while (world.link === undefined) {
    await world.clock.pass(100);
    await world.welcome();
  }
  await world.handle();
  await world.push(0);
  assert.deepEqual(contents(roomOf(chat, 1)), ["heard of"]);
  assert.deepEqual(chat.outbox.get(), []);
  assert.equal((await world.storage.load("outbox/")).size, 0);
});

test("an answer that is older than what was missed does not bring old words back", async () => {
  const { world, chat } = await opened({ gapMax: 0 });
  await world.calm();
  const reading = chat.loadMembers(1);
  await world.calm();
  await reading;
  await world.loseConnection();
  await chat.send(1, "first words");
  world.serve(0);
  world.server.change(1, 1, "better words");
  while (world.link === undefined) {
    await world.clock.pass(100);
    await world.welcome();
  }
  await world.handle();
  // What was missed is read anew, and only then the answer comes.
  while (world.questions.length > 1) {
    world.serve(0);
    await world.arrive(1);
  }
  await world.arrive(0);
  await world.calm();
  assert.deepEqual(contents(roomOf(chat, 1)), []);
  const opening = chat.openRoom(1);
  await world.calm();
  await opening;
  assert.deepEqual(contents(roomOf(chat, 1)), ["better words"]);
});

test("what was written before a reload is shown and sent after it", async () => {
  const first = await opened();
  await first.world.calm();
  await first.world.loseConnection();
  await first.chat.send(1, "still here");
  first.chat.stop();
  first.world.client.stop();

  const { world, chat } = await opened({ storage: first.world.storage });
  assert.deepEqual(
    chat.outbox.get().map(({ content }) => content),
    ["still here"],
  );
  await world.calm();
  assert.deepEqual(contents(roomOf(chat, 1)), ["still here"]);
});

test("a refused message stays, until it is discarded or sent as another one", async () => {
  const { world, chat } = await opened();
  await world.calm();
  const id = await chat.send(1, "refused");
  await world.calm();
  assert.equal(roomOf(chat, 1).pending[0]?.status, "failed");
  const again = await chat.resend(id);
  await world.calm();
  assert.equal(roomOf(chat, 1).pending[0]?.client_msg_id, again);
  assert.equal(await chat.discard(again), true);
  assert.deepEqual(roomOf(chat, 1).pending, []);
});

test("a mark shows at once, and reaches the server when it can", async () => {
  const { world, chat } = await opened();
  await world.calm();
  await world.loseConnection();
  chat.markRead(2, 1);
  assert.equal(roomOf(chat, 2).unread, 0);
  await settle();
  world.serve(0);
  await world.arrive(0, true);
  assert.equal(world.server.rooms.get(2)?.marks.get(world.me), 1);
  await world.calm();
  assert.equal(roomOf(chat, 2).unread, 0);
  // Nothing new to tell.
  chat.markRead(2, 1);
  await settle();
  assert.deepEqual(world.questions, []);
});

test("a mark of a room that is left meanwhile is nobody's", async () => {
  const { world, chat } = await opened();
  await world.calm();
  chat.markRead(2, 1);
  world.server.leave(2, world.me);
  await world.calm();
  assert.deepEqual(Object.keys(chat.get().rooms), ["1"]);
  assert.deepEqual(world.errors, []);
});

test("after too much was missed a room is read anew, and what changed meanwhile is seen", async () => {
  const { world, chat } = await opened({ gapMax: 2 });
  await world.calm();
  const reading = chat.openRoom(2);
  await world.calm();
  await reading;
  await world.loseConnection();
  for (let i = 0; i < 3; i++) world.server.send(2, 8, `missed ${i}`, `missed ${i}`);
  world.server.change(2, 1, undefined);
  await world.calm();
  assert.deepEqual(contents(roomOf(chat, 2)), ["", "missed 0", "missed 1", "missed 2"]);
  assert.equal(roomOf(chat, 2).stale, false);
});

test("whoever is removed and let in again hears the room again, whichever topic says so first", async () => {
  for (const order of [
    ["user/7", "user/7", "room/1"],
    ["room/1", "user/7", "user/7"],
    ["user/7", "room/1", "user/7"],
  ]) {
    const { world, chat } = await opened();
    await world.calm();
    world.server.leave(1, world.me);
    world.server.join(1, world.me);
    // All in one moment, as when several frames come in one packet.
    for (const topic of order) world.link?.push(topic);
    await world.calm();
    world.server.send(1, 8, "again", "again");
    await world.calm();
    assert.deepEqual(contents(roomOf(chat, 1)), ["again"], order.join(" "));
  }
});

test("what was read while one entry more came than is kept is read once more", async () => {
  for (const surplus of [0, 1]) {
    const { world, chat } = await opened();
    await world.calm();
    const reading = verdictOf(chat.openRoom(1));
    await settle();
    for (let i = 0; i < journalEntriesMax + surplus; i++) {
      const entry = { id: `flood-${i}`, type: "flood", time: "", actor: "", data: {} };
      world.link?.socket.receive({ type: "entry", topic: "room/1", position: `flood-${i}`, entry });
    }
    let questions = 0;
    while (world.questions.length > 0) {
      questions++;
      world.serve(0);
      await world.arrive(0);
    }
    assert.equal(await reading, undefined);
    // The room, and then its messages.
    assert.equal(questions, surplus === 0 ? 2 : 4);
  }
});

test("after stop a store shows, asks and sends nothing any more", async () => {
  const { world, chat } = await opened();
  await world.calm();
  const reading = verdictOf(chat.openRoom(1));
  await settle();
  let told = 0;
  chat.subscribe(() => told++);
  const before = chat.get();
  chat.stop();
  await settle();
  world.server.send(1, 8, "late", "late");
  await world.calm();
  await reading;
  assert.equal(chat.get(), before);
  assert.equal(told, 0);
  world.client.stop();
  assert.equal(world.clock.timers, 0);
});

test("while the client is stopped its store sends and asks nothing, and goes on with it", async () => {
  const { world, chat } = await opened();
  await world.calm();
  const { client } = world;
  await world.loseConnection();
  await chat.send(1, "lost");
  world.serve(0);
  await world.arrive(0, true);
  client.stop();
  await settle();
  await chat.send(1, "written in between");
  chat.markRead(2, 1);
  await world.clock.pass(60_000);
  assert.deepEqual(world.questions, []);
  assert.equal(world.clock.timers, 0);
  assert.deepEqual(
    roomOf(chat, 1).pending.map(({ status }) => status),
    ["queued", "queued"],
  );
  client.start();
  await world.calm();
  assert.deepEqual(contents(roomOf(chat, 1)), ["lost", "written in between"]);
  assert.equal(roomOf(chat, 2).unread, 0);
  chat.stop();
  client.stop();
  assert.equal(world.clock.timers, 0);
});

test("what is read or told in the background ends when the client is stopped, and is done after it", async () => {
  const { world, chat } = await opened();
  await world.calm();
  chat.markRead(2, 1);
  await settle();
  assert.deepEqual(
    world.questions.map(({ method, signal }) => [method, signal.aborted]),
    [["PUT", false]],
  );
  world.client.stop();
  await settle();
  assert.equal(world.questions[0]?.signal.aborted, true);
  assert.equal(world.clock.timers, 0);
  await world.clock.pass(60_000);
  assert.equal(world.questions.length, 1, "nothing more is asked");
  world.client.start();
  await settle();
  assert.equal(world.questions.filter(({ method }) => method === "PUT").length, 2);
  await world.calm();
  assert.equal(roomOf(chat, 2).unread, 0);
  assert.deepEqual(world.errors, []);
  chat.stop();
  world.client.stop();
});

test("whoever asks for a room in which there is nothing to show is told why", async () => {
  const { world, chat } = await opened();
  await world.calm();
  for (const ask of [() => chat.openRoom(99), () => chat.loadMembers(99)]) {
    const verdict = ask().catch((error: unknown) => error);
    await world.calm();
    const error = await verdict;
    assert.ok(error instanceof TidingsError && error.status === 404, String(error));
  }
  for (const ask of [() => chat.openRoom(3), () => chat.loadMembers(3)]) {
    const verdict = verdictOf(ask());
    await world.calm();
    assert.equal(await verdict, "not_member");
  }
  const messages = verdictOf(chat.loadMessages(3));
  await world.calm();
  assert.equal(await messages, "forbidden");
  assert.deepEqual(Object.keys(chat.get().rooms), ["1", "2"]);
});

test("a room that the list of rooms brings along can be opened before the list was read", async () => {
  const { world, chat } = await opened();
  world.server.joinOnList(3);
  const verdict = verdictOf(chat.openRoom(3));
  // The question about the room is read before the one for the list.
  await settle();
  world.serve(world.questions.findIndex(({ path }) => path === "/api/v1/rooms/3"));
  await world.arrive(0);
  await world.calm();
  assert.equal(await verdict, undefined);
  assert.ok(roomOf(chat, 3));
});

test("what one person wrote is not sent when somebody else is signed in", async () => {
  const { world, chat } = await opened();
  await world.calm();
  await world.loseConnection();
  await chat.send(1, "mine");
  world.serve(0);
  await world.arrive(0, true);
  while (world.sockets.last.over) await world.clock.pass(100);
  // The credentials are another person's now.
  const socket = world.sockets.last;
  socket.open();
  socket.receive(helloFrame(world.clock, { user_id: 8 }));
  await world.clock.pass(60_000);
  assert.deepEqual(socket.of("request"), []);
  assert.ok(world.questions.every(({ signal }) => signal.aborted));
  assert.equal((await world.storage.load("outbox/7/")).size, 1);
});

/** What a fresh fetch of everything shows. */
function fresh({ server, me }: ChatWorld): ChatState {
  return server
    .myRooms()
    .reduce(
      (state, { room }) => applySnapshot(state, server.snapshot(room.id)),
      applySnapshot(emptyChat(me), { kind: "rooms", rooms: server.myRooms() }),
    );
}

function withoutPending({ me, rooms }: ChatState): ChatState {
  const bare = Object.entries(rooms).map(([id, view]): [string, RoomView] => [id, { ...view, pending: [] }]);
  return { me, rooms: Object.fromEntries(bare) };
}

const room = fc.constantFrom(1, 2, 3);
const happening = fc.oneof(
  { weight: 9, arbitrary: fc.record({ do: fc.constantFrom("push" as const), which: fc.nat(9) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom("serve" as const), which: fc.nat(9) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("arrive" as const),
      which: fc.nat(9),
      lost: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom("handle" as const, "welcome" as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.nat(5_000) }) },
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "theirs" as const,
        "mine" as const,
        "edit" as const,
        "delete" as const,
        "read" as const,
      ),
      room,
      seq: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom("join" as const, "leave" as const, "role" as const),
      room,
      who: fc.constantFrom(7, 8, 9),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "open" as const,
        "list" as const,
        "send" as const,
        "mark" as const,
        "limit" as const,
      ),
      room,
      text: fc.constantFrom("a", "b", "refused"),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "lose" as const,
        "drain" as const,
        "offline" as const,
        "online" as const,
        "restart" as const,
      ),
    }),
  },
);

test("a room that cannot be read when it is opened is read by itself when it can be", async () => {
  const { world, chat } = await opened();
  await world.calm();
  world.server.send(2, 8, "old words", "theirs-1");
  world.link?.limit("room/2");
  const told: { verdict: unknown }[] = [];
  void verdictOf(chat.openRoom(2)).then((verdict) => told.push({ verdict }));
  await settle();
  for (let times = 0; times < 20 && told.length === 0; times++) {
    world.serve(0);
    await world.arrive(0, true);
    await world.clock.pass(2_000);
  }
  assert.notEqual(told[0]?.verdict, undefined, "it could not be read");
  await world.calm();
  assert.equal(roomOf(chat, 2).messages.at(-1)?.content, "old words");
});

test("who opens a room once more has it open, although the first time is refused afterwards", async () => {
  const { world, chat } = await opened();
  await world.calm();
  const first = verdictOf(chat.openRoom(3));
  await settle();
  world.serve(0);
  world.server.join(3, world.me);
  const second = verdictOf(chat.openRoom(3));
  await settle();
  await world.arrive(0);
  await world.calm();
  await first;
  assert.equal(await second, undefined);
  world.server.send(3, 8, "new words", "theirs-1");
  world.link?.limit("room/3");
  await world.calm();
  assert.equal(roomOf(chat, 3).messages.at(-1)?.content, "new words");
});

/** Long runs: it takes several things at once for one of them to come at the wrong moment. */
const manyHappenings = fc.array(happening, { minLength: 1, maxLength: 120, size: "max" });

test("whatever happens in whatever order, in the end the store shows what a fresh fetch shows", async () => {
  await fc.assert(
    fc.asyncProperty(fc.boolean(), manyHappenings, async (calm, happenings) => {
      const { world, chat } = await opened({ gapMax: 3 });
      if (calm) await world.calm();
      const { server, me, client } = world;
      // Rooms that were read on request, of which the person was a member throughout.
      const kept = new Set<number>();
      const left = new Set<number>();
      let texts = 0;
      const written: string[] = [];

      // Somebody who only listens: nothing twice, nothing out of order, and no gap that was not said.
      let heard: number | undefined;
      client.subscribe("room/2", {
        entry: ({ position }) => {
          const n = Number(position);
          if (heard !== undefined) {
            assert.ok(n > heard, "twice or out of order");
            const between = server.log.filter(
              (one) => one.topic === "room/2" && one.n > (heard ?? 0) && one.n < n,
            );
            assert.deepEqual(between, [], "a gap");
          }
          heard = n;
        },
        limited: () => (heard = undefined),
      });

      for (const one of happenings) {
        switch (one.do) {
          case "push":
            await world.push(one.which);
            break;
          case "serve":
            world.serve(one.which);
            break;
          case "arrive":
            await world.arrive(one.which, one.lost);
            break;
          case "handle":
            await world.handle();
            break;
          case "welcome":
            await world.welcome();
            break;
          case "pass":
            await world.clock.pass(one.ms);
            break;
          case "theirs":
            server.send(one.room, 8, "theirs", `theirs-${++texts}`);
            break;
          case "mine":
            server.send(one.room, me, "other device", `other-${++texts}`);
            break;
          case "edit":
            server.change(one.room, one.seq, `edit ${++texts}`);
            break;
          case "delete":
            server.change(one.room, one.seq, undefined);
            break;
          case "read":
            server.markRead(one.room, me, server.isMember(one.room) ? one.seq : 0);
            break;
          case "join":
            server.join(one.room, one.who);
            break;
          case "leave":
            if (one.who === me) left.add(one.room);
            server.leave(one.room, one.who);
            break;
          case "role":
            server.changeRole(one.room, one.who, texts++ % 2 === 0 ? "moderator" : "member");
            break;
          case "open":
            if (server.isMember(one.room)) kept.add(one.room);
            void verdictOf(chat.openRoom(one.room));
            break;
          case "list":
            void verdictOf(chat.loadMembers(one.room));
            break;
          case "send":
            written.push(await chat.send(one.room, one.text));
            break;
          case "mark":
            chat.markRead(one.room, 3);
            break;
          case "limit":
            world.link?.limit(`room/${one.room}`);
            break;
          case "lose":
            await world.loseConnection();
            break;
          case "drain":
            world.link?.socket.receive({ type: "server.draining", close_within_ms: 1_000 });
            break;
          case "offline":
          case "online":
            world.network.tell(one.do === "online");
            break;
          case "restart":
            client.stop();
            client.start();
            break;
        }
        await settle();
        assert.ok(world.sockets.most <= 1, "two sockets");
      }

      await world.calm();
      const expected = fresh(world);
      const state = chat.get();
      assert.deepEqual(Object.keys(state.rooms), Object.keys(expected.rooms));
      for (const { room } of Object.values(expected.rooms)) {
        const [view, truth] = [roomOf(chat, room.id), expected.rooms[room.id]];
        const facts = ({ messages: _1, members: _2, pending: _3, stale: _4, ...rest }: RoomView): object =>
          rest;
        assert.deepEqual(facts(view), facts(truth ?? view));
        // Of a room that is not open, messages are what they were when entries were missed.
        for (const message of view.stale ? [] : view.messages) {
          assert.deepEqual(message, truth?.messages[message.seq - 1]);
        }
        if (view.members !== undefined && !view.stale) assert.deepEqual(view.members, truth?.members);
        if (view.stale) assert.ok(!kept.has(room.id) || left.has(room.id), "an open room is stale");
      }
      for (const id of written) {
        const waiting = chat.outbox.get().filter(({ client_msg_id }) => client_msg_id === id);
        const there = [...server.rooms.values()].flatMap(({ messages }) =>
          messages.filter(({ client_msg_id }) => client_msg_id === id),
        );
        // An attempt that was given up may come through after its repetition was refused; a room that is not open does
        // not say so.
        const mayBeBoth = waiting[0]?.status === "failed" && there.length === 1;
        assert.equal(waiting.length + there.length, mayBeBoth ? 2 : 1, "lost or twice");
        assert.ok(waiting.every(({ status }) => status === "failed"));
      }
      const reading = Object.keys(expected.rooms).flatMap((id) => [
        verdictOf(chat.openRoom(Number(id))),
        verdictOf(chat.loadMembers(Number(id))),
      ]);
      await world.calm();
      assert.deepEqual(new Set(await Promise.all(reading)), new Set(reading.length === 0 ? [] : [undefined]));
      assert.deepEqual(withoutPending(chat.get()), fresh(world));

      assert.deepEqual(world.errors, []);
      chat.stop();
      client.stop();
      assert.equal(world.clock.timers, 0, "a timer is left");
    }),
    { numRuns: 150 },
  );
});
