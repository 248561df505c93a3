import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Message,
  type MessageCreatedData,
  type TypingData,
  generalRoomId,
} from "../../../protocol/chat.ts";
import { uuidv7 } from "../../../protocol/ids.ts";
import { limits } from "../../../protocol/limits.ts";
import { topics } from "../../../protocol/topics.ts";
import { eventually } from "../../../test/harness.ts";
import { type UserActor, actorName } from "../../access/actor.ts";
import { type RedactedData, parseData, redactedData, redactedType } from "../../eventlog/eventlog.ts";
import { partitionOf } from "../../eventlog/murmur2.ts";
import type { Signal } from "../../gateway/signals.ts";
import { addToRoom, changeRole, removeFromRoom } from "./change-members.ts";
import { manager, openChat } from "./chat.fixture.ts";
import { createRoom } from "./create-room.ts";
import type { Send } from "./decide-sends.ts";
import { deleteMessage } from "./delete-message.ts";
import { editMessage } from "./edit-message.ts";
import type { Erasing } from "./erase.ts";
import { joinRoom } from "./join-room.ts";
import { markRead } from "./mark-read.ts";
import { fingerprintOf } from "./messages.ts";
import { listMessages, listSeedMessages, showMessage } from "./queries-messages.ts";
import { listMyRooms, showRoom } from "./queries.ts";
import { saveSends } from "./save-sends.ts";
import { createSetTyping } from "./set-typing.ts";

const chat = await openChat();
const { db, send, say, erasing } = chat;
let people = 0;
const someone = (): Promise<UserActor> => chat.person(`writer-${++people}`);
const code = (expected: string) => ({ code: expected });

/** Leaves the words in the log, whose notices of that would stand between other entries. */
const unhurried: Erasing = { ...erasing, erase: () => Promise.resolve() };

/** Of what settled: how many succeeded, and the codes of the others. */
function outcomes(settled: readonly PromiseSettledResult<unknown>[]) {
  const rejected = settled.filter((result) => result.status === "rejected");
  return {
    fulfilled: settled.length - rejected.length,
    codes: new Set(rejected.map(({ reason }) => (reason as { code: string }).code)),
  };
}

/** A room of an owner, a moderator and a member. */
async function openRoom(kind: "public" | "private" = "private") {
  const [owner, moderator, member] = [await someone(), await someone(), await someone()];
  const { id: roomId } = await createRoom(chat, owner, {
    kind,
    name: "the room",
    member_ids: [moderator.id, member.id],
  });
  await changeRole(chat, owner, { roomId, userId: moderator.id, role: "moderator" });
  return { roomId, owner, moderator, member };
}

async function unreadOf(person: UserActor, roomId: number): Promise<number | undefined> {
  return (await showRoom(db, person, roomId)).mine?.unread;
}

async function newest(roomId: number): Promise<Message | undefined> {
  return (await listMessages(db, manager, { roomId, limit: 1 })).items[0];
}

test("the first words of a hundred people in everybody's room cost as many statements as those of one", async () => {
  const counts: number[] = [];
  for (const size of [1, 100]) {
    const writers = await Promise.all(Array.from({ length: size }, someone));
    let statements = 0;
    const counting: Pick<typeof chat, "db" | "eventlog" | "clock"> = {
      ...chat,
      db: {
        ...db,
        transaction: (work, signal) =>
          db.transaction(
            (tx) =>
              work({
                ...tx,
                query: (...args) => {
                  statements++;
                  return tx.query(...args);
                },
              }),
            signal,
          ),
      },
    };
    const sends = writers.map((sender): Send => {
      const clientMsgId = uuidv7();
      return {
        id: clientMsgId,
        sender,
        actor: actorName(sender),
        roomId: generalRoomId,
        clientMsgId,
        content: "Hello",
        replyTo: null,
        fingerprint: fingerprintOf(clientMsgId, "Hello"),
      };
    });
    const answers = await saveSends(counting, sends);
    assert.ok(answers.every((answer) => "message" in answer));
    counts.push(statements);
    const mine = (await chat.entries(topics.room(generalRoomId))).filter(
      ({ type }) => type === "member.added",
    );
    assert.deepEqual(
      mine
        .slice(-size)
        .map(({ actor }) => actor)
        .toSorted(),
      writers.map(actorName).toSorted(),
    );
  }
  assert.equal(counts[1], counts[0]);
});

