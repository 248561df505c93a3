import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Message, MyRoom } from "../protocol/chat.ts";
import { ChatServer } from "./chat-server.fixture.ts";
import {
  applyEntry,
  applySnapshot,
  emptyChat,
  limitedEntry,
  markRead,
  newestMessages,
  withPending,
} from "./chat-state.ts";
import type { ChatEntry, ChatState, PendingMessage, RoomView, Snapshot } from "./chat-view.ts";
import { messagesKeptMax } from "./room-view.ts";

const me = 7;
const others = [8, 9];

/** Two rooms; the second has somebody else's messages. */
function served(): ChatServer {
  const server = new ChatServer(me);
  for (const id of [1, 2]) {
    server.create(id);
    server.join(id, me, "owner");
    server.join(id, 8);
  }
  for (let i = 1; i <= 3; i++) server.send(2, 8, `hello ${i}`, `c${i}`);
  return server;
}

/** All there is, read at once. */
function fetchAll(server: ChatServer): readonly Snapshot[] {
  const rooms = server.myRooms();
  return [{ kind: "rooms", rooms }, ...rooms.map(({ room }) => server.snapshot(room.id))];
}

function stateOf(server: ChatServer): ChatState {
  return fetchAll(server).reduce((state, snapshot) => applySnapshot(state, snapshot), emptyChat(me));
}

function roomOf(state: ChatState, roomId: number): RoomView {
  const view = state.rooms[roomId];
  assert.ok(view !== undefined);
  return view;
}

function entriesFrom(server: ChatServer, from: number): readonly ChatEntry[] {
  return server.log
    .slice(from)
    .filter(({ topic }) => topic.startsWith("room/") || topic === `user/${me}`)
    .map(({ entry }) => entry);
}

/** What is done to the server. */
type Deed = (server: ChatServer) => void;
const someRoom = fc.constantFrom(1, 2);
const someSeq = fc.integer({ min: 1, max: 6 });
const anybody = fc.constantFrom(me, ...others);
let lastClientId = 0;
const deed: fc.Arbitrary<Deed> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(someRoom, anybody, fc.string({ maxLength: 3 })).map(
      ([room, user, text]): Deed =>
        (server) =>
          server.send(room, user, text, `deed-${++lastClientId}`),
    ),
  },
  fc.tuple(someRoom, someSeq, fc.option(fc.string({ maxLength: 3 }), { nil: undefined })).map(
    ([room, seq, text]): Deed =>
      (server) =>
        server.change(room, seq, text),
  ),
  fc.tuple(someRoom, anybody, someSeq).map(
    ([room, user, seq]): Deed =>
      (server) =>
        server.markRead(room, user, seq),
  ),
  fc.tuple(someRoom, anybody, fc.constantFrom("owner", "moderator", "member")).map(
    ([room, user, role]): Deed =>
      (server) =>
        server.changeRole(room, user, role),
  ),
  fc.tuple(someRoom, fc.constantFrom(...others)).map(
    ([room, user]): Deed =>
      (server) =>
        server.join(room, user),
  ),
  fc.tuple(someRoom, fc.constantFrom(...others)).map(
    ([room, user]): Deed =>
      (server) =>
        server.leave(room, user),
  ),
  fc.tuple(someRoom, fc.string({ maxLength: 3 })).map(
    ([room, name]): Deed =>
      (server) =>
        server.rename(room, name),
  ),
);
/** Deeds, and my own coming and going. */
const anyDeed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 8, arbitrary: deed },
  someRoom.map(
    (room): Deed =>
      (server) =>
        server.leave(room, me),
  ),
  someRoom.map(
    (room): Deed =>
      (server) =>
        server.join(room, me),
  ),
);

test("a snapshot and the entries after it equal a fresh fetch", () => {
  fc.assert(
    fc.property(fc.array(deed, { maxLength: 30, size: "max" }), (deeds) => {
      const server = served();
      const before = stateOf(server);
      const from = server.log.length;
      for (const act of deeds) act(server);
      const state = entriesFrom(server, from).reduce(applyEntry, before);
      assert.deepEqual(state, stateOf(server));
    }),
    { numRuns: 200 },
  );
});

