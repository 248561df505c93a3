import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import {
  type MemberEntryData,
  type NewRoom,
  generalRoomId,
  generalRoomName,
} from "../../../protocol/chat.ts";
import { limits } from "../../../protocol/limits.ts";
import { topics } from "../../../protocol/topics.ts";
import type { UserActor } from "../../access/actor.ts";
import { parseData } from "../../eventlog/eventlog.ts";
import { migrationsDir } from "../../foundation.ts";
import type { AppError } from "../../lib/errors.ts";
import { addingRate } from "./adding.ts";
import { addToRoom, changeRole, removeFromRoom } from "./change-members.ts";
import { manager, openChat } from "./chat.fixture.ts";
import { createRoom } from "./create-room.ts";
import { joinRoom, leaveRoom } from "./join-room.ts";
import { openDirect } from "./open-direct.ts";
import { listMembers, listMyRooms, listPublicRooms, showRoom } from "./queries.ts";
import { renameRoom } from "./rename-room.ts";

const chat = await openChat();
const { db } = chat;
let people = 0;
const someone = (): Promise<UserActor> => chat.person(`someone-${++people}`);
const code = (expected: string) => ({ code: expected });

/** A room of an owner, a moderator and two members. */
async function openRoom(kind: "public" | "private" = "private") {
  const [owner, moderator, member, other] = [
    await someone(),
    await someone(),
    await someone(),
    await someone(),
  ];
  const member_ids = [moderator.id, member.id, other.id];
  const { id: roomId } = await createRoom(chat, owner, { kind, name: "the room", member_ids });
  await changeRole(chat, owner, { roomId, userId: moderator.id, role: "moderator" });
  return { roomId, owner, moderator, member, other };
}

async function rolesIn(roomId: number): Promise<Readonly<Record<string, string>>> {
  const { members } = await listMembers(db, manager, { roomId, limit: limits.pageRows });
  return Object.fromEntries(members.map(({ user_id, role }) => [user_id, role]));
}

/** Types of the entries of a topic. */
async function heard(topic: string): Promise<readonly string[]> {
  return (await chat.entries(topic)).map(({ type }) => type);
}

test("the room general is there from the migration on: public, the first one, and nobody's", async () => {
  const { room, mine } = await showRoom(db, await someone(), generalRoomId);
  assert.deepEqual([room.id, room.kind, room.name, mine], [generalRoomId, "public", generalRoomName, null]);
});

test("who makes a room owns it, those who are named are members, and each of them hears of it", async () => {
  const [owner, guest] = [await someone(), await someone()];
  const room = await createRoom(chat, owner, {
    kind: "private",
    name: "  plans ",
    member_ids: [guest.id, owner.id, guest.id],
  });
  assert.equal(room.name, "plans");
  assert.deepEqual(await rolesIn(room.id), { [owner.id]: "owner", [guest.id]: "member" });
  assert.deepEqual(await heard(topics.room(room.id)), ["room.changed", "member.added", "member.added"]);
  for (const person of [owner, guest]) {
    const { mine } = await showRoom(db, person, room.id);
    const [entry] = await chat.entries(topics.user(person.id));
    assert.equal(entry?.type, "room.joined");
    assert.deepEqual(parseData(entry), { my_room: mine });
  }
});

test("a room with somebody whom there is not is not made, and the answer names the place", async () => {
  const { owner, roomId } = await openRoom();
  const gone = await someone();
  await db.query("update account_user set disabled_at = now() where id = $1", [gone.id]);
  for (const id of [999_999_999, gone.id]) {
    const ids = [owner.id, (await someone()).id, id];
    const unknown = (pointer: string) => (error: AppError) => {
      assert.equal(error.code, "not_found");
      assert.equal(error.details.fields?.[0]?.pointer, pointer);
      return true;
    };
    const wish: NewRoom = { kind: "public", name: "of nobody", member_ids: ids };
    await assert.rejects(createRoom(chat, owner, wish), unknown("/member_ids/2"));
    await assert.rejects(addToRoom(chat, owner, { roomId, userIds: ids }), unknown("/user_ids/2"));
    await assert.rejects(addToRoom(chat, owner, { roomId, userIds: [id] }), unknown("/user_ids/0"));
    await assert.rejects(openDirect(chat, owner, id), unknown("/user_id"));
  }
  const { rowCount } = await db.query("select from chat_room where name = 'of nobody'");
  assert.equal(rowCount, 0);
});