test("a message is stored as it is answered, and told to the room as it is stored", async () => {
  const { roomId, member } = await openRoom();
  const wish = { room_id: roomId, client_msg_id: uuidv7(), content: "  Привет,\u001e мир! 👋\n" };
  const { message, replayed } = await send(member, wish);
  assert.equal(replayed, false);
  assert.deepEqual(
    [message.seq, message.content, message.user_id, message.username, message.version],
    [1, "Привет,\u001e мир! 👋", member.id, member.username, 1],
  );
  assert.deepEqual(await newest(roomId), message);
  const entry = (await chat.entries(topics.room(roomId))).at(-1);
  assert.deepEqual(
    [entry?.id, entry?.type, entry?.actor],
    [message.id, "message.created", `user:${member.id}`],
  );
  assert.deepEqual(entry === undefined ? undefined : parseData(entry), { message, reply_to_user_id: null });
});

test("a repetition gets the message as it is by now, also edited and deleted, and other contents are refused for ever", async () => {
  const { roomId, owner, member } = await openRoom();
  const other = await openRoom();
  const wish = { room_id: roomId, client_msg_id: uuidv7(), content: "first" };
  const { message } = await send(member, wish);
  const repeat = () => send(member, { ...wish, content: " first\n" });
  const refuseOthers = async (): Promise<void> => {
    for (const change of [{ content: "second" }, { reply_to: message.id }])
      await assert.rejects(send(member, { ...wish, ...change }), code("idempotency_mismatch"));
  };
  assert.deepEqual(await repeat(), { message, replayed: true });
  await refuseOthers();
  const edited = await editMessage(chat, member, {
    roomId,
    messageId: message.id,
    content: "second",
    version: 1,
  });
  assert.deepEqual(await repeat(), { message: edited, replayed: true });
  await refuseOthers();
  const deleted = await deleteMessage({ ...chat, erasing }, member, { roomId, messageId: message.id });
  assert.deepEqual(await repeat(), { message: deleted, replayed: true });
  await refuseOthers();
  await assert.rejects(
    send(other.owner, { ...wish, room_id: other.roomId, reply_to: message.id }),
    code("not_found"),
  );
  assert.equal((await send(owner, wish)).replayed, false, "the key is each sender's own");
});

test("the key of a message is good for one room only", async () => {
  const { roomId, owner } = await openRoom();
  const elsewhere = await createRoom(chat, owner, { kind: "private", name: "elsewhere" });
  const wish = { client_msg_id: uuidv7(), content: "once" };
  const sent = await Promise.allSettled([
    send(owner, { ...wish, room_id: roomId }),
    send(owner, { ...wish, room_id: elsewhere.id }),
  ]);
  assert.deepEqual(outcomes(sent), { fulfilled: 1, codes: new Set(["idempotency_mismatch"]) });
});

test("the same key in two rooms of different writers at once is one message, and the other is told why", async () => {
  const owner = await someone();
  const laneOf = (roomId: number) => partitionOf(topics.room(roomId), chat.eventlog.partitions) % 2;
  const first = await createRoom(chat, owner, { kind: "private", name: "first" });
  let second = first;
  while (laneOf(second.id) === laneOf(first.id))
    second = await createRoom(chat, owner, { kind: "private", name: "second" });
  for (let round = 0; round < 30; round++) {
    const wish = { client_msg_id: uuidv7(), content: "once" };
    const sent = await Promise.allSettled(
      [first, second].map(({ id }) => send(owner, { ...wish, room_id: id })),
    );
    assert.deepEqual(outcomes(sent), { fulfilled: 1, codes: new Set(["idempotency_mismatch"]) });
  }
});

