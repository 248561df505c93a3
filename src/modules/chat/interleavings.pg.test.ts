import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type {
  Member,
  MemberEntryData,
  MemberRemovedData,
  Message,
  MessageEntryData,
  ReadState,
  Room,
  RoomChangedData,
  RoomJoinedData,
} from "../../../protocol/chat.ts";
import { uuidv7 } from "../../../protocol/ids.ts";
import { limits } from "../../../protocol/limits.ts";
import { topics } from "../../../protocol/topics.ts";
import type { UserActor } from "../../access/actor.ts";
import { parseData, redactedData } from "../../eventlog/eventlog.ts";
import { AppError } from "../../lib/errors.ts";
import { addToRoom, changeRole, removeFromRoom } from "./change-members.ts";
import { manager, openChat } from "./chat.fixture.ts";
import { createRoom } from "./create-room.ts";
import type { Sent } from "./decide-sends.ts";
import { deleteMessage } from "./delete-message.ts";
import { editMessage } from "./edit-message.ts";
import { joinRoom, leaveRoom } from "./join-room.ts";
import { markRead } from "./mark-read.ts";
import { listMessages } from "./queries-messages.ts";
import { listMembers, listMyRooms, showRoom } from "./queries.ts";
import { renameRoom } from "./rename-room.ts";

const chat = await openChat();
const { db, erasing } = chat;

const peopleCount = 4;
const roomsCount = 2;
const texts = ["a", "b", "c"] as const;