test("a membership that ends and begins again is the one that a fresh fetch of the rooms shows", () => {
  fc.assert(
    fc.property(fc.array(anyDeed, { maxLength: 30, size: "max" }), (deeds) => {
      const server = served();
      const from = server.log.length;
      const before = stateOf(server);
      for (const act of deeds) act(server);
      const state = entriesFrom(server, from).reduce(applyEntry, before);
      // The members and messages of a room that was joined anew are read when somebody looks at it.
      const summary = ({ rooms }: ChatState) =>
        Object.values(rooms).map(({ members: _members, messages: _messages, ...rest }) => rest);
      assert.deepEqual(summary(state), summary(stateOf(server)));
      const complete = fetchAll(server).reduce((next, snapshot) => applySnapshot(next, snapshot), state);
      assert.deepEqual(complete, stateOf(server));
    }),
    { numRuns: 200 },
  );
});

test("snapshots that arrive late, among entries that came meanwhile, change nothing in the end", () => {
  const happening = fc.oneof(
    { weight: 3, arbitrary: deed.map((act) => ({ kind: "deed", act }) as const) },
    { weight: 3, arbitrary: fc.constant({ kind: "hear" } as const) },
    fc.constant({ kind: "ask" } as const),
    fc.constant({ kind: "serve" } as const),
    fc.constant({ kind: "arrive" } as const),
  );
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 60, size: "max" }), (happenings) => {
      const server = served();
      let state = stateOf(server);
      const heard: ChatEntry[] = [];
      const from = server.log.length;
      // A question: how many entries were heard before it, and what the server has read for it once it has.
      let asked: { readonly after: number; found: readonly Snapshot[] | undefined } | undefined;
      const hear = (): void => {
        const entry = entriesFrom(server, from).at(heard.length);
        if (entry === undefined) return;
        heard.push(entry);
        state = applyEntry(state, entry);
      };
      for (const happening of happenings) {
        if (happening.kind === "deed") happening.act(server);
        else if (happening.kind === "hear") hear();
        else if (happening.kind === "ask") asked ??= { after: heard.length, found: undefined };
        else if (happening.kind === "serve" && asked !== undefined) asked.found ??= fetchAll(server);
        else if (asked?.found !== undefined) {
          const since = heard.slice(asked.after);
          state = asked.found.reduce((next, snapshot) => applySnapshot(next, snapshot, since), state);
          asked = undefined;
        }
      }
      while (heard.length < entriesFrom(server, from).length) hear();
      assert.deepEqual(state, stateOf(server));
    }),
    { numRuns: 300 },
  );
});

test("messages and read marks do not depend on the order of their entries, nor on how often they come", () => {
  const message = fc
    .record({ seq: someSeq, version: fc.integer({ min: 1, max: 4 }) })
    .map(({ seq, version }): ChatEntry => {
      const type = version === 1 ? "message.created" : "message.edited";
      return { type, data: { message: messageOf({ seq, version, user_id: me + (seq % 3) }) } };
    });
  const mark = someSeq.map((seq): ChatEntry => ({
    type: "room.read",
    data: { room_id: 1, last_read_seq: seq, unread: 0 },
  }));
  const entries = fc.array(fc.oneof(message, mark), { maxLength: 20, size: "max" });
  fc.assert(
    fc.property(
      entries.chain((list) =>
        fc.tuple(fc.constant(list), fc.shuffledSubarray([...list, ...list], { minLength: 2 * list.length })),
      ),
      ([list, shuffled]) => {
        const begin = applySnapshot(emptyChat(me), { kind: "rooms", rooms: [myRoom(1)] });
        const state = list.reduce(applyEntry, begin);
        assert.deepEqual(shuffled.reduce(applyEntry, begin), state);
        // Nothing new is the same object: nobody has to draw it again.
        assert.equal(list.reduce(applyEntry, state), state);
        const { unread, room, last_read_seq } = roomOf(state, 1);
        assert.equal(unread, Math.max(0, room.last_seq - last_read_seq));
      },
    ),
    { numRuns: 300 },
  );
});