test("the same key in many rooms at once is one message, whatever meets whatever", async () => {
  const owner = await someone();
  const rooms: number[] = [];
  for (let i = 0; i < 24; i++)
    rooms.push((await createRoom(chat, owner, { kind: "private", name: `${i}` })).id);
  for (let round = 0; round < 5; round++) {
    const wish = { client_msg_id: uuidv7(), content: "once" };
    const beside = rooms.map((room_id) => ({ room_id, client_msg_id: uuidv7(), content: "beside" }));
    const [sent, others] = await Promise.all([
      Promise.allSettled(rooms.map((room_id) => send(owner, { ...wish, room_id }))),
      Promise.all(beside.map((other) => send(owner, other))),
    ]);
    assert.deepEqual(outcomes(sent), { fulfilled: 1, codes: new Set(["idempotency_mismatch"]) });
    assert.equal(others.length, rooms.length);
  }
});

test("1,000 retries of one send at once are one message with one seq, and get equal answers", async () => {
  const { roomId, member } = await openRoom();
  const wish = { room_id: roomId, client_msg_id: uuidv7(), content: "again and again" };
  const sent = await Promise.all(Array.from({ length: 1_000 }, () => send(member, wish)));
  assert.equal(sent.filter(({ replayed }) => !replayed).length, 1);
  assert.equal(new Set(sent.map(({ message }) => JSON.stringify(message))).size, 1);
  const { last_seq, items } = await listMessages(db, member, { roomId });
  assert.deepEqual([last_seq, items.length], [1, 1]);
});

test("200 people who write into one room at once get 1..n without a gap, in the order of the log", async () => {
  const owner = await someone();
  const writers = await Promise.all(Array.from({ length: 200 }, () => someone()));
  const room = await createRoom(chat, owner, { kind: "public", name: "crowd" });
  for (const writer of writers) await joinRoom(chat, writer, room.id);
  const each = 5;
  const sent = await Promise.all(
    writers.flatMap((writer) => Array.from({ length: each }, (_, i) => say(writer, room.id, `message ${i}`))),
  );
  const seqs = sent.map(({ seq }) => seq).sort((a, b) => a - b);
  const all = Array.from({ length: writers.length * each }, (_, i) => i + 1);
  assert.deepEqual(seqs, all);
  const created = (await chat.entries(topics.room(room.id))).filter(({ type }) => type === "message.created");
  assert.deepEqual(
    created.map((entry) => parseData<{ message: Message }>(entry).message.seq),
    all,
  );
});

test("one bad send harms no other of its batch", async () => {
  const { roomId, owner } = await openRoom();
  const stranger = await someone();
  const wishes = Array.from({ length: 60 }, (_, i) => ({
    room_id: roomId,
    client_msg_id: uuidv7(),
    content: `good ${i}`,
  }));
  // Nobody has such an id: the database itself refuses the row, and with it the statement.
  const nobody: UserActor = { ...stranger, id: 999_999_999 };
  const [good, bad] = await Promise.all([
    Promise.all(wishes.map((wish) => send(owner, wish))),
    Promise.allSettled([
      send(stranger, { room_id: roomId, client_msg_id: uuidv7(), content: "not a member" }),
      send(owner, { room_id: 999_999_999, client_msg_id: uuidv7(), content: "no room" }),
      send(owner, { room_id: roomId, client_msg_id: uuidv7(), content: "to nothing", reply_to: uuidv7() }),
      send(nobody, { room_id: generalRoomId, client_msg_id: uuidv7(), content: "by nobody" }),
    ]),
  ]);
  assert.equal(new Set(good.map(({ message }) => message.seq)).size, wishes.length);
  assert.equal((await newest(roomId))?.seq, wishes.length);
  assert.deepEqual(
    bad.map((result) => (result.status === "rejected" ? (result.reason as { code: string }).code : "sent")),
    ["not_found", "not_found", "not_found", "23503"],
  );
});

