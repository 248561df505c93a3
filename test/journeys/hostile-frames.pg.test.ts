import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { type Socket, connect } from "node:net";
import { test } from "node:test";
import type { ErrorFrame, ServerFrame } from "../../protocol/frames.ts";
import { limits } from "../../protocol/limits.ts";
import { topics } from "../../protocol/topics.ts";
import { eventually } from "../harness.ts";
import { type TestSocket, greet } from "../socket.ts";
import { openAccounts } from "./accounts.ts";

const isError = (frame: ServerFrame): frame is ErrorFrame => frame.type === "error";
const longTopics = Array.from({ length: limits.topicsPerFrame + 1 }, (_, i) => `room/${i + 1}`);
const positions = Object.fromEntries(longTopics.map((topic) => [topic, "1-0-0"]));
const send = { room_id: 1, client_msg_id: "01a1fea2-bf6c-7001-8ae8-f1ac34899919", content: "x" };

/** Frames that are answered with an error of this code; the connection stands. */
const answered: Readonly<Record<string, readonly [frame: unknown, code: string]>> = {
  "no JSON": ["{", "invalid_json"],
  "nothing at all": ["", "invalid_json"],
  "a text": ['"hello"', "invalid_body"],
  "a list": [[1, 2], "invalid_body"],
  null: ["null", "invalid_body"],
  "a number": ["1e400", "invalid_body"],
  "deep nesting": ["[".repeat(30_000), "invalid_json"],
  "an object without a type": [{}, "invalid_body"],
  "a type nobody knows": [{ type: "nope", id: 1 }, "invalid_body"],
  "a type that is no text": [{ type: ["subscribe"], id: 1 }, "invalid_body"],
  "a type of the prototype": [{ type: "constructor", id: 1 }, "invalid_body"],
  "no id": [{ type: "subscribe", topics: ["room/1"] }, "invalid_body"],
  "an id that is a text": [{ type: "subscribe", id: "1", topics: ["room/1"] }, "invalid_body"],
  "an id below 0": [{ type: "subscribe", id: -1, topics: ["room/1"] }, "invalid_body"],
  "a field too many": [{ type: "subscribe", id: 1, topics: ["room/1"], as: "admin" }, "invalid_body"],
  "no topics": [{ type: "subscribe", id: 1, topics: [] }, "invalid_body"],
  "topics that are no texts": [{ type: "subscribe", id: 1, topics: [1] }, "invalid_body"],
  "a topic too long": [
    { type: "subscribe", id: 1, topics: ["x".repeat(limits.topicLength + 1)] },
    "invalid_body",
  ],
  "a topic too many": [{ type: "subscribe", id: 1, topics: longTopics }, "invalid_body"],
  "a position too many": [{ type: "resume", id: 1, positions }, "invalid_body"],
  "positions that are a list": [{ type: "resume", id: 1, positions: ["room/1"] }, "invalid_body"],
  "a position too long": [{ type: "resume", id: 1, positions: { "room/1": "1".repeat(41) } }, "invalid_body"],
  "a request nobody knows": [{ type: "request", id: 1, name: "room.destroy", params: {} }, "not_found"],
  "a request without parameters": [{ type: "request", id: 1, name: "message.send" }, "invalid_body"],
  "parameters that are missing": [
    { type: "request", id: 1, name: "message.send", params: {} },
    "invalid_body",
  ],
  "a parameter too many": [
    { type: "request", id: 1, name: "message.send", params: { ...send, user_id: 1 } },
    "invalid_body",
  ],
  "a NUL in a text": [
    { type: "request", id: 1, name: "message.send", params: { ...send, content: "a\0b" } },
    "invalid_body",
  ],
  "a lone surrogate": [
    `{"type":"request","id":1,"name":"message.send","params":{"room_id":1,"client_msg_id":"${send.client_msg_id}","content":"\\ud800"}}`,
    "invalid_body",
  ],
  "a room that is not there": [
    { type: "request", id: 1, name: "message.send", params: { ...send, room_id: 999_999 } },
    "not_found",
  ],
  "a seed's frame in another's name": [{ user_id: 999_999, username: "root", content: "x" }, "forbidden"],
  "a token that is none": [{ type: "auth", id: 1, token: "nonsense" }, "unauthorized"],
};