test("a program makes a room that nobody owns, and appoints an owner", async () => {
  const guest = await someone();
  const { id: roomId } = await createRoom(chat, manager, {
    kind: "private",
    name: "bot",
    member_ids: [guest.id],
  });
  assert.deepEqual(await rolesIn(roomId), { [guest.id]: "member" });
  await changeRole(chat, manager, { roomId, userId: guest.id, role: "owner" });
  assert.deepEqual(await rolesIn(roomId), { [guest.id]: "owner" });
});

test("two people have one direct room, whoever asks, however many ask at once", async () => {
  const [a, b] = [await someone(), await someone()];
  const opened = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      i % 2 === 0 ? openDirect(chat, a, b.id) : openDirect(chat, b, a.id),
    ),
  );
  assert.equal(new Set(opened.map(({ myRoom }) => myRoom.room.id)).size, 1);
  assert.equal(opened.filter(({ created }) => created).length, 1);
  const [first, second] = opened;
  assert.deepEqual(first?.myRoom.peer, { user_id: b.id, username: b.username, name: b.username });
  assert.deepEqual(second?.myRoom.peer, { user_id: a.id, username: a.username, name: a.username });
  const roomId = first?.myRoom.room.id ?? 0;
  assert.deepEqual(await heard(topics.room(roomId)), ["room.changed", "member.added", "member.added"]);
  const { rows } = await db.query<{ members: number }>("select members from chat_room where id = $1", [
    roomId,
  ]);
  assert.equal(rows[0]?.members, 2);
});

test("a direct room stays as it is: no name, no third one, nobody leaves", async () => {
  const [a, b, c] = [await someone(), await someone(), await someone()];
  const roomId = (await openDirect(chat, a, b.id)).myRoom.room.id;
  await assert.rejects(renameRoom(chat, a, { roomId, name: "us" }), code("conflict"));
  await assert.rejects(addToRoom(chat, a, { roomId, userIds: [c.id] }), code("conflict"));
  await assert.rejects(removeFromRoom(chat, a, { roomId, userId: b.id }), code("conflict"));
  await assert.rejects(changeRole(chat, a, { roomId, userId: a.id, role: "owner" }), code("conflict"));
  await assert.rejects(leaveRoom(chat, a, roomId), code("conflict"));
  await assert.rejects(openDirect(chat, a, a.id), code("invalid_body"));
  await assert.rejects(openDirect(chat, a, 999_999_999), code("not_found"));
});

test("to who is not a member a private room is not there, whatever they try", async () => {
  const { roomId, member } = await openRoom("private");
  const stranger = await someone();
  const attempts = [
    () => showRoom(db, stranger, roomId),
    () => listMembers(db, stranger, { roomId }),
    () => joinRoom(chat, stranger, roomId),
    () => leaveRoom(chat, stranger, roomId),
    () => renameRoom(chat, stranger, { roomId, name: "mine" }),
    () => addToRoom(chat, stranger, { roomId, userIds: [stranger.id] }),
    () => removeFromRoom(chat, stranger, { roomId, userId: member.id }),
    () => changeRole(chat, stranger, { roomId, userId: stranger.id, role: "owner" }),
    () => showRoom(db, stranger, 999_999_999),
  ];
  for (const attempt of attempts) await assert.rejects(attempt(), code("not_found"));
});

test("a public room can be seen by everybody who is signed in, joined and left", async () => {
  const { roomId } = await openRoom("public");
  const guest = await someone();
  assert.equal((await showRoom(db, guest, roomId)).mine, null);
  const joined = await joinRoom(chat, guest, roomId);
  assert.deepEqual([joined.role, joined.unread], ["member", 0]);
  assert.deepEqual(await joinRoom(chat, guest, roomId), joined, "joining again changes nothing");
  await leaveRoom(chat, guest, roomId);
  assert.equal((await showRoom(db, guest, roomId)).mine, null);
  await assert.rejects(leaveRoom(chat, guest, roomId), code("not_found"));
  assert.deepEqual(await heard(topics.user(guest.id)), ["room.joined", "room.left"]);
  assert.deepEqual((await heard(topics.room(roomId))).slice(-2), ["member.added", "member.removed"]);
});