test("an answer names a message of the same room, a deleted one too, and its entry who wrote that", async () => {
  const { roomId, owner, member } = await openRoom();
  const elsewhere = await openRoom();
  const first = await say(member, roomId, "question");
  const wish = { room_id: roomId, content: "answer", reply_to: first.id };
  assert.equal((await send(owner, { ...wish, client_msg_id: uuidv7() })).message.reply_to, first.id);
  await deleteMessage({ ...chat, erasing }, owner, { roomId, messageId: first.id });
  await send(owner, { ...wish, client_msg_id: uuidv7() });
  const created = (await chat.entries(topics.room(roomId))).filter(({ data }) => data.includes(first.id));
  assert.deepEqual(
    created.flatMap((entry) => parseData<MessageCreatedData>(entry).reply_to_user_id ?? []),
    [member.id, member.id],
  );
  const strange = await say(elsewhere.owner, elsewhere.roomId, "of another room");
  await assert.rejects(
    send(owner, { ...wish, client_msg_id: uuidv7(), reply_to: strange.id }),
    code("not_found"),
  );
});

test("who was removed neither writes, edits, deletes, reads nor marks any more", async () => {
  const { roomId, owner, member } = await openRoom();
  const { id: messageId } = await say(member, roomId, "while I am here");
  await removeFromRoom(chat, owner, { roomId, userId: member.id });
  const attempts = [
    () => say(member, roomId, "I am back"),
    () => editMessage(chat, member, { roomId, messageId, content: "no", version: undefined }),
    () => deleteMessage({ ...chat, erasing }, member, { roomId, messageId }),
    () => listMessages(db, member, { roomId }),
    () => showMessage(db, member, { roomId, messageId }),
    () => markRead(chat, member, { roomId, seq: 1 }),
  ];
  for (const attempt of attempts) await assert.rejects(attempt(), code("not_found"));
  const open = await openRoom("public");
  await removeFromRoom(chat, open.owner, { roomId: open.roomId, userId: open.member.id });
  await assert.rejects(say(open.member, open.roomId, "I am back"), code("forbidden"));
  await assert.rejects(markRead(chat, open.member, { roomId: open.roomId, seq: 1 }), code("forbidden"));
});

test("nothing of somebody is in the log after the entry of their removal, however close they are", async () => {
  for (let round = 0; round < 20; round++) {
    const { roomId, owner, member } = await openRoom();
    const { id: messageId } = await say(member, roomId, "before");
    const edit = (i: number) =>
      editMessage(chat, member, { roomId, messageId, content: `edit ${i}`, version: undefined });
    const doing = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? say(member, roomId, `${i}`) : edit(i)));
    const settled = Promise.allSettled(doing);
    await removeFromRoom(chat, owner, { roomId, userId: member.id });
    await settled;
    const entries = await chat.entries(topics.room(roomId));
    const removed = entries.findIndex(({ type }) => type === "member.removed");
    assert.deepEqual(
      entries.slice(removed + 1).map(({ type }) => type),
      [],
    );
  }
});

test("nothing of somebody who goes on writing is in the log after the entry of their removal", async () => {
  for (let round = 0; round < 60; round++) {
    const { roomId, owner, member } = await openRoom();
    let said = 0;
    const goOn = async (): Promise<void> => {
      for (;;) {
        await say(member, roomId, "still here");
        said++;
      }
    };
    const writing = [goOn(), goOn()].map((loop) => assert.rejects(loop, code("not_found")));
    await eventually("some messages are there", () => said > round % 5);
    await removeFromRoom(chat, owner, { roomId, userId: member.id });
    await Promise.all(writing);
    assert.deepEqual(await toldAfterRemoval(roomId), []);
  }
});

