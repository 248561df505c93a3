import assert from "node:assert/strict";
import { test } from "node:test";
import type { SignedIn } from "../../protocol/accounts.ts";
import {
  MemberList,
  MembersPage,
  Message,
  MessageWithRevisions,
  MessagesPage,
  MyRoom,
  MyRoomsPage,
  OneRoom,
  ReadState,
  Room,
  RoomsPage,
  SeedMessage,
  SeedMessages,
  generalRoomId,
} from "../../protocol/chat.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import type { Answer } from "../app.ts";
import { type Accounts, openAccounts } from "./accounts.ts";

type Person = { readonly id: number; readonly username: string; readonly key: string };

function personOf({ access_token: key, user }: SignedIn): Person {
  return { id: user.id, username: user.username, key };
}

async function openRooms(t: Parameters<typeof openAccounts>[0]) {
  const accounts = await openAccounts(t);
  const [owner, member, stranger] = [
    personOf(await accounts.register()),
    personOf(await accounts.register()),
    personOf(await accounts.register()),
  ];
  const ask = createAsk(accounts);
  const made = await ask(owner, "POST", "/rooms", {
    kind: "private",
    name: "plans",
    member_ids: [member.id],
  });
  assert.equal(made.status, 201, made.text);
  return { ...accounts, ask, owner, member, stranger, path: `/rooms/${made.as(Room).id}` };
}

function createAsk({ request }: Accounts) {
  return (who: Pick<Person, "key">, method: string, path: string, json?: unknown): Promise<Answer> =>
    request(method, `/api/v1${path}`, { key: who.key, ...(json === undefined ? {} : { json }) });
}

function refused(answer: Answer, status: number, code: string): void {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.problem().code, code);
}

test("people talk in a room: every answer fits its schema, and says what happened", async (t) => {
  const { ask, owner, member, stranger, path } = await openRooms(t);
  const wish = { client_msg_id: uuidv7(), content: "  hello " };
  const sent = await ask(owner, "POST", `${path}/messages`, wish);
  assert.equal(sent.status, 201, sent.text);
  assert.equal(sent.headers.get("idempotent-replayed"), null);
  const message = sent.as(Message);
  assert.deepEqual([message.content, message.seq, message.username], ["hello", 1, owner.username]);
  const again = await ask(owner, "POST", `${path}/messages`, wish);
  assert.deepEqual([again.status, again.headers.get("idempotent-replayed")], [200, "true"]);
  assert.deepEqual(again.as(Message), message);
  refused(
    await ask(owner, "POST", `${path}/messages`, { ...wish, content: "other" }),
    422,
    "idempotency_mismatch",
  );

  const mine = (await ask(member, "GET", "/rooms")).as(MyRoomsPage);
  assert.deepEqual(
    mine.rooms.map(({ room, unread }) => [room.name, unread]),
    [
      ["general", 0],
      ["plans", 1],
    ],
  );
  const page = (await ask(member, "GET", `${path}/messages?anchor=first_unread&limit=10`)).as(MessagesPage);
  assert.deepEqual([page.items, page.last_read_seq], [[message], 0]);
  const read = await ask(member, "PUT", `${path}/read`, { seq: 1 });
  assert.deepEqual(read.as(ReadState), { room_id: message.room_id, last_read_seq: 1, unread: 0 });

  const one = `${path}/messages/${message.id}`;
  const edited = await ask(owner, "PATCH", one, { content: "hi", version: 1 });
  assert.deepEqual([edited.status, edited.as(Message).version], [200, 2]);
  refused(await ask(owner, "PATCH", one, { content: "hey", version: 1 }), 409, "conflict");
  refused(await ask(member, "PATCH", one, { content: "mine" }), 403, "forbidden");
  assert.equal((await ask(owner, "GET", one)).as(MessageWithRevisions).revisions?.length, 1);
  assert.equal((await ask(member, "GET", one)).as(MessageWithRevisions).revisions, null);
  assert.equal((await ask(owner, "DELETE", one)).as(Message).content, "");

  for (const [method, where] of [
    ["GET", path],
    ["GET", `${path}/messages`],
    ["GET", `${path}/members`],
    ["GET", one],
    ["DELETE", one],
    ["POST", `${path}/join`],
  ] as const)
    refused(await ask(stranger, method, where), 404, "not_found");
});