test("only an owner renames, and the name that it has already is no news", async () => {
  const { roomId, owner, moderator, member } = await openRoom();
  for (const person of [moderator, member])
    await assert.rejects(renameRoom(chat, person, { roomId, name: "new" }), code("forbidden"));
  assert.equal((await renameRoom(chat, owner, { roomId, name: " new " })).name, "new");
  const before = await heard(topics.room(roomId));
  assert.equal(before.at(-1), "room.changed");
  await renameRoom(chat, owner, { roomId, name: "new" });
  assert.deepEqual(await heard(topics.room(roomId)), before);
  await assert.rejects(renameRoom(chat, manager, { roomId: generalRoomId, name: "x" }), code("conflict"));
});

test("moderators and owners add members; who is one already stays what they are", async () => {
  const { roomId, owner, moderator, member } = await openRoom();
  const [a, b] = [await someone(), await someone()];
  await assert.rejects(addToRoom(chat, member, { roomId, userIds: [a.id] }), code("forbidden"));
  const added = await addToRoom(chat, moderator, { roomId, userIds: [a.id, owner.id, a.id] });
  assert.deepEqual(
    added.map(({ user_id, role }) => [user_id, role]),
    [
      [a.id, "member"],
      [owner.id, "owner"],
    ],
  );
  await addToRoom(chat, manager, { roomId, userIds: [b.id] });
  await assert.rejects(addToRoom(chat, owner, { roomId, userIds: [999_999_999] }), code("not_found"));
});

test("nobody removes or changes who is as high as themselves or higher", async () => {
  const { roomId, owner, moderator, member, other } = await openRoom();
  const second = await someone();
  await addToRoom(chat, owner, { roomId, userIds: [second.id] });
  await changeRole(chat, owner, { roomId, userId: second.id, role: "owner" });
  const forbidden = [
    () => removeFromRoom(chat, member, { roomId, userId: other.id }),
    () => removeFromRoom(chat, moderator, { roomId, userId: owner.id }),
    () => removeFromRoom(chat, owner, { roomId, userId: second.id }),
    () => changeRole(chat, member, { roomId, userId: member.id, role: "moderator" }),
    () => changeRole(chat, moderator, { roomId, userId: member.id, role: "moderator" }),
    () => changeRole(chat, owner, { roomId, userId: second.id, role: "member" }),
  ];
  for (const attempt of forbidden) await assert.rejects(attempt(), code("forbidden"));
  await removeFromRoom(chat, moderator, { roomId, userId: other.id });
  await removeFromRoom(chat, owner, { roomId, userId: moderator.id });
  await removeFromRoom(chat, manager, { roomId, userId: second.id });
  assert.deepEqual(await rolesIn(roomId), { [owner.id]: "owner", [member.id]: "member" });
  await assert.rejects(removeFromRoom(chat, owner, { roomId, userId: other.id }), code("not_found"));
  await assert.rejects(removeFromRoom(chat, owner, { roomId, userId: owner.id }), code("conflict"));
});

test("the last owner hands over before they leave or step down, unless they are alone", async () => {
  const { roomId, owner, moderator, member, other } = await openRoom();
  const stepDown = () => changeRole(chat, owner, { roomId, userId: owner.id, role: "member" });
  await assert.rejects(leaveRoom(chat, owner, roomId), code("conflict"));
  await assert.rejects(stepDown(), code("conflict"));
  await assert.rejects(removeFromRoom(chat, manager, { roomId, userId: owner.id }), code("conflict"));
  await changeRole(chat, owner, { roomId, userId: member.id, role: "owner" });
  assert.equal((await stepDown()).role, "member");
  await leaveRoom(chat, owner, roomId);
  for (const person of [moderator, other]) await leaveRoom(chat, person, roomId);
  await assert.rejects(
    changeRole(chat, member, { roomId, userId: member.id, role: "member" }),
    code("conflict"),
  );
  await leaveRoom(chat, member, roomId);
  assert.deepEqual(await rolesIn(roomId), {});
});