test("nothing of somebody who deletes is in the log after the entry of their removal", async () => {
  for (let round = 0; round < 40; round++) {
    const { roomId, owner, member } = await openRoom();
    const messages = await Promise.all(Array.from({ length: 8 }, () => say(member, roomId, "to be deleted")));
    const deleting = messages.map(({ id: messageId }) =>
      deleteMessage({ ...chat, erasing: unhurried }, member, { roomId, messageId }),
    );
    const settled = Promise.allSettled(deleting);
    await removeFromRoom(chat, owner, { roomId, userId: member.id });
    await settled;
    assert.deepEqual(await toldAfterRemoval(roomId), []);
  }
  await erasing.eraseLeftOvers(AbortSignal.timeout(60_000));
});

/** Types of the entries of a room behind that of a removal. */
async function toldAfterRemoval(roomId: number): Promise<readonly string[]> {
  const types = (await chat.entries(topics.room(roomId))).map(({ type }) => type);
  const removed = types.indexOf("member.removed");
  assert.ok(removed >= 0);
  return types.slice(removed + 1);
}

test("the room general takes everybody's messages, and makes them members first", async () => {
  const person = await someone();
  const [first, second] = await Promise.all([
    say(person, generalRoomId, "hello"),
    say(person, generalRoomId, "again"),
  ]);
  assert.equal(second.seq, first.seq + 1);
  const { mine } = await showRoom(db, person, generalRoomId);
  assert.equal(mine?.unread, 0);
  const entries = await chat.entries(topics.room(generalRoomId));
  assert.deepEqual(
    entries.slice(-3).map(({ type }) => type),
    ["member.added", "message.created", "message.created"],
  );
  assert.deepEqual(
    (await chat.entries(topics.user(person.id))).map(({ type }) => type),
    ["room.joined"],
  );
});

test("an edit is its sender's: it adds a version and keeps what was said before for who may see it", async () => {
  const { roomId, owner, moderator, member } = await openRoom();
  const message = await say(member, roomId, "one");
  const messageId = message.id;
  const edit = (actor: UserActor, content: string, version?: number) =>
    editMessage(chat, actor, { roomId, messageId, content, version });
  for (const person of [owner, moderator]) await assert.rejects(edit(person, "mine"), code("forbidden"));
  const second = await edit(member, " two ", 1);
  assert.deepEqual(
    [second.content, second.version, second.seq, second.created_at],
    ["two", 2, 1, message.created_at],
  );
  assert.ok(second.edited_at !== null);
  assert.deepEqual(await edit(member, "two", 1), second, "what it says already changes nothing");
  await assert.rejects(edit(member, "three", 1), code("conflict"));
  const third = await edit(member, "three");
  assert.deepEqual(await newest(roomId), third);
  const revisions = [
    { version: 1, content: "one", written_at: message.created_at },
    { version: 2, content: "two", written_at: second.edited_at },
  ];
  for (const actor of [member, moderator, owner, manager])
    assert.deepEqual(await showMessage(db, actor, { roomId, messageId }), { message: third, revisions });
  const guest = await someone();
  await assert.rejects(showMessage(db, guest, { roomId, messageId }), code("not_found"));
  const entries = (await chat.entries(topics.room(roomId))).filter(({ type }) => type === "message.edited");
  assert.deepEqual(
    entries.map((entry) => parseData(entry)),
    [{ message: second }, { message: third }],
  );
});

test("revisions are not for everybody who may read, and a message of another room is not here", async () => {
  const { roomId, owner } = await openRoom("public");
  const guest = await someone();
  const { id: messageId } = await say(owner, roomId, "one");
  const edited = await editMessage(chat, owner, { roomId, messageId, content: "two", version: undefined });
  assert.deepEqual(await showMessage(db, guest, { roomId, messageId }), { message: edited, revisions: null });
  const elsewhere = await openRoom();
  const where = { roomId: elsewhere.roomId, messageId };
  await assert.rejects(showMessage(db, elsewhere.owner, where), code("not_found"));
  await assert.rejects(deleteMessage({ ...chat, erasing }, elsewhere.owner, where), code("not_found"));
});