test("members come, get roles and go over HTTP", async (t) => {
  const { ask, owner, member, stranger, path } = await openRooms(t);
  const added = await ask(owner, "POST", `${path}/members`, { user_ids: [stranger.id] });
  assert.deepEqual(
    added.as(MemberList).members.map(({ user_id, role }) => [user_id, role]),
    [[stranger.id, "member"]],
  );
  assert.equal((await ask(owner, "PUT", `${path}/members/${member.id}`, { role: "moderator" })).status, 200);
  refused(await ask(stranger, "DELETE", `${path}/members/${member.id}`), 403, "forbidden");
  assert.equal((await ask(member, "DELETE", `${path}/members/${stranger.id}`)).status, 204);
  refused(await ask(owner, "POST", `${path}/leave`), 409, "conflict");
  assert.equal((await ask(member, "POST", `${path}/leave`)).status, 204);
  const { members } = (await ask(owner, "GET", `${path}/members`)).as(MembersPage);
  assert.deepEqual(
    members.map(({ user_id }) => user_id),
    [owner.id],
  );
  const tooMany = Array.from({ length: limits.membersPerRequest + 1 }, (_, i) => i + 1);
  refused(await ask(owner, "POST", `${path}/members`, { user_ids: tooMany }), 400, "invalid_body");
});

test("two people have one direct room: made the first time, found the next", async (t) => {
  const { ask, owner, member } = await openRooms(t);
  const first = await ask(owner, "POST", "/rooms/direct", { user_id: member.id });
  const second = await ask(member, "POST", "/rooms/direct", { user_id: owner.id });
  assert.deepEqual([first.status, second.status], [201, 200]);
  const [a, b] = [first.as(MyRoom), second.as(MyRoom)];
  assert.equal(a.room.id, b.room.id);
  assert.deepEqual([a.peer?.username, b.peer?.username], [member.username, owner.username]);
  refused(await ask(owner, "POST", "/rooms/direct", { user_id: owner.id }), 400, "invalid_body");
});

test("people are called by the names that they chose, where members are listed and where two talk", async (t) => {
  const { ask, owner, member, path } = await openRooms(t);
  const name = "Маша Иванова";
  assert.equal((await ask(member, "PATCH", "/me", { name })).status, 200);
  const { members } = (await ask(owner, "GET", `${path}/members`)).as(MembersPage);
  assert.deepEqual(
    members.map((one) => [one.username, one.name]),
    [
      [owner.username, owner.username],
      [member.username, name],
    ],
  );
  const direct = await ask(owner, "POST", "/rooms/direct", { user_id: member.id });
  assert.deepEqual(direct.as(MyRoom).peer, { user_id: member.id, username: member.username, name });
});

test("who puts too many people into rooms is told when to go on, and learns nothing of those who are full", async (t) => {
  const { app, ask, owner, member, path } = await openRooms(t);
  const { rows } = await app.deps.db.query<{ id: number }>(
    "insert into account_user (username, name) select 'crowd-' || i, 'C' from generate_series(1, 200) i returning id",
  );
  const ids = rows.map(({ id }) => id);
  await app.deps.db.query(
    `with made as (insert into chat_room (kind, name) select 'private', 'full' from generate_series(1, $2::int) returning id)
     insert into room_member (room_id, user_id, role, joined_at, last_read_seq, joined_by)
     select id, $1, 'member', now(), 0, 'others' from made`,
    [ids[0], limits.roomsByOthers],
  );
  const full = await ask(owner, "POST", `${path}/members`, { user_ids: [member.id, ids[0]] });
  refused(full, 409, "conflict");
  assert.deepEqual(
    full.problem().errors?.map(({ pointer }) => pointer),
    ["/user_ids/1"],
  );
  assert.doesNotMatch(full.text, /1000|1,000/);
  // The owner put one person into the room when it was made.
  for (const some of [ids.slice(1, 101), ids.slice(101, 200)])
    assert.equal((await ask(owner, "POST", `${path}/members`, { user_ids: some })).status, 200);
  const late = await ask(owner, "POST", "/rooms/direct", { user_id: ids[0] });
  refused(late, 429, "rate_limited");
  assert.equal(late.headers.get("retry-after"), "18");
  assert.equal((await ask(owner, "POST", "/rooms", { kind: "private", name: "alone" })).status, 201);
});

test("a public room is listed, read by strangers, and joined to write", async (t) => {
  const { ask, owner, stranger } = await openRooms(t);
  const { id } = (await ask(owner, "POST", "/rooms", { kind: "public", name: "open" })).as(Room);
  const listed = (await ask(stranger, "GET", "/rooms/public?limit=200")).as(RoomsPage);
  assert.deepEqual(
    listed.rooms.map((room) => room.id),
    [generalRoomId, id],
  );
  const said = { client_msg_id: uuidv7(), content: "hello" };
  refused(await ask(stranger, "POST", `/rooms/${id}/messages`, said), 403, "forbidden");
  assert.equal((await ask(stranger, "GET", `/rooms/${id}`)).as(OneRoom).mine, null);
  assert.equal((await ask(stranger, "POST", `/rooms/${id}/join`)).as(MyRoom).role, "member");
  assert.equal((await ask(stranger, "POST", `/rooms/${id}/messages`, said)).status, 201);
  assert.equal((await ask(owner, "PATCH", `/rooms/${id}`, { name: "opener" })).as(Room).name, "opener");
});