function myRoom(id: number, changes: Partial<MyRoom> = {}): MyRoom {
  const time = "2026-01-01T00:00:00.000Z";
  const room = { id, kind: "public", name: "r", created_at: time, last_seq: 0 } as const;
  return { room, role: "member", last_read_seq: 0, unread: 0, joined_at: time, peer: null, ...changes };
}

function messageOf(changes: Partial<Message>): Message {
  const { seq = 1, version = 1 } = changes;
  return {
    id: `m${seq}`,
    room_id: 1,
    seq,
    user_id: 8,
    username: "u8",
    content: `version ${version}`,
    client_msg_id: `c${seq}`,
    reply_to: null,
    created_at: "2026-01-01T00:00:00.000Z",
    version,
    edited_at: null,
    deleted_at: null,
    ...changes,
  };
}

const created = (message: Message): ChatEntry => ({ type: "message.created", data: { message } });

test("one's own message is read, somebody else's is not", () => {
  const server = served();
  const state = stateOf(server);
  assert.equal(roomOf(state, 2).unread, 3);
  const theirs = applyEntry(state, created(messageOf({ room_id: 2, seq: 4, user_id: 8 })));
  assert.equal(roomOf(theirs, 2).unread, 4);
  const mine = applyEntry(theirs, created(messageOf({ room_id: 2, seq: 5, user_id: me })));
  assert.equal(roomOf(mine, 2).unread, 0);
  assert.equal(roomOf(mine, 2).last_read_seq, 5);
});

test("a mark that is set here shows at once, and never beyond the room's end nor back", () => {
  const state = stateOf(served());
  assert.equal(roomOf(markRead(state, 2, 2), 2).unread, 1);
  const all = markRead(state, 2, 99);
  assert.equal(roomOf(all, 2).last_read_seq, 3);
  assert.equal(markRead(all, 2, 1), all);
});

const pendingOf = (id: string, room_id = 1): PendingMessage => ({
  client_msg_id: id,
  room_id,
  content: "hi",
  reply_to: null,
  created_at: "2026-01-01T00:00:00.000Z",
  status: "queued",
});

test("what waits to be sent shows in its room until an entry confirms it, whichever comes first", () => {
  const state = stateOf(served());
  const waiting = [pendingOf("a"), pendingOf("b"), pendingOf("x", 2), pendingOf("y", 99)];
  const shown = withPending(state, waiting);
  assert.deepEqual(roomOf(shown, 1).pending, [waiting[0], waiting[1]]);
  assert.equal(withPending(shown, waiting), shown);
  const confirmed = applyEntry(shown, created(messageOf({ user_id: me, client_msg_id: "a" })));
  assert.deepEqual(roomOf(confirmed, 1).pending, [waiting[1]]);
  // The queue may still have it for a moment.
  assert.deepEqual(roomOf(withPending(confirmed, waiting), 1).pending, [waiting[1]]);
  // Somebody else may use the same id.
  const theirs = applyEntry(confirmed, created(messageOf({ seq: 2, user_id: 8, client_msg_id: "b" })));
  assert.deepEqual(roomOf(theirs, 1).pending, [waiting[1]]);
  assert.deepEqual(roomOf(withPending(theirs, []), 1).pending, []);
});

test("a room of which entries were missed keeps what it shows until it is read anew, and then nothing of it", () => {
  const server = served();
  const before = stateOf(server);
  server.change(2, 1, undefined);
  server.leave(2, 8);
  const stale = applyEntry(before, limitedEntry(2));
  assert.equal(roomOf(stale, 2).stale, true);
  assert.equal(roomOf(stale, 2).messages[0]?.content, "hello 1");
  assert.equal(applyEntry(stale, limitedEntry(2)), stale);
  assert.deepEqual(applySnapshot(stale, server.snapshot(2)), stateOf(server));
  // Missed once more while it was read: what was read may be too old again.
  const again = applySnapshot(stale, server.snapshot(2), [limitedEntry(2)]);
  assert.equal(roomOf(again, 2).stale, true);
});