test("of two edits at once from the same version, one counts", async () => {
  const { roomId, member } = await openRoom();
  const { id: messageId } = await say(member, roomId, "one");
  const edited = await Promise.allSettled(
    ["a", "b", "c"].map((content) => editMessage(chat, member, { roomId, messageId, content, version: 1 })),
  );
  assert.deepEqual(outcomes(edited), { fulfilled: 1, codes: new Set(["conflict"]) });
  assert.equal((await newest(roomId))?.version, 2);
});

test("a message is edited as often as the bound says, and not once more", async () => {
  const { roomId, member } = await openRoom();
  const { id: messageId } = await say(member, roomId, "0");
  const edit = (content: string) =>
    editMessage(chat, member, { roomId, messageId, content, version: undefined });
  for (let i = 1; i <= limits.messageEdits; i++) await edit(String(i));
  await assert.rejects(edit("once more"), code("conflict"));
  assert.equal(
    (await deleteMessage({ ...chat, erasing }, member, { roomId, messageId })).version,
    limits.messageEdits + 2,
  );
});

test("a deleted message keeps its place and loses its words: in the room, in its revisions and in the log", async () => {
  const { roomId, owner, moderator, member } = await openRoom();
  const words = "words to forget";
  const first = await say(member, roomId, words);
  const messageId = first.id;
  await editMessage(chat, member, { roomId, messageId, content: `${words} too`, version: undefined });
  const kept = await say(member, roomId, "kept");
  await assert.rejects(
    deleteMessage({ ...chat, erasing }, await someone(), { roomId, messageId }),
    code("not_found"),
  );
  const ofOwner = await say(owner, roomId, "the owner's");
  await assert.rejects(
    deleteMessage({ ...chat, erasing }, member, { roomId, messageId: ofOwner.id }),
    code("forbidden"),
  );
  const deleted = await deleteMessage({ ...chat, erasing }, moderator, { roomId, messageId });
  assert.deepEqual([deleted.seq, deleted.content, deleted.version], [1, "", 3]);
  assert.ok(deleted.deleted_at !== null);
  assert.deepEqual(await deleteMessage({ ...chat, erasing }, member, { roomId, messageId }), deleted);
  await assert.rejects(
    editMessage(chat, member, { roomId, messageId, content: "x", version: undefined }),
    code("conflict"),
  );
  assert.deepEqual((await listMessages(db, member, { roomId })).items, [deleted, kept, ofOwner]);
  assert.deepEqual(await showMessage(db, moderator, { roomId, messageId }), {
    message: deleted,
    revisions: [],
  });

  const entries = await chat.entries(topics.room(roomId));
  assert.ok(entries.every(({ data }) => !data.includes(words)));
  const told = entries.filter(({ data, type }) => data === redactedData || type === redactedType);
  assert.deepEqual(
    told.map(({ type }) => type),
    ["message.created", "message.edited", redactedType],
  );
  for (const table of ["chat_message", "chat_message_revision", "eventlog_entry"]) {
    const { rowCount } = await db.query(`select from ${table} t where t::text like $1`, [`%${words}%`]);
    assert.equal(rowCount, 0, table);
  }
  assert.equal((await db.query("select from chat_erasure")).rowCount, 0);
  await deleteMessage({ ...chat, erasing }, manager, { roomId, messageId: kept.id });
});

test("words that could not be taken out of the log at once are taken out later", async () => {
  const { roomId, member } = await openRoom();
  const words = "not forgotten yet";
  const { id: messageId } = await say(member, roomId, words);
  const deleted = await deleteMessage({ ...chat, erasing: unhurried }, member, { roomId, messageId });
  assert.equal(deleted.content, "");
  const inLog = async () =>
    (await chat.entries(topics.room(roomId))).some(({ data }) => data.includes(words));
  assert.equal(await inLog(), true);
  await erasing.eraseLeftOvers(AbortSignal.timeout(10_000));
  assert.equal(await inLog(), false);
  assert.equal((await db.query("select from chat_erasure")).rowCount, 0);
});

