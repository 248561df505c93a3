import assert from "node:assert/strict";
import { test } from "node:test";
import { SignJWT } from "jose";
import type { SignedIn } from "../../protocol/accounts.ts";
import type {
  AnswerFrame,
  EntryFrame,
  ErrorFrame,
  ExpiringFrame,
  RenewedFrame,
  ServerFrame,
  SignalFrame,
  SubscribedFrame,
} from "../../protocol/frames.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import { topics } from "../../protocol/topics.ts";
import { eventually } from "../harness.ts";
import { type TestSocket, greet, openSocket } from "../socket.ts";
import { type Accounts, claimsOf, jwtSecret, openAccounts } from "./accounts.ts";

const isHello = (frame: ServerFrame) => frame.type === "hello";
const isSubscribed = (frame: ServerFrame): frame is SubscribedFrame => frame.type === "subscribed";
const isError = (frame: ServerFrame): frame is ErrorFrame => frame.type === "error";
const isEntry =
  (type: string) =>
  (frame: ServerFrame): frame is EntryFrame =>
    frame.type === "entry" && frame.entry.type === type;

/** A token of somebody whom another program vouches for. */
function outsideToken(subject: string, claims: Readonly<Record<string, unknown>>): Promise<string> {
  return new SignJWT({ ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(subject)
    .setExpirationTime(Math.floor(Date.now() / 1_000) + 600)
    .sign(new TextEncoder().encode(jwtSecret));
}

/** A token of the same person that ends at another time. */
async function tokenUntil({ access_token }: SignedIn, expiresInS: number): Promise<string> {
  const { exp: _, ...claims } = claimsOf(access_token);
  return new SignJWT(claims)
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime(Math.floor(Date.now() / 1_000) + expiresInS)
    .sign(new TextEncoder().encode(jwtSecret));
}

async function subscribed(socket: TestSocket, ...names: readonly string[]): Promise<SubscribedFrame> {
  socket.send({ type: "subscribe", id: 1, topics: names });
  return socket.next("subscribed", isSubscribed);
}

async function newRoom(
  accounts: Accounts,
  owner: SignedIn,
  ...members: readonly SignedIn[]
): Promise<number> {
  const member_ids = members.map(({ user }) => user.id);
  const room = await accounts.post(
    "/api/v1/rooms",
    { kind: "private", name: "plans", member_ids },
    owner.access_token,
  );
  assert.equal(room.status, 201, room.text);
  return (JSON.parse(room.text) as { id: number }).id;
}

function say(accounts: Accounts, { access_token }: SignedIn, roomId: number, content: string) {
  const wish = { client_msg_id: uuidv7(), content };
  return accounts.post(`/api/v1/rooms/${roomId}/messages`, wish, access_token);
}

test("credentials come by the URL, by a header or by the first frame, and hello says who one is", async (t) => {
  const accounts = await openAccounts(t);
  const ann = await accounts.register();
  const { url } = accounts;
  const byFrame = openSocket(url);
  byFrame.ws.once("open", () => byFrame.send({ type: "auth", token: ann.access_token }));
  const headers = { authorization: `Bearer ${ann.access_token}` };
  for (const socket of [
    openSocket(url, { token: ann.access_token }),
    openSocket(url, { headers }),
    byFrame,
  ]) {
    const hello = await socket.next("hello", isHello);
    assert.ok(hello.type === "hello");
    assert.deepEqual([hello.user_id, hello.username], [ann.user.id, ann.user.username]);
    assert.equal(hello.limits.frame_bytes, limits.frameBytes);
    assert.ok(Date.parse(hello.expires_at ?? "") > Date.now());
    socket.ws.close();
  }
  const bot = openSocket(url, { headers: { "x-api-key": accounts.admin } });
  const hello = await bot.next("hello", isHello);
  assert.ok(hello.type === "hello" && hello.user_id === undefined);
});

test("bad credentials are told by the close code, whichever way they came", async (t) => {
  const accounts = await openAccounts(t);
  const ann = await accounts.register();
  const expired = await tokenUntil(ann, -60);
  for (const token of ["nonsense", `${ann.access_token}x`, expired]) {
    assert.equal((await openSocket(accounts.url, { token }).end()).code, 4001, token.slice(0, 20));
  }
  const two = openSocket(accounts.url, { token: ann.access_token, headers: { "x-api-key": accounts.admin } });
  assert.equal((await two.end()).code, 4001, "two credentials");
  const first = openSocket(accounts.url);
  first.ws.once("open", () => first.send({ type: "auth", token: "nonsense" }));
  assert.equal((await first.end()).code, 4001);
});

test("before credentials nothing is answered but that they are missing", async (t) => {
  const accounts = await openAccounts(t);
  const socket = openSocket(accounts.url);
  socket.ws.once("open", () => socket.send({ type: "subscribe", id: 1, topics: ["room/1"] }));
  const { error } = await socket.next("an error", isError);
  assert.equal(error.code, "unauthorized");
});

test("a newer token of the same person goes on without a new connection; somebody else's is refused", async (t) => {
  const accounts = await openAccounts(t);
  const [ann, bob] = [await accounts.register(), await accounts.register()];
  const socket = await greet(accounts.url, await tokenUntil(ann, 50));
  socket.send({ type: "auth", id: 7, token: bob.access_token });
  const refusal = await socket.answer(7);
  assert.ok(refusal.type === "error" && refusal.error.code === "forbidden");
  socket.send({ type: "auth", id: 8, token: ann.access_token });
  const renewed = (await socket.answer(8)) as RenewedFrame;
  assert.equal(renewed.type, "renewed");
  assert.equal(Date.parse(renewed.expires_at), Number(claimsOf(ann.access_token)["exp"]) * 1_000);
  assert.equal(socket.closed, undefined);
});

test("who signs out is out on every socket of that sign-in, and on no other", async (t) => {
  const accounts = await openAccounts(t);
  const ann = await accounts.register();
  const again = await accounts.login(ann.user.username, "correct horse battery");
  const other = JSON.parse(again.text) as SignedIn;
  const [first, second, elsewhere] = [
    await greet(accounts.url, ann.access_token),
    await greet(accounts.url, ann.access_token),
    await greet(accounts.url, other.access_token),
  ];
  await accounts.post("/api/v1/auth/logout", { refresh_token: ann.refresh_token });
  assert.deepEqual([(await first.end()).code, (await second.end()).code], [4004, 4004]);
  elsewhere.send({ type: "ping" });
  await elsewhere.next("pong", (frame): frame is ServerFrame => frame.type === "pong");
});

test("what somebody writes reaches the others in the room, with the answer to whoever wrote it", async (t) => {
  const accounts = await openAccounts(t);
  const [ann, bob, eve] = [await accounts.register(), await accounts.register(), await accounts.register()];
  const roomId = await newRoom(accounts, ann, bob);
  const topic = topics.room(roomId);
  const [writes, reads, stranger] = [
    await greet(accounts.url, ann.access_token),
    await greet(accounts.url, bob.access_token),
    await greet(accounts.url, eve.access_token),
  ];
  await subscribed(reads, topic);
  const refusal = await subscribed(stranger, topic, topics.user(bob.user.id), "nonsense/1", "room/x");
  assert.deepEqual(refusal.topics, {});
  assert.deepEqual(
    Object.values(refusal.refused)
      .map(({ code }) => code)
      .sort(),
    ["forbidden", "not_found", "not_found", "not_found"],
  );

  const wish = { room_id: roomId, client_msg_id: uuidv7(), content: "Привет, 😀" };
  writes.send({ type: "request", id: 2, name: "message.send", params: wish });
  const answer = (await writes.answer(2)) as AnswerFrame;
  assert.equal(answer.type, "answer");
  const { entry } = await reads.next("the message", isEntry("message.created"));
  assert.deepEqual((entry.data as { message: unknown }).message, answer.data);
  writes.send({ type: "request", id: 3, name: "typing.set", params: { room_id: roomId, on: true } });
  const signal = await reads.next("typing", (frame): frame is SignalFrame => frame.type === "signal");
  assert.deepEqual([signal.topic, signal.name, signal.key], [topic, "typing", String(ann.user.id)]);
  assert.ok(!stranger.frames.some(({ type }) => type === "entry" || type === "signal"));
});

test("whoever was away resumes from their position: everything since, once, then what is new", async (t) => {
  const accounts = await openAccounts(t);
  const [ann, bob] = [await accounts.register(), await accounts.register()];
  const roomId = await newRoom(accounts, ann, bob);
  const topic = topics.room(roomId);
  const first = await greet(accounts.url, bob.access_token);
  const { topics: places } = await subscribed(first, topic);
  first.ws.close();
  for (const text of ["one", "two", "three"]) await say(accounts, ann, roomId, text);

  const second = await greet(accounts.url, bob.access_token);
  second.send({ type: "resume", id: 1, positions: { [topic]: places[topic]?.position ?? "" } });
  await second.next("subscribed", isSubscribed);
  await say(accounts, ann, roomId, "four");
  const texts = (): string[] =>
    second.frames
      .filter(isEntry("message.created"))
      .map(({ entry }) => (entry.data as { message: { content: string } }).message.content);
  await eventually("everything has come", () => texts().length >= 4);
  assert.deepEqual(texts(), ["one", "two", "three", "four"]);
});

test("whoever renews with a token that may less hears nothing more of what only the other one opened", async (t) => {
  const accounts = await openAccounts(t);
  const ann = await accounts.register();
  const hidden = topics.room(await newRoom(accounts, ann));
  const open = topics.room(1);
  const manager = await outsideToken("eve", { scope: "chat:manage" });
  const more = await outsideToken("eve", { scope: "chat:manage inbox:read" });
  const eve = await greet(accounts.url, manager);
  const { topics: granted } = await subscribed(eve, hidden, open);
  assert.deepEqual(Object.keys(granted).sort(), [open, hidden].sort());
  const heard = () =>
    eve.frames
      .filter(isEntry("message.created"))
      .map(({ entry }) => (entry.data as { message: { content: string } }).message.content);
  const hiddenId = Number(hidden.slice("room/".length));

  for (const [id, token] of [
    [11, more],
    [12, more],
  ] as const) {
    eve.send({ type: "auth", id, token });
    assert.equal((await eve.answer(id)).type, "renewed");
    await say(accounts, ann, hiddenId, `after ${id}`);
    await eventually("nothing is taken away", () => heard().includes(`after ${id}`));
  }
  eve.send({ type: "auth", id: 13, token: await outsideToken("eve", {}) });
  assert.equal((await eve.answer(13)).type, "renewed");
  const gone = eve.frames.filter(({ type }) => type === "removed");
  assert.deepEqual(
    gone.map((frame) => frame.type === "removed" && frame.topic),
    [hidden],
    "told before it goes on",
  );
  await say(accounts, ann, hiddenId, "secret");
  await say(accounts, ann, 1, "for all");
  await eventually("the room that anybody may read", () => heard().includes("for all"));
  eve.send({ type: "resume", id: 14, positions: { [hidden]: granted[hidden]?.position ?? "" } });
  const again = (await eve.answer(14)) as SubscribedFrame;
  assert.deepEqual([again.topics, again.refused[hidden]?.code], [{}, "not_found"]);
  assert.deepEqual(heard(), ["after 11", "after 12", "for all"]);
});

test("a position of another log, one that this log has never had, or none at all is answered with limited and goes on from now", async (t) => {
  const accounts = await openAccounts(t);
  const ann = await accounts.register();
  const roomId = await newRoom(accounts, ann);
  const topic = topics.room(roomId);
  const socket = await greet(accounts.url, ann.access_token);
  const { position: here = "" } = (await subscribed(socket, topic)).topics[topic] ?? {};
  const [generation, partition, offset] = here.split("-").map(Number);
  socket.send({ type: "unsubscribe", id: 9, topics: [topic] });
  await socket.answer(9);
  for (const [id, position] of [
    [2, `${(generation ?? 0) + 1}-${partition}-${offset}`],
    [3, `${generation}-${partition}-${(offset ?? 0) + 1}`],
    [4, "nonsense"],
  ] as const) {
    socket.send({ type: "resume", id, positions: { [topic]: position } });
    const answer = (await socket.answer(id)) as SubscribedFrame;
    assert.deepEqual(answer.topics[topic], { position: here, limited: true }, position);
    socket.send({ type: "unsubscribe", id: id + 10, topics: [topic] });
    await socket.answer(id + 10);
  }
});

test("after a removal nothing of the room reaches the person: not by push, not by resume, not over HTTP", async (t) => {
  const accounts = await openAccounts(t);
  const [ann, bob] = [await accounts.register(), await accounts.register()];
  const roomId = await newRoom(accounts, ann, bob);
  const topic = topics.room(roomId);
  const [live, watcher] = [
    await greet(accounts.url, bob.access_token),
    await greet(accounts.url, ann.access_token),
  ];
  const { topics: places } = await subscribed(live, topic);
  await subscribed(watcher, topic);
  const path = `/api/v1/rooms/${roomId}/members/${bob.user.id}`;
  assert.equal((await accounts.request("DELETE", path, { key: ann.access_token })).status, 204);
  await say(accounts, ann, roomId, "secret");
  await watcher.next("the message", isEntry("message.created"));
  const removed = await live.next("removed", (frame): frame is ServerFrame => frame.type === "removed");
  assert.ok(removed.type === "removed" && removed.topic === topic);
  assert.ok(live.frames.some(isEntry("member.removed")), "the removal itself is told");

  live.send({ type: "resume", id: 9, positions: { [topic]: places[topic]?.position ?? "" } });
  const answer = (await live.answer(9)) as SubscribedFrame;
  assert.deepEqual([answer.topics, answer.refused[topic]?.code], [{}, "not_found"]);
  const pages = await accounts.request("GET", `/api/v1/rooms/${roomId}/messages`, { key: bob.access_token });
  assert.equal(pages.status, 404);
  assert.ok(!live.frames.some(isEntry("message.created")));
});

test("presence tells those who watch, and only of whom they watch", async (t) => {
  const accounts = await openAccounts(t);
  const [ann, bob, eve] = [await accounts.register(), await accounts.register(), await accounts.register()];
  const watcher = await greet(accounts.url, ann.access_token);
  await subscribed(watcher, topics.presence(bob.user.id));
  const states = (): unknown[] =>
    watcher.frames.filter((frame): frame is SignalFrame => frame.type === "signal").map(({ data }) => data);
  await eventually("the state at first", () => states().length === 1);
  await greet(accounts.url, eve.access_token);
  await greet(accounts.url, bob.access_token);
  await eventually("bob is there", () => states().length === 2);
  assert.deepEqual(states(), [
    { user_id: bob.user.id, online: false },
    { user_id: bob.user.id, online: true },
  ]);
});

test("the seed's snippet works with a token: plain messages go out and come in", async (t) => {
  const accounts = await openAccounts(t);
  const [ann, bob] = [await accounts.register(), await accounts.register()];
  const [writes, reads] = [ann, bob].map(({ access_token: token }) =>
    openSocket(accounts.url, { token, plain: true }),
  );
  assert.ok(writes !== undefined && reads !== undefined);
  const { id: user_id, username } = ann.user;
  await eventually("both are open", () => writes.ws.readyState === 1 && reads.ws.readyState === 1);
  // It is nowhere told when a plain connection hears; a message that came too early is sent again.
  await eventually("the message is heard", async () => {
    writes.send({ user_id, username, content: "Hello World!" });
    await new Promise((resolve) => setImmediate(resolve));
    return reads.frames.length > 0;
  });
  const [message] = reads.frames as unknown as readonly Record<string, unknown>[];
  assert.deepEqual(Object.keys(message ?? {}), ["id", "user_id", "username", "content", "created_at"]);
  assert.deepEqual([message?.["user_id"], message?.["content"]], [user_id, "Hello World!"]);
  writes.send({ user_id: bob.user.id, username, content: "not me" });
  await writes.next("a refusal", isError);
  assert.ok(!writes.frames.some(({ type }) => type === "hello"), "the seed knows no greeting");
});

test("a person, and an address, has so many connections and not one more", async (t) => {
  const accounts = await openAccounts(t, { CONNECTIONS_PER_USER: "2", CONNECTIONS_PER_ADDRESS: "4" });
  const [ann, bob] = [await accounts.register(), await accounts.register()];
  const open = [await greet(accounts.url, ann.access_token), await greet(accounts.url, ann.access_token)];
  const third = openSocket(accounts.url, { token: ann.access_token });
  assert.equal((await third.end()).code, 4005);
  open.push(await greet(accounts.url, bob.access_token), await greet(accounts.url, bob.access_token));
  const refused = openSocket(accounts.url, { token: bob.access_token });
  const status = await new Promise((resolve) => {
    refused.ws.once("unexpected-response", (_, response) => resolve(response.statusCode));
  });
  assert.equal(status, 429);
  open[0]?.ws.close();
  await eventually("a place is free again", async () => {
    const again = openSocket(accounts.url, { token: ann.access_token });
    await eventually("an answer", () => again.frames.length > 0 || again.closed !== undefined);
    return again.frames.some(isHello);
  });
});

test("shutting down is announced, and every socket is closed with the code that says come back", async (t) => {
  const accounts = await openAccounts(t);
  const ann = await accounts.register();
  const sockets = [await greet(accounts.url, ann.access_token), await greet(accounts.url, ann.access_token)];
  await accounts.app.close();
  for (const socket of sockets) {
    assert.equal((await socket.end()).code, 4103);
    assert.ok(socket.frames.some(({ type }) => type === "server.draining"));
  }
});

test("a token that ends soon is announced", async (t) => {
  const accounts = await openAccounts(t);
  const ann = await accounts.register();
  const socket = await greet(accounts.url, await tokenUntil(ann, 30));
  const { expires_at } = await socket.next(
    "the announcement",
    (frame): frame is ExpiringFrame => frame.type === "token.expiring",
  );
  assert.equal(expires_at, socket.hello.expires_at);
});