/** What one person tries. Messages are those that were sent so far by anybody, by number. */
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("send" as const),
      room: fc.nat(roomsCount - 1),
      key: fc.nat(5),
      text: fc.constantFrom(...texts),
      copies: fc.integer({ min: 1, max: 3 }),
      reply: fc.option(fc.nat(20), { freq: 4 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("edit" as const),
      message: fc.nat(20),
      text: fc.constantFrom(...texts),
      version: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("delete" as const), message: fc.nat(20) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("read" as const),
      room: fc.nat(roomsCount - 1),
      seq: fc.nat(12),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom("join" as const, "leave" as const, "rename" as const),
      room: fc.nat(roomsCount - 1),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom("add" as const, "remove" as const, "promote" as const, "demote" as const),
      room: fc.nat(roomsCount - 1),
      whom: fc.nat(peopleCount - 1),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

type Scene = {
  readonly people: readonly UserActor[];
  readonly roomIds: readonly number[];
  readonly keys: readonly string[];
  readonly sent: Sent[];
};

let scenes = 0;
/** Everybody is in the private room but the last one; only its maker is in the public one. */
async function openScene(): Promise<Scene> {
  const scene = ++scenes;
  const people: UserActor[] = [];
  for (let i = 0; i < peopleCount; i++) people.push(await chat.person(`person-${scene}-${i}`));
  const [first, ...others] = people;
  assert.ok(first !== undefined);
  const member_ids = others.slice(0, -1).map(({ id }) => id);
  const rooms = [
    await createRoom(chat, first, { kind: "private", name: "closed", member_ids }),
    await createRoom(chat, first, { kind: "public", name: "open" }),
  ];
  return {
    people,
    roomIds: rooms.map(({ id }) => id),
    keys: Array.from({ length: 6 }, () => uuidv7()),
    sent: [],
  };
}

async function attempt(scene: Scene, actor: UserActor, step: Step): Promise<void> {
  const { people, roomIds, keys, sent } = scene;
  const target = "message" in step ? sent[step.message % Math.max(1, sent.length)]?.message : undefined;
  const where = { roomId: target?.room_id ?? 0, messageId: target?.id ?? uuidv7() };
  const roomId = "room" in step ? (roomIds[step.room] ?? 0) : where.roomId;
  const userId = "whom" in step ? (people[step.whom]?.id ?? 0) : 0;
  switch (step.do) {
    case "send": {
      const reply = step.reply === null ? undefined : sent[step.reply % Math.max(1, sent.length)];
      const wish = {
        room_id: roomId,
        client_msg_id: keys[step.key] ?? uuidv7(),
        content: step.text,
        ...(reply === undefined ? {} : { reply_to: reply.message.id }),
      };
      const copies = await Promise.all(Array.from({ length: step.copies }, () => chat.send(actor, wish)));
      sent.push(...copies);
      return;
    }
    case "edit":
      await editMessage(chat, actor, { ...where, content: step.text, version: step.version });
      return;
    case "delete":
      await deleteMessage({ ...chat, erasing }, actor, where);
      return;
    case "read":
      await markRead(chat, actor, { roomId, seq: step.seq });
      return;
    case "join":
      await joinRoom(chat, actor, roomId);
      return;
    case "leave":
      return leaveRoom(chat, actor, roomId);
    case "rename":
      await renameRoom(chat, actor, { roomId, name: `by ${actor.username}` });
      return;
    case "add":
      await addToRoom(chat, actor, { roomId, userIds: [userId] });
      return;
    case "remove":
      return removeFromRoom(chat, actor, { roomId, userId });
    case "promote":
      await changeRole(chat, actor, { roomId, userId, role: "owner" });
      return;
    case "demote":
      await changeRole(chat, actor, { roomId, userId, role: "member" });
  }
}

const refusals = new Set(["forbidden", "not_found", "conflict", "idempotency_mismatch"]);

/** What somebody is told of their rooms fits together at every moment, whatever they and others do meanwhile. */
async function look(scene: Scene, actor: UserActor): Promise<void> {
  for (const roomId of scene.roomIds) {
    try {
      const { room, mine } = await showRoom(db, actor, roomId);
      if (mine !== null) assert.deepEqual([mine.room, mine.unread >= 0], [room, true]);
      const { items, last_seq, last_read_seq } = await listMessages(db, actor, { roomId });
      assert.ok((last_read_seq ?? 0) <= last_seq, `${last_read_seq} of ${last_seq} are read`);
      assert.equal(items.at(-1)?.seq ?? 0, last_seq);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== "not_found") throw error;
    }
  }
  for (const { room, unread, last_read_seq } of (await listMyRooms(chat, actor, {})).rooms) {
    assert.equal(unread, room.last_seq - last_read_seq);
    assert.ok(unread >= 0);
  }
}

/** One step after the other, whatever the refusals. */
async function follow(scene: Scene, actor: UserActor, script: readonly Step[]): Promise<void> {
  for (const step of script) {
    await attempt(scene, actor, step).catch((error: unknown) => {
      if (!(error instanceof AppError) || !refusals.has(error.code)) throw error;
    });
  }
}

async function play(scene: Scene, scripts: readonly (readonly Step[])[]): Promise<void> {
  await Promise.all(
    scripts.map(async (script, i) => {
      const actor = scene.people[i];
      assert.ok(actor !== undefined);
      const playing = { now: true };
      const keepLooking = async (): Promise<void> => {
        while (playing.now) await look(scene, actor);
      };
      const following = follow(scene, actor, script).finally(() => {
        playing.now = false;
      });
      await Promise.all([following, keepLooking()]);
    }),
  );
}

/** A room as one finds it out by reading, or by following the log. */
type Seen = {
  readonly room: Room | undefined;
  readonly members: readonly Member[];
  readonly messages: readonly Message[];
  readonly lastRead: Readonly<Record<number, number>>;
};

async function stored(scene: Scene, roomId: number): Promise<Seen> {
  const { members } = await listMembers(db, manager, { roomId, limit: limits.pageRows });
  const { items, last_seq } = await listMessages(db, manager, {
    roomId,
    limit: limits.pageRows,
    after: 0,
  });
  const { room } = await showRoom(db, manager, roomId);
  assert.deepEqual(
    items.map(({ seq }) => seq),
    Array.from({ length: last_seq }, (_, i) => i + 1),
  );
  const { rows } = await db.query<{ members: number }>("select members from chat_room where id = $1", [
    roomId,
  ]);
  assert.equal(rows[0]?.members, members.length);
  const lastRead: Record<number, number> = {};
  for (const person of scene.people) {
    const { rooms } = await listMyRooms(chat, person, {});
    const mine = rooms.find((view) => view.room.id === roomId);
    assert.equal(
      mine !== undefined,
      members.some(({ user_id }) => user_id === person.id),
    );
    if (mine === undefined) continue;
    assert.equal(mine.unread, mine.room.last_seq - mine.last_read_seq);
    assert.ok(mine.unread >= 0);
    lastRead[person.id] = mine.last_read_seq;
  }
  return { room, members, messages: items, lastRead };
}

/** What a client knows that has heard every entry in order, and nothing else. */
async function replayed(scene: Scene, roomId: number): Promise<Seen> {
  let room: Room | undefined;
  const members = new Map<number, Member>();
  const messages = new Map<string, Message>();
  const read = new Map<number, number>();
  const advance = (userId: number, seq: number): void => {
    read.set(userId, Math.max(seq, read.get(userId) ?? 0));
  };
  for (const entry of await chat.entries(topics.room(roomId))) {
    if (entry.data === redactedData) continue;
    if (entry.type === "room.changed") ({ room } = parseData<RoomChangedData>(entry));
    if (entry.type === "member.added" || entry.type === "member.changed") {
      const { member } = parseData<MemberEntryData>(entry);
      members.set(member.user_id, member);
    }
    if (entry.type === "member.removed") members.delete(parseData<MemberRemovedData>(entry).user_id);
    if (entry.type.startsWith("message.")) {
      const { message } = parseData<MessageEntryData>(entry);
      messages.set(message.id, message);
      advance(message.user_id, message.seq);
    }
  }
  for (const person of scene.people) {
    for (const entry of await chat.entries(topics.user(person.id))) {
      if (entry.type === "room.read") {
        const state = parseData<ReadState>(entry);
        if (state.room_id === roomId) advance(person.id, state.last_read_seq);
      }
      if (entry.type === "room.joined") {
        const { my_room: mine } = parseData<RoomJoinedData>(entry);
        if (mine.room.id === roomId) advance(person.id, mine.last_read_seq);
      }
    }
  }
  const bySeq = [...messages.values()].sort((a, b) => a.seq - b.seq);
  return {
    room: room === undefined ? undefined : { ...room, last_seq: bySeq.at(-1)?.seq ?? 0 },
    members: [...members.values()].sort((a, b) => a.user_id - b.user_id),
    messages: bySeq,
    lastRead: Object.fromEntries([...read].filter(([userId]) => members.has(userId))),
  };
}

test("whatever people do at the same time, every seq is there once, every key is one message, and the log tells all of it", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(step, { maxLength: 12, size: "max" }), {
        minLength: peopleCount,
        maxLength: peopleCount,
      }),
      async (scripts) => {
        const scene = await openScene();
        await play(scene, scripts);
        for (const roomId of scene.roomIds)
          assert.deepEqual(await replayed(scene, roomId), await stored(scene, roomId));
        const byKey = new Map<string, string>();
        for (const { message } of scene.sent) {
          const key = `${message.user_id} ${message.client_msg_id}`;
          assert.equal(byKey.get(key) ?? message.id, message.id, "one message for each key");
          byKey.set(key, message.id);
        }
        const { rows } = await db.query<{ count: number }>(
          "select count(*) from chat_message where room_id = any($1::bigint[])",
          [scene.roomIds],
        );
        assert.equal(rows[0]?.count, byKey.size, "every message was answered, and every answer is a message");
      },
    ),
    { numRuns: 40 },
  );
});
