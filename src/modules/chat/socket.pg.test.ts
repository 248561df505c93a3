import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Message,
  type MemberRemovedData,
  type ReadState,
  generalRoomId,
  roomEntries,
  userRoomEntries,
} from "../../../protocol/chat.ts";
import { uuidv7 } from "../../../protocol/ids.ts";
import { limits } from "../../../protocol/limits.ts";
import { topics } from "../../../protocol/topics.ts";
import type { Actor, UserActor } from "../../access/actor.ts";
import type { SocketMethod, TopicKind } from "../../deps.ts";
import { parseData, redactedData } from "../../eventlog/eventlog.ts";
import { createCheck } from "../../schema/check.ts";
import { removeFromRoom } from "./change-members.ts";
import { manager, openChat } from "./chat.fixture.ts";
import { createRoom } from "./create-room.ts";
import { deleteMessage } from "./delete-message.ts";
import { editMessage } from "./edit-message.ts";
import { markRead } from "./mark-read.ts";
import { chatMethods } from "./methods.ts";
import { openDirect } from "./open-direct.ts";
import { createPlain } from "./plain.ts";
import { renameRoom } from "./rename-room.ts";
import { createSetTyping } from "./set-typing.ts";
import { chatTopics } from "./topics.ts";

const chat = await openChat();
const { send } = chat;
const methods = chatMethods(chat, { send, setTyping: createSetTyping(chat) });
const kinds = chatTopics(chat);
const plain = createPlain(send);
let people = 0;
const someone = (): Promise<UserActor> => chat.person(`socket-${++people}`);
const code = (expected: string) => ({ code: expected });

function kindOf(name: string): TopicKind {
  const kind = kinds.find(({ kind }) => kind === name);
  assert.ok(kind !== undefined);
  return kind;
}

/** Calls a method as the gateway does: with parameters that fit, and its answer fits too. */
async function call<T>(name: string, actor: Actor, params: object): Promise<T> {
  const method: SocketMethod | undefined = methods.find((method) => method.name === name);
  assert.ok(method !== undefined);
  assert.equal(createCheck(method.params)(params), undefined);
  const answer = await method.handler({ actor, params, ip: "127.0.0.1", requestId: "1" });
  assert.equal(createCheck(method.answer)(answer), undefined);
  return answer as T;
}

const say = (actor: Actor, params: Readonly<Record<string, unknown>>) =>
  plain.handle({ actor, params, ip: "127.0.0.1", requestId: "1", isHeard: true });

test("who may hear a room: its members, everybody if it is public, and who manages rooms", async () => {
  const [owner, stranger, admin] = [
    await someone(),
    await someone(),
    await chat.person("the-admin", ["admin"]),
  ];
  const closed = await createRoom(chat, owner, { kind: "private", name: "closed" });
  const open = await createRoom(chat, owner, { kind: "public", name: "open" });
  const direct = (await openDirect(chat, owner, admin.id)).myRoom.room;
  const authorize = (actor: Actor, id: string) => kindOf("room").authorize(actor, id);
  for (const { id } of [closed, open, direct]) {
    for (const actor of [owner, admin, manager]) await authorize(actor, String(id));
  }
  await authorize(stranger, String(open.id));
  await authorize(stranger, String(generalRoomId));
  const program: Actor = { ...manager, scopes: new Set(["inbox:read"]) };
  for (const actor of [stranger, program])
    for (const { id } of [closed, direct])
      await assert.rejects(authorize(actor, String(id)), code("not_found"));
  await assert.rejects(authorize(program, String(open.id)), code("not_found"));
  for (const id of ["0", "01", "-1", "1e3", "x", "", "999999999", "9".repeat(30), `${closed.id} `])
    await assert.rejects(authorize(owner, id), code("not_found"), id);
});

test("a thousand and one questions at once are answered, each by itself", async () => {
  const [owner, stranger] = [await someone(), await someone()];
  const { id } = await createRoom(chat, owner, { kind: "private", name: "closed" });
  const authorize = (actor: Actor, id: string) => kindOf("room").authorize(actor, id);
  const asked = await Promise.allSettled(
    Array.from({ length: 1_001 }, (_, i) => authorize(i % 2 === 0 ? owner : stranger, String(id))),
  );
  for (const [i, { status }] of asked.entries()) assert.equal(status, i % 2 === 0 ? "fulfilled" : "rejected");
});

test("a person's own topic is for that person only", async () => {
  const [person, other] = [await someone(), await chat.person("another-admin", ["admin"])];
  const authorize = (actor: Actor, id: string) => kindOf("user").authorize(actor, id);
  await authorize(person, String(person.id));
  for (const actor of [other, manager])
    await assert.rejects(authorize(actor, String(person.id)), code("forbidden"));
});