test("two owners who leave at the same time do not leave the others without one", async () => {
  for (let round = 0; round < 5; round++) {
    const { roomId, owner, moderator } = await openRoom();
    await changeRole(chat, owner, { roomId, userId: moderator.id, role: "owner" });
    const left = await Promise.allSettled([
      leaveRoom(chat, owner, roomId),
      leaveRoom(chat, moderator, roomId),
    ]);
    assert.deepEqual(left.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
    assert.equal(Object.values(await rolesIn(roomId)).filter((role) => role === "owner").length, 1);
  }
});

test("looking at one's rooms makes one a member of general; nobody leaves it or is removed", async () => {
  const person = await someone();
  const { rooms } = await listMyRooms(chat, person, {});
  assert.deepEqual(
    rooms.map(({ room, role, unread }) => [room.id, role, unread]),
    [[generalRoomId, "member", 0]],
  );
  assert.deepEqual(await heard(topics.user(person.id)), ["room.joined"]);
  await listMyRooms(chat, person, {});
  assert.deepEqual(await heard(topics.user(person.id)), ["room.joined"]);
  await assert.rejects(leaveRoom(chat, person, generalRoomId), code("conflict"));
  await assert.rejects(
    removeFromRoom(chat, manager, { roomId: generalRoomId, userId: person.id }),
    code("conflict"),
  );
});

test("pages of rooms, of public rooms and of members hold each of them once; other lists' cursors are refused", async () => {
  const person = await someone();
  const ids = [generalRoomId];
  for (let i = 0; i < 7; i++)
    ids.push(
      (await createRoom(chat, person, { kind: i % 2 === 0 ? "public" : "private", name: `page ${i}` })).id,
    );
  const read = async (
    page: (query: {
      limit: number;
      cursor?: string;
    }) => Promise<{ items: readonly number[]; next: string | null }>,
  ) => {
    const found: number[] = [];
    for (let cursor: string | null | undefined; cursor !== null;) {
      const { items, next } = await page({ limit: 3, ...(cursor === undefined ? {} : { cursor }) });
      assert.ok(items.length <= 3);
      found.push(...items);
      cursor = next;
    }
    return found;
  };
  const mine = await read(async (query) => {
    const { rooms, next_cursor: next } = await listMyRooms(chat, person, query);
    return { items: rooms.map(({ room }) => room.id), next };
  });
  assert.deepEqual(mine, ids);
  const open = await read(async (query) => {
    const { rooms, next_cursor: next } = await listPublicRooms(db, query);
    return { items: rooms.map(({ id }) => id), next };
  });
  const { rows } = await db.query<{ id: number }>(
    "select id from chat_room where kind = 'public' order by id",
  );
  assert.deepEqual(
    open,
    rows.map(({ id }) => id),
  );
  const { roomId, owner, moderator, member, other } = await openRoom();
  const members = await read(async (query) => {
    const page = await listMembers(db, owner, { roomId, ...query });
    return { items: page.members.map(({ user_id }) => user_id), next: page.next_cursor };
  });
  assert.deepEqual(
    members,
    [owner, moderator, member, other].map(({ id }) => id),
  );
  const { next_cursor: cursor } = await listMyRooms(chat, person, { limit: 1 });
  await assert.rejects(listPublicRooms(db, { cursor: cursor ?? "" }), code("invalid_cursor"));
});

test("a room takes as many members as the bound says, and not one more", async () => {
  const { roomId, owner } = await openRoom();
  const [last, late] = [await someone(), await someone()];
  await db.query("update chat_room set members = $2 where id = $1", [roomId, limits.roomMembers - 1]);
  await addToRoom(chat, owner, { roomId, userIds: [last.id] });
  await assert.rejects(addToRoom(chat, owner, { roomId, userIds: [late.id] }), code("conflict"));
  assert.equal((await rolesIn(roomId))[late.id], undefined);
  await db.query("update chat_room set members = $2 where id = $1", [generalRoomId, limits.roomMembers]);
  await joinRoom(chat, late, generalRoomId);
});

/** Makes somebody a member of so many rooms more, as if they had come there so. */
async function crowd(person: UserActor, rooms: number, joinedBy: "self" | "others" | "peer"): Promise<void> {
  await db.query(
    `with made as (insert into chat_room (kind, name) select 'public', 'crowd' from generate_series(1, $2::int) returning id)
     insert into room_member (room_id, user_id, role, joined_at, last_read_seq, joined_by)
     select id, $1, 'member', now(), 0, $3 from made`,
    [person.id, rooms, joinedBy],
  );
}

test("a person makes and joins as many rooms as the bound says, and not one more, also when two at once", async () => {
  const person = await someone();
  await crowd(person, limits.roomsPerUser - 1, "self");
  const [first, second] = [await openRoom("public"), await openRoom("public")];
  const joined = await Promise.allSettled([
    joinRoom(chat, person, first.roomId),
    joinRoom(chat, person, second.roomId),
  ]);
  assert.deepEqual(joined.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  const own = { code: "conflict", message: /^you are in 1000 rooms by your own doing/ };
  await assert.rejects(createRoom(chat, person, { kind: "private", name: "one more" }), own);
  await joinRoom(chat, person, generalRoomId);
  await openDirect(chat, first.owner, person.id);
  const third = await openRoom();
  await addToRoom(chat, third.owner, { roomId: third.roomId, userIds: [person.id] });
});

test("others put a person into as many rooms as the bound says, and not into one more, also when two at once", async () => {
  const person = await someone();
  await crowd(person, limits.roomsByOthers - 1, "others");
  const [first, second] = [await openRoom(), await openRoom()];
  const adding = [first, second].map(({ roomId, owner, other }) =>
    addToRoom(chat, owner, { roomId, userIds: [other.id, person.id] }),
  );
  const added = await Promise.allSettled(adding);
  assert.deepEqual(added.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  const third = await openRoom();
  const refused = (pointer: string) => (error: AppError) => {
    assert.deepEqual([error.code, error.message], ["conflict", `person ${person.id} cannot be added`]);
    const [field] = error.details.fields ?? [];
    assert.deepEqual(field, { pointer, code: "not_addable", detail: "cannot be added" });
    return true;
  };
  const wish = { roomId: third.roomId, userIds: [third.other.id, person.id] };
  for (const actor of [third.owner, manager])
    await assert.rejects(addToRoom(chat, actor, wish), refused("/user_ids/1"));
  const trap: NewRoom = { kind: "private", name: "trap", member_ids: [third.owner.id, person.id] };
  await assert.rejects(createRoom(chat, third.owner, trap), refused("/member_ids/1"));
  assert.equal((await openDirect(chat, third.owner, person.id)).created, true);
  await createRoom(chat, person, { kind: "private", name: "mine" });
});

test("a direct room counts for nobody: it is opened by and with who is in as many rooms as they may, and leaves room for others", async () => {
  const [person, friend, last] = [await someone(), await someone(), await someone()];
  await openDirect(chat, person, last.id);
  await crowd(person, limits.roomsPerUser - 1, "self");
  await crowd(person, limits.roomsByOthers, "others");
  await createRoom(chat, person, { kind: "private", name: "the last one" });
  assert.equal((await openDirect(chat, friend, person.id)).created, true);
  assert.equal((await openDirect(chat, person, (await someone()).id)).created, true);
  await assert.rejects(createRoom(chat, person, { kind: "private", name: "one more" }), code("conflict"));
});

test("direct rooms of before counted for who opened them, and do so no more", async () => {
  const [person, friend, other] = [await someone(), await someone(), await someone()];
  const { myRoom } = await openDirect(chat, person, friend.id);
  await db.query("update room_member set joined_by = 'self' where room_id = $1", [myRoom.room.id]);
  await createRoom(chat, person, { kind: "private", name: "own", member_ids: [other.id] });
  const file = path.join(migrationsDir, "0011_chat_direct_rooms_count_for_nobody.sql");
  const sql = await readFile(file, "utf8");
  await db.transaction((tx) => tx.query(sql));
  const { rows } = await db.query<{ who: string }>(
    `select username || ' ' || joined_by as who from room_member join account_user on id = user_id
      where user_id = any($1) order by 1`,
    [[person.id, friend.id, other.id]],
  );
  const said = [
    [person, "peer"],
    [person, "self"],
    [friend, "peer"],
    [other, "others"],
  ] as const;
  assert.deepEqual(
    rows.map(({ who }) => who),
    said.map(([{ username }, how]) => `${username} ${how}`).sort(),
  );
});

test("who puts more people into rooms than their rate allows is told when to go on; it costs nothing to look again", async () => {
  const own = await openChat({ clock: { now: () => Date.parse("2026-01-01T00:00:00Z") } });
  const owner = await own.person("collector");
  const { rows } = await own.db.query<{ id: number }>(
    "insert into account_user (username, name) select 'p' || i, 'P' from generate_series(1, $1::int) i returning id",
    [addingRate.burst],
  );
  const ids = rows.map(({ id }) => id);
  const [peer = 0, ...others] = ids;
  const { id: roomId } = await createRoom(own, owner, {
    kind: "private",
    name: "collection",
    member_ids: [owner.id, ...others.slice(0, 99)],
  });
  const add = (userIds: readonly number[]) => addToRoom(own, owner, { roomId, userIds });
  await add(others.slice(99, 198));
  const [known = 0, last = 0] = others.slice(-2);
  assert.equal((await add([known, last])).length, 2, "only one of them is new");
  await openDirect(own, owner, peer);
  assert.equal((await openDirect(own, owner, peer)).created, false);
  const late = await own.person("late");
  const limited = (error: AppError) => {
    assert.deepEqual([error.code, error.details.retryAfterS], ["rate_limited", 18]);
    return true;
  };
  await assert.rejects(add([late.id]), limited);
  await assert.rejects(openDirect(own, owner, late.id), limited);
  const trap: NewRoom = { kind: "public", name: "one more", member_ids: [late.id] };
  await assert.rejects(createRoom(own, owner, trap), limited);
  await createRoom(own, owner, { ...trap, member_ids: [owner.id] });
  await addToRoom(own, manager, { roomId, userIds: [late.id] });
});

test("members, and the other one of a direct room, come with the names that they chose", async () => {
  const [owner, masha] = [await someone(), await someone()];
  const name = "Маша Иванова";
  await db.query("update account_user set name = $2 where id = $1", [masha.id, name]);
  const { id: roomId } = await createRoom(chat, owner, { kind: "public", name: "names" });
  const [added] = await addToRoom(chat, owner, { roomId, userIds: [masha.id] });
  const changed = await changeRole(chat, owner, { roomId, userId: masha.id, role: "moderator" });
  const { members } = await listMembers(db, masha, { roomId });
  const direct = await openDirect(chat, owner, masha.id);
  const told = (await chat.entries(topics.room(roomId)))
    .filter(({ type }) => type === "member.added" || type === "member.changed")
    .map((entry) => parseData<MemberEntryData>(entry).member);
  assert.deepEqual(members, [told[0], changed]);
  assert.deepEqual(told.slice(1), [added, changed]);
  for (const named of [added, changed, direct.myRoom.peer])
    assert.deepEqual([named?.username, named?.name], [masha.username, name]);
  const mine = (await listMyRooms(chat, owner, {})).rooms.find(({ room }) => room.kind === "direct");
  assert.deepEqual(mine?.peer, direct.myRoom.peer);
});

test("who joins a public room that everybody has left owns it, and who comes next does not", async () => {
  const [owner, next, late] = [await someone(), await someone(), await someone()];
  const { id: roomId } = await createRoom(chat, owner, { kind: "public", name: "left" });
  await leaveRoom(chat, owner, roomId);
  const [first, second] = await Promise.all([joinRoom(chat, next, roomId), joinRoom(chat, late, roomId)]);
  assert.deepEqual([first?.role, second?.role].sort(), ["member", "owner"]);
  const now = first?.role === "owner" ? next : late;
  assert.equal((await renameRoom(chat, now, { roomId, name: "found" })).name, "found");
  await leaveRoom(chat, now === next ? late : next, roomId);
  await leaveRoom(chat, now, roomId);
  assert.equal((await joinRoom(chat, owner, roomId)).role, "owner");
});

test("who joins a program's public room first is no owner of it", async () => {
  const { id: roomId } = await createRoom(chat, manager, { kind: "public", name: "news" });
  assert.equal((await joinRoom(chat, await someone(), roomId)).role, "member");
});

test("nobody owns the room general, the first one in it either", async () => {
  const own = await openChat();
  const first = await own.person("first");
  assert.equal((await joinRoom(own, first, generalRoomId)).role, "member");
});
