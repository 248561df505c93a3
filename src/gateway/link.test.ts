import assert from "node:assert/strict";
import { once } from "node:events";
import { type ServerResponse, createServer } from "node:http";
import { type AddressInfo, type Socket, connect } from "node:net";
import { Duplex } from "node:stream";
import { type TestContext, test } from "node:test";
import type { WebSocket } from "ws";
import { closeRules } from "../../protocol/close-codes.ts";
import { frameOf } from "./frames.ts";
import { EventStreamLink, WebSocketLink, closeWithinMs, corkedBytesMax } from "./link.ts";

/** A stream that somebody has asked for, its link, and the connection of whoever asked. */
async function open(t: TestContext, topics: readonly string[] = ["room/1"]) {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client: Socket = connect(port, "127.0.0.1");
  client.on("error", () => undefined);
  client.pause();
  t.after(() => {
    client.destroy();
    server.closeAllConnections();
    server.close();
  });
  client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const [, response] = (await once(server, "request")) as [unknown, ServerResponse];
  response.writeHead(200, { "content-type": "text/event-stream" });
  const link = new EventStreamLink(response, new Map(topics.map((topic) => [topic, "1-0-0"])));
  const closed = once(response, "close");
  return { client, response, link, closed };
}

const { code, meaning } = closeRules.slow_reader;

test("a stream whose client takes nothing is told why it ends, and is cut when that is not taken in time", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { response, link, closed, client } = await open(t);
  const position = `1-0-${"7".repeat(1_000)}`;
  const frame = frameOf({ type: "limited", topic: "room/1", position });
  // Beyond all that the network keeps on the way.
  while (response.writableLength < 8 * 1_048_576) {
    link.write(Buffer.concat(Array.from({ length: 1_000 }, () => frame)));
    await new Promise((resolve) => setImmediate(resolve));
  }
  link.close(code, meaning);
  t.mock.timers.tick(closeWithinMs - 1);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([response.destroyed, response.writableEnded], [false, true]);
  t.mock.timers.tick(1);
  await closed;
  assert.equal(response.destroyed, true);
  client.resume();
  await once(client, "close");
});

test("a stream whose client takes what it is sent ends with the reason, and nobody cuts its connection", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { response, link, closed, client } = await open(t);
  let text = "";
  client.on("data", (more: Buffer) => (text += more.toString()));
  client.resume();
  const cut = t.mock.method(response, "destroy");
  link.close(code, meaning);
  await closed;
  while (!text.endsWith("\r\n0\r\n\r\n")) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(text.includes(`event: close\ndata: ${JSON.stringify({ code, reason: meaning })}\n\n`), text);
  t.mock.timers.tick(closeWithinMs);
  assert.deepEqual([response.writableFinished, cut.mock.callCount()], [true, 0]);
});

test("each stream counts what all of them are handed by its own topics, a ping between them too", async (t) => {
  const position = (n: number): string => `1-0-${n}`;
  const bytes = Buffer.concat([
    frameOf({ type: "limited", topic: "room/1", position: position(5) }),
    Buffer.from([0x89, 0]),
    frameOf({ type: "positions", positions: { "room/1": position(7), "room/2": position(8) } }),
  ]);
  const streams = [await open(t), await open(t, ["room/2", "room/1"])];
  const texts = streams.map(({ client }) => {
    const parts: string[] = [];
    client.on("data", (part: Buffer) => parts.push(part.toString()));
    client.resume();
    return parts;
  });
  for (const { link } of streams) link.write(bytes);
  for (const { link, closed } of streams) {
    link.close(code, meaning);
    await closed;
  }
  while (!texts.every((parts) => parts.join("").endsWith("\r\n0\r\n\r\n")))
    await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(
    texts.map((parts) => parts.join("").match(/^(?:id: .*|:)$/gm)),
    [
      ["id: 1-0-5", ":", "id: 1-0-7"],
      ["id: 1-0-0,1-0-5", ":", "id: 1-0-8,1-0-7"],
    ],
  );
});

/** What goes to the system, piece by piece. */
function openSocket() {
  const pieces: number[] = [];
  const socket = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => {
      pieces.push(chunk.length);
      done();
    },
    writev: (chunks, done) => {
      pieces.push(chunks.reduce((sum, { chunk }) => sum + (chunk as Buffer).length, 0));
      done();
    },
  });
  return { pieces, link: new WebSocketLink({} as WebSocket, socket as Socket) };
}

test("what is written together goes out in one piece, also when what makes it fails", () => {
  const { pieces, link } = openSocket();
  link.together(() => {
    link.write(Buffer.alloc(10));
    link.write(Buffer.alloc(20));
  });
  assert.deepEqual(pieces, [30]);
  assert.throws(() =>
    link.together(() => {
      link.write(Buffer.alloc(5));
      throw new Error("no more");
    }),
  );
  link.write(Buffer.alloc(7));
  assert.deepEqual(pieces, [30, 5, 7]);
});

test("so many bytes are held back to go out together, and not one more", () => {
  const { pieces, link } = openSocket();
  link.together(() => {
    link.write(Buffer.alloc(corkedBytesMax));
    link.write(Buffer.alloc(1));
    assert.deepEqual(pieces, []);
    link.write(Buffer.alloc(2));
    assert.deepEqual(pieces, [corkedBytesMax + 1, 2]);
  });
  assert.deepEqual(pieces, [corkedBytesMax + 1, 2]);
});