/** Bytes on the wire after the handshake, and the code that the connection is closed with. */
const closing: Readonly<Record<string, readonly [bytes: () => Buffer, code: number]>> = {
  "a binary message": [() => frame(0x2, Buffer.from("{}")), 1003],
  "a frame that is not masked": [() => Buffer.concat([Buffer.from([0x81, 2]), Buffer.from("{}")]), 1002],
  "text that is not UTF-8": [() => frame(0x1, Buffer.from([0xff, 0xfe])), 1007],
  "an opcode nobody knows": [() => frame(0x5, Buffer.alloc(0)), 1002],
  "a reserved bit": [() => frame(0x1, Buffer.from("{}"), { reserved: true }), 1002],
  "a continuation of nothing": [() => frame(0x0, Buffer.from("{}")), 1002],
  "a ping longer than a ping may be": [() => frame(0x9, Buffer.alloc(126)), 1002],
  "a message one byte too large": [() => frame(0x1, Buffer.alloc(limits.frameBytes + 1, 0x20)), 1009],
  "a length that nobody could send": [
    () => Buffer.from([0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
    1009,
  ],
  "many fragments that are too large together": [
    () =>
      Buffer.concat([
        frame(0x1, Buffer.alloc(1_000, 0x20), { final: false }),
        ...Array.from({ length: 70 }, () => frame(0x0, Buffer.alloc(1_000, 0x20), { final: false })),
      ]),
    1009,
  ],
};

/** A frame as a client sends it. */
function frame(
  opcode: number,
  payload: Buffer,
  { final = true, reserved = false, masked = true } = {},
): Buffer {
  const length = payload.length;
  const first = (final ? 0x80 : 0) | (reserved ? 0x40 : 0) | opcode;
  const mask = masked ? randomBytes(4) : Buffer.alloc(0);
  const head =
    length < 126
      ? Buffer.from([first, 0x80 | length])
      : length < 65_536
        ? Buffer.from([first, 0x80 | 126, length >> 8, length & 0xff])
        : Buffer.concat([Buffer.from([first, 0x80 | 127]), bigEndian(length)]);
  return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ (mask[i % 4] ?? 0))]);
}

function bigEndian(length: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(length));
  return bytes;
}

/** A connection whose bytes are our own, and what the server sends on it. */
async function rawSocket(url: string, token: string): Promise<{ socket: Socket; received: () => Buffer }> {
  const { hostname, port, host } = new URL(url);
  const socket = connect(Number(port), hostname);
  let bytes = Buffer.alloc(0);
  socket.on("data", (more: Buffer) => {
    bytes = Buffer.concat([bytes, more]);
  });
  socket.on("error", () => undefined);
  socket.write(
    `GET /ws?token=${token} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\nSec-WebSocket-Protocol: tidings.v1\r\n\r\n`,
  );
  await eventually("the server greets", () => bytes.includes('"hello"'));
  return { socket, received: () => bytes };
}

/** The code of the close frame at the end of what came. */
function closeCodeOf(bytes: Buffer): number | undefined {
  const at = bytes.lastIndexOf(0x88);
  return at === -1 ? undefined : bytes.readUInt16BE(at + 2);
}

/** Somebody else, whom nothing of this may touch. */
async function bystander(url: string, token: string): Promise<() => Promise<void>> {
  const socket: TestSocket = await greet(url, token);
  return async () => {
    const before = socket.frames.length;
    socket.send({ type: "ping" });
    await eventually("the bystander is answered", () => socket.frames.length > before);
    assert.equal(socket.closed, undefined);
  };
}

test("every malformed or unlawful frame is answered by its error, and the connection stands", async (t) => {
  const accounts = await openAccounts(t, { RATE_LIMIT_FRAMES: "1000/10000" });
  const [ann, bob] = [await accounts.register(), await accounts.register()];
  const isFine = await bystander(accounts.url, bob.access_token);
  for (const [what, [wrong, code]] of Object.entries(answered)) {
    const socket = await greet(accounts.url, ann.access_token);
    socket.send(wrong);
    const { error } = await socket.next(what, isError);
    assert.equal(error.code, code, `${what}: ${JSON.stringify(error)}`);
    socket.send({ type: "ping" });
    await socket.next("pong", (one): one is ServerFrame => one.type === "pong");
    socket.ws.terminate();
  }
  await isFine();
});