test("whoever has copied words is told of their deletion also when the log has lost them by age", async () => {
  const { roomId, member } = await openRoom();
  const topic = topics.room(roomId);
  const named = async () =>
    (await chat.entries(topic))
      .filter(({ type }) => type === redactedType)
      .map((notice) => parseData<RedactedData>(notice).entry_ids);
  const [one, two] = [await say(member, roomId, "old"), await say(member, roomId, "older")];
  await db.query("delete from eventlog_entry where topic = $1", [topic]);
  await deleteMessage({ ...chat, erasing }, member, { roomId, messageId: one.id });
  await deleteMessage({ ...chat, erasing: unhurried }, member, { roomId, messageId: two.id });
  assert.deepEqual(await named(), [[one.id]]);
  await erasing.eraseLeftOvers(AbortSignal.timeout(10_000));
  assert.deepEqual(await named(), [[one.id], [two.id]]);
});

test("unread is what is behind the read mark; the mark never moves back and never past the last message", async () => {
  const { roomId, owner, member } = await openRoom();
  for (let i = 1; i <= 5; i++) await say(owner, roomId, `${i}`);
  assert.deepEqual([await unreadOf(owner, roomId), await unreadOf(member, roomId)], [0, 5]);
  const mark = (seq: number) => markRead(chat, member, { roomId, seq });
  assert.deepEqual(await mark(3), { room_id: roomId, last_read_seq: 3, unread: 2 });
  assert.deepEqual(await mark(2), { room_id: roomId, last_read_seq: 3, unread: 2 });
  assert.deepEqual(await mark(999), { room_id: roomId, last_read_seq: 5, unread: 0 });
  const told = (await chat.entries(topics.user(member.id))).filter(({ type }) => type === "room.read");
  assert.deepEqual(
    told.map((entry) => parseData(entry)),
    [
      { room_id: roomId, last_read_seq: 3, unread: 2 },
      { room_id: roomId, last_read_seq: 5, unread: 0 },
    ],
  );
  await say(member, roomId, "who writes has read");
  assert.deepEqual([await unreadOf(owner, roomId), await unreadOf(member, roomId)], [1, 0]);
  const { rooms } = await listMyRooms(chat, owner, {});
  assert.equal(rooms.find(({ room }) => room.id === roomId)?.unread, 1);
});

test("who comes into a room has read what was there, whether they joined or were added", async () => {
  const { roomId, owner } = await openRoom("public");
  for (let i = 1; i <= 3; i++) await say(owner, roomId, `${i}`);
  const [guest, added] = [await someone(), await someone()];
  const joined = await joinRoom(chat, guest, roomId);
  await addToRoom(chat, owner, { roomId, userIds: [added.id] });
  assert.deepEqual([joined.last_read_seq, joined.unread], [3, 0]);
  for (const person of [guest, added]) assert.equal(await unreadOf(person, roomId), 0);
  await say(owner, roomId, "4");
  for (const person of [guest, added]) assert.equal(await unreadOf(person, roomId), 1);
});