test("who is removed is named by the entry that takes the topic away from them", async () => {
  const [owner, member] = [await someone(), await someone()];
  const { id: roomId } = await createRoom(chat, owner, {
    kind: "private",
    name: "closed",
    member_ids: [member.id],
  });
  await removeFromRoom(chat, owner, { roomId, userId: member.id });
  const entry = (await chat.entries(topics.room(roomId))).at(-1);
  assert.equal(entry?.type, "member.removed");
  const revoke = kindOf("room").revokes?.["member.removed"];
  assert.deepEqual(revoke?.(parseData<MemberRemovedData>(entry)), [member.id]);
});

test("every entry that rooms make is one that clients are told of, and fits the schema that they are told", async () => {
  const [owner, member] = [await someone(), await someone()];
  const { id: roomId } = await createRoom(chat, owner, {
    kind: "private",
    name: "all",
    member_ids: [member.id],
  });
  const { id: messageId } = await chat.say(owner, roomId, "one");
  await renameRoom(chat, owner, { roomId, name: "every" });
  await markRead(chat, member, { roomId, seq: 1 });
  await openDirect(chat, owner, member.id);
  await editMessage(chat, owner, { roomId, messageId, content: "two", version: undefined });
  const before = await chat.entries();
  await deleteMessage({ ...chat, erasing: chat.erasing }, owner, { roomId, messageId });
  await removeFromRoom(chat, owner, { roomId, userId: member.id });
  const schemas = { room: roomEntries, user: userRoomEntries } as const;
  const entries = new Map([...before, ...(await chat.entries())].map((entry) => [entry.id, entry]));
  const seen = new Set<string>();
  for (const { id } of entries.values()) {
    const entry = before.find((one) => one.id === id) ?? entries.get(id);
    if (entry === undefined || entry.type === "eventlog.redacted") continue;
    const [kind = ""] = entry.topic.split("/");
    const schema = { ...schemas.room, ...schemas.user }[entry.type as keyof typeof roomEntries];
    assert.ok(entry.type in schemas[kind as keyof typeof schemas], `${entry.topic} ${entry.type}`);
    assert.equal(createCheck(schema)(parseData(entry)), undefined, entry.type);
    seen.add(entry.type);
  }
  const told = [...Object.keys(roomEntries), ...Object.keys(userRoomEntries)];
  assert.deepEqual([...seen].sort(), told.filter((type) => type !== "member.changed").sort());
});

test("over the socket one sends, marks and types; a program does none of it", async () => {
  const [owner, member] = [await someone(), await someone()];
  const { id: room_id } = await createRoom(chat, owner, {
    kind: "private",
    name: "talk",
    member_ids: [member.id],
  });
  const wish = { room_id, client_msg_id: uuidv7(), content: "hello" };
  const message = await call<Message>("message.send", owner, wish);
  assert.deepEqual(await call<Message>("message.send", owner, wish), message);
  const state = await call<ReadState>("read.mark", member, { room_id, seq: 1 });
  assert.deepEqual(state, { room_id, last_read_seq: 1, unread: 0 });
  assert.deepEqual(await call("typing.set", member, { room_id, on: true }), {});
  await assert.rejects(call("message.send", manager, wish), code("forbidden"));
  await assert.rejects(call("read.mark", manager, { room_id, seq: 1 }), code("forbidden"));
  await assert.rejects(call("typing.set", manager, { room_id, on: true }), code("forbidden"));
});

test("the plain form says and hears general: the seed's frames, in both directions", async () => {
  const person = await someone();
  assert.deepEqual(await plain.topics(person, new URLSearchParams()), [topics.room(generalRoomId)]);
  const frame = { user_id: person.id, username: person.username, content: "Hello World!" };
  assert.ok(plain.accepts(frame));
  assert.equal(await say(person, frame), undefined);
  const entry = (await chat.entries(topics.room(generalRoomId))).at(-1);
  assert.ok(entry !== undefined);
  const { message } = parseData<{ message: Message }>(entry);
  const [text = ""] = plain.render(entry.topic, entry.type, parseData(entry), 0);
  assert.deepEqual(JSON.parse(text), { id: message.seq, ...frame, created_at: message.created_at });
  assert.deepEqual(plain.render(topics.room(2), entry.type, parseData(entry), 0), []);
  assert.deepEqual(plain.render(entry.topic, entry.type, JSON.parse(redactedData), 0), []);
  assert.deepEqual(plain.render(entry.topic, "message.edited", parseData(entry), 0), []);
  assert.ok(!plain.accepts({ type: "ping" }));
  assert.ok(!plain.accepts({ type: "request", content: "x" }));
});

test("a plain frame that names somebody else, or does not fit, is refused", async () => {
  const [person, other] = [await someone(), await someone()];
  const wish = { user_id: person.id, username: person.username, content: "x" };
  for (const lie of [{ user_id: other.id }, { username: other.username }])
    await assert.rejects(say(person, { ...wish, ...lie }), code("forbidden"));
  const tooLong = "x".repeat(limits.messageTextLength + 1);
  for (const bad of [{ content: "" }, { content: 7 }, { content: tooLong }, { content: "a\0" }, { more: 1 }])
    await assert.rejects(say(person, { ...wish, ...bad }), code("invalid_body"));
  await assert.rejects(say(manager, { content: "x" }), code("forbidden"));
});