test("what breaks the WebSocket protocol closes the connection with its code, and nobody else's", async (t) => {
  const accounts = await openAccounts(t);
  const [ann, bob] = [await accounts.register(), await accounts.register()];
  const isFine = await bystander(accounts.url, bob.access_token);
  for (const [what, [bytes, code]] of Object.entries(closing)) {
    const { socket, received } = await rawSocket(accounts.url, ann.access_token);
    socket.write(bytes());
    await eventually(`a close frame after ${what}`, () => closeCodeOf(received()) !== undefined);
    assert.equal(closeCodeOf(received()), code, what);
    socket.destroy();
  }
  await isFine();
});

test("others' topics are refused one by one, and those that are one's own go through", async (t) => {
  const accounts = await openAccounts(t);
  const [ann, bob] = [await accounts.register(), await accounts.register()];
  const socket = await greet(accounts.url, ann.access_token);
  const wanted = [topics.user(bob.user.id), "gateways", "gateway/1/2", "contact/1/x", "room/0", "user/", "/"];
  socket.send({ type: "subscribe", id: 1, topics: [...wanted, topics.user(ann.user.id)] });
  const answer = await socket.answer(1);
  assert.ok(answer.type === "subscribed");
  assert.deepEqual(Object.keys(answer.topics), [topics.user(ann.user.id)]);
  assert.deepEqual(Object.keys(answer.refused).sort(), [...wanted].sort());
});

test("a connection may read so many topics and not one more", async (t) => {
  const accounts = await openAccounts(t);
  const ann = await accounts.register();
  const socket = await greet(accounts.url, ann.access_token);
  const all = Array.from({ length: limits.topicsPerConnection + 1 }, (_, i) => topics.presence(i + 1));
  const { topicsPerFrame: step } = limits;
  for (let at = 0; at < all.length; at += step) {
    socket.send({ type: "subscribe", id: at, topics: all.slice(at, at + step) });
  }
  const last = await socket.answer(limits.topicsPerConnection);
  assert.ok(last.type === "subscribed");
  assert.deepEqual([Object.keys(last.topics).length, Object.keys(last.refused).length], [0, 1]);
  assert.equal(Object.values(last.refused)[0]?.code, "conflict");
});

test("a flood is told to slow down, and then sent away, and so is endless nonsense", async (t) => {
  const accounts = await openAccounts(t, { RATE_LIMIT_FRAMES: "1/30" });
  const [ann, bob] = [await accounts.register(), await accounts.register()];
  const isFine = await bystander(accounts.url, bob.access_token);
  const flood = await greet(accounts.url, ann.access_token);
  for (let i = 0; i < 100; i++) flood.send({ type: "subscribe", id: i, topics: ["room/1"] });
  assert.equal((await flood.end()).code, 4108);
  assert.ok(flood.frames.some((one) => isError(one) && one.error.code === "rate_limited"));
  const nonsense = await greet(accounts.url, ann.access_token);
  for (let i = 0; i < 20; i++) nonsense.send("?");
  await eventually("all of it is answered", () => nonsense.frames.filter(isError).length === 20);
  nonsense.send({ type: "ping" });
  await nonsense.next("pong", (one): one is ServerFrame => one.type === "pong");
  nonsense.send("?");
  assert.equal((await nonsense.end()).code, 4002);
  const pings = await greet(accounts.url, ann.access_token);
  for (let i = 0; i < 100; i++) pings.ws.ping();
  assert.equal((await pings.end()).code, 4108);
  await isFine();
});

test("handshakes to other paths, and odd ones, are refused as problems", async (t) => {
  const accounts = await openAccounts(t);
  const { hostname, port } = new URL(accounts.url);
  const ask = async (lines: string): Promise<string> => {
    const socket = connect(Number(port), hostname);
    let text = "";
    socket.on("data", (more: Buffer) => (text += more.toString()));
    socket.write(`${lines}\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
    await eventually("an answer", () => text.includes("\r\n\r\n"));
    socket.destroy();
    return text;
  };
  const elsewhere = await ask("GET /api/v1/dialogs HTTP/1.1\r\nSec-WebSocket-Version: 13");
  assert.match(elsewhere, /^HTTP\/1\.1 404 [\s\S]*"code":"not_found"/);
  assert.match(await ask("GET /ws HTTP/1.1\r\nSec-WebSocket-Version: 13"), /^HTTP\/1\.1 400 /);
  assert.match(await ask("GET /ws HTTP/1.1\r\nSec-WebSocket-Version: 7"), /^HTTP\/1\.1 4\d\d /);
});