test("a stale room of which nothing but the list is shown needs nothing but the list", () => {
  const list: Snapshot = { kind: "rooms", rooms: [myRoom(1)] };
  const stale = applyEntry(applySnapshot(emptyChat(me), list), limitedEntry(1));
  assert.deepEqual(applySnapshot(stale, list), applySnapshot(emptyChat(me), list));
});

test("pages may be read in any order, and holes are where a seq is missing", () => {
  const all = Array.from({ length: 9 }, (_, i) => messageOf({ seq: i + 1 }));
  const page = (from: number, to: number): Snapshot => ({
    kind: "page",
    roomId: 1,
    page: { items: all.slice(from - 1, to), before: null, after: null, last_seq: 9, last_read_seq: 2 },
  });
  const begin = applySnapshot(emptyChat(me), { kind: "rooms", rooms: [myRoom(1)] });
  const holed = [page(7, 9), page(1, 3)].reduce((state, snapshot) => applySnapshot(state, snapshot), begin);
  assert.deepEqual(
    roomOf(holed, 1).messages.map(({ seq }) => seq),
    [1, 2, 3, 7, 8, 9],
  );
  assert.deepEqual(
    newestMessages(roomOf(holed, 1)).map(({ seq }) => seq),
    [7, 8, 9],
  );
  const whole = applySnapshot(holed, page(3, 7));
  assert.equal(newestMessages(roomOf(whole, 1)).length, 9);
  assert.equal(roomOf(whole, 1).unread, 7);
  // A message has come that is not here: nothing shows the end of the room.
  const ahead = applySnapshot(whole, {
    ...page(1, 1),
    page: { ...(page(1, 1) as { page: object }).page, last_seq: 10 },
  } as Snapshot);
  assert.deepEqual(newestMessages(roomOf(ahead, 1)), []);
});

test("so many messages of a room are kept and not one more; what was read last stays", () => {
  const begin = applySnapshot(emptyChat(me), { kind: "rooms", rooms: [myRoom(1)] });
  const full = Array.from({ length: messagesKeptMax }, (_, i) => messageOf({ seq: i + 101 })).reduce(
    (state, message) => applyEntry(state, created(message)),
    begin,
  );
  assert.equal(roomOf(full, 1).messages.length, messagesKeptMax);
  const newer = applyEntry(full, created(messageOf({ seq: messagesKeptMax + 101 })));
  assert.deepEqual(seqsOf(newer), [102, messagesKeptMax + 101, messagesKeptMax]);
  const items = Array.from({ length: 50 }, (_, i) => messageOf({ seq: i + 51 }));
  const page = { items, before: null, after: null, last_seq: 0, last_read_seq: 0 };
  const older = applySnapshot(full, { kind: "page", roomId: 1, page });
  assert.deepEqual(seqsOf(older), [51, messagesKeptMax + 50, messagesKeptMax]);
});

function seqsOf(state: ChatState): readonly (number | undefined)[] {
  const { messages } = roomOf(state, 1);
  return [messages[0]?.seq, messages.at(-1)?.seq, messages.length];
}

test("entries of unknown rooms, of other types and without their words change nothing", () => {
  const state = stateOf(served());
  const entries: readonly ChatEntry[] = [
    created(messageOf({ room_id: 99 })),
    { type: "message.created", data: { redacted: true } },
    { type: "message.created", data: null },
    { type: "account.changed", data: { account: {} } },
    { type: "eventlog.redacted", data: { ids: [] } },
    { type: "room.left", data: { room_id: 99 } },
    limitedEntry(99),
  ];
  for (const entry of entries) assert.equal(applyEntry(state, entry), state, entry.type);
});

test("whoever is no member any more has no such room", () => {
  const state = stateOf(served());
  assert.deepEqual(Object.keys(applySnapshot(state, { kind: "gone", roomId: 1 }).rooms), ["2"]);
  assert.deepEqual(Object.keys(applySnapshot(state, { kind: "rooms", rooms: [] }).rooms), []);
  assert.deepEqual(Object.keys(applyEntry(state, { type: "room.left", data: { room_id: 2 } }).rooms), ["1"]);
});