test("pages go before, after and around a message and to the first unread one, and lead on to each other", async () => {
  const { roomId, owner, member } = await openRoom();
  for (let i = 1; i <= 10; i++) await say(owner, roomId, `${i}`);
  await markRead(chat, member, { roomId, seq: 6 });
  const read = async (query: object) => {
    const { items, before, after } = await listMessages(db, member, { roomId, limit: 4, ...query });
    return [items.map(({ seq }) => seq), before, after];
  };
  assert.deepEqual(await read({}), [[7, 8, 9, 10], 7, null]);
  assert.deepEqual(await read({ before: 7 }), [[3, 4, 5, 6], 3, 6]);
  assert.deepEqual(await read({ before: 3 }), [[1, 2], null, 2]);
  assert.deepEqual(await read({ before: 1 }), [[], null, 0]);
  assert.deepEqual(await read({ after: 0 }), [[1, 2, 3, 4], null, 4]);
  assert.deepEqual(await read({ after: 8 }), [[9, 10], 9, null]);
  assert.deepEqual(await read({ after: 10 }), [[], 11, null]);
  assert.deepEqual(await read({ after: 99 }), [[], 11, null]);
  assert.deepEqual(await read({ around: 5 }), [[3, 4, 5, 6], 3, 6]);
  assert.deepEqual(await read({ around: 10 }), [[7, 8, 9, 10], 7, null]);
  assert.deepEqual(await read({ around: 0 }), [[1, 2, 3, 4], null, 4]);
  assert.deepEqual(await read({ anchor: "first_unread" }), [[5, 6, 7, 8], 5, 8]);
  await markRead(chat, member, { roomId, seq: 10 });
  assert.deepEqual(await read({ anchor: "first_unread" }), [[7, 8, 9, 10], 7, null]);
  const page = await listMessages(db, manager, { roomId });
  assert.deepEqual([page.items.length, page.last_seq, page.last_read_seq], [10, 10, null]);
});

test("an empty room has an empty page, wherever one looks", async () => {
  const { roomId, owner } = await openRoom();
  for (const query of [{}, { before: 5 }, { after: 5 }, { around: 5 }, { anchor: "first_unread" as const }]) {
    const { items, before, after } = await listMessages(db, owner, { roomId, ...query });
    assert.deepEqual([items, before, after], [[], null, null], JSON.stringify(query));
  }
});

test("a page is at one place: two of them are refused by their names", async () => {
  const { roomId, owner } = await openRoom();
  await assert.rejects(
    listMessages(db, owner, { roomId, before: 1, anchor: "first_unread" }),
    (error: { code: string; details: { fields: { pointer: string }[] } }) => {
      assert.equal(error.code, "invalid_query");
      assert.deepEqual(
        error.details.fields.map(({ pointer }) => pointer),
        ["before", "anchor"],
      );
      return true;
    },
  );
});

test("the seed's list is that of general, the newest first, by limit and offset", async () => {
  const person = await someone();
  for (let i = 1; i <= 5; i++) await say(person, generalRoomId, `seed ${i}`);
  const { last_seq: last } = await listMessages(db, person, { roomId: generalRoomId });
  const page = await listSeedMessages(db, person, { limit: 2, offset: 1 });
  assert.deepEqual(
    page.map(({ id, user_id, username, content }) => ({ id, user_id, username, content })),
    [4, 3].map((i) => ({
      id: last - 5 + i,
      user_id: person.id,
      username: person.username,
      content: `seed ${i}`,
    })),
  );
  assert.deepEqual(await listSeedMessages(db, person, { offset: last }), []);
});

test("typing is told to the room once a second of each person and room, and only by members", async () => {
  const heard: Signal[] = [];
  const end = chat.signals.onSignal((signal) => heard.push(signal));
  let now = 0;
  const setTyping = createSetTyping({ ...chat, clock: { now: () => now } });
  const { roomId, owner, member } = await openRoom();
  const type = (actor: UserActor, on = true) => setTyping(actor, { room_id: roomId, on });
  await type(member);
  await type(member, false);
  await type(owner);
  now += 1_000;
  await type(member, false);
  const data = (person: UserActor, on: boolean): TypingData => ({
    user_id: person.id,
    username: person.username,
    on,
  });
  assert.deepEqual(
    heard.map(({ topic, name, key, data }) => [topic, name, key, data]),
    [data(member, true), data(owner, true), data(member, false)].map((said) => [
      topics.room(roomId),
      "typing",
      String(said.user_id),
      said,
    ]),
  );
  await assert.rejects(type(await someone()), code("not_found"));
  const open = await openRoom("public");
  await assert.rejects(setTyping(await someone(), { room_id: open.roomId, on: true }), code("forbidden"));
  assert.equal(heard.length, 3);
  end();
});