test("a program with chat:manage makes rooms, changes members, reads and deletes, and does not write", async (t) => {
  const { ask, key, owner, member, path } = await openRooms(t);
  const program = { key: await key(["chat:manage"]) };
  const sent = await ask(owner, "POST", `${path}/messages`, { client_msg_id: uuidv7(), content: "hello" });
  const { id } = sent.as(Message);
  assert.equal((await ask(program, "GET", path)).as(OneRoom).mine, null);
  assert.equal((await ask(program, "GET", `${path}/messages`)).as(MessagesPage).items.length, 1);
  assert.equal((await ask(program, "DELETE", `${path}/messages/${id}`)).status, 200);
  const made = await ask(program, "POST", "/rooms", {
    kind: "private",
    name: "bot",
    member_ids: [member.id],
  });
  assert.equal(made.status, 201);
  refused(
    await ask(program, "POST", `${path}/messages`, { client_msg_id: uuidv7(), content: "x" }),
    403,
    "forbidden",
  );
  refused(await ask(program, "GET", "/rooms"), 403, "forbidden");
  const other = { key: await key(["inbox:read"]) };
  refused(await ask(other, "GET", `${path}/messages`), 403, "forbidden");
});

test("the seed's requests work as they stand there, with a token", async (t) => {
  const { ask, owner, member, request } = await openRooms(t);
  const wish = { user_id: owner.id, username: owner.username, content: "Новое сообщение" };
  const sent = await ask(owner, "POST", "/messages", wish);
  assert.equal(sent.status, 201, sent.text);
  const message = sent.as(SeedMessage);
  assert.deepEqual(Object.keys(message), ["id", "user_id", "username", "content", "created_at"]);
  assert.deepEqual({ ...message, created_at: "" }, { id: 1, ...wish, created_at: "" });
  await ask(member, "POST", "/messages", { content: "without a name" });
  const list = (await ask(member, "GET", "/messages?limit=20&offset=0")).as(SeedMessages);
  assert.deepEqual(
    list.map(({ id, content }) => [id, content]),
    [
      [2, "without a name"],
      [1, wish.content],
    ],
  );
  assert.deepEqual((await ask(member, "GET", "/messages?limit=1&offset=1")).as(SeedMessages), [message]);
  for (const lie of [{ user_id: owner.id }, { username: owner.username }])
    refused(
      await ask(member, "POST", "/messages", { ...lie, content: "as somebody else" }),
      403,
      "forbidden",
    );
  refused(await request("GET", "/api/v1/messages"), 401, "unauthorized");
  const key = { client_msg_id: uuidv7(), content: "once" };
  assert.equal((await ask(owner, "POST", "/messages", key)).status, 201);
  const again = await ask(owner, "POST", "/messages", key);
  assert.deepEqual([again.status, again.headers.get("idempotent-replayed")], [200, "true"]);
});

test("what does not fit is refused by its names, and one more than a bound too", async (t) => {
  const { ask, owner, path } = await openRooms(t);
  const say = (parts: object) =>
    ask(owner, "POST", `${path}/messages`, { client_msg_id: uuidv7(), content: "x", ...parts });
  assert.equal((await say({ content: "😀".repeat(limits.messageTextLength) })).status, 201);
  for (const parts of [
    { content: "😀".repeat(limits.messageTextLength + 1) },
    { content: " \n" },
    { content: "a\0b" },
    { client_msg_id: "7" },
    { client_msg_id: uuidv7().toUpperCase() },
    { reply_to: "nothing" },
    { user_id: 7 },
  ])
    refused(await say(parts), 400, "invalid_body");
  const bad = [
    "",
    "n".repeat(limits.roomNameLength + 1),
    "a\nb",
    "a\u0007",
    "a\u2028b",
    "a\u202eb",
    "\u200b",
    "\u200b ",
  ];
  for (const name of bad) {
    refused(await ask(owner, "POST", "/rooms", { kind: "public", name }), 400, "invalid_body");
    refused(await ask(owner, "PATCH", path, { name }), 400, "invalid_body");
  }
  for (const name of ["n".repeat(limits.roomNameLength), " Семья 👨‍👩‍👧 ", "می‌خواهم"])
    assert.equal((await ask(owner, "PATCH", path, { name })).as(Room).name, name.trim());
  const twice = await ask(owner, "GET", `${path}/messages?before=1&after=2`);
  refused(twice, 400, "invalid_query");
  assert.deepEqual(
    twice.problem().errors?.map(({ pointer }) => pointer),
    ["before", "after"],
  );
  for (const query of [`limit=${limits.pageRows + 1}`, "limit=0", "anchor=last", "page=2"])
    refused(await ask(owner, "GET", `${path}/messages?${query}`), 400, "invalid_query");
  refused(await ask(owner, "GET", "/rooms/none"), 400, "invalid_path");
  refused(await ask(owner, "GET", "/rooms?cursor=bm9wZQ"), 400, "invalid_cursor");
});
