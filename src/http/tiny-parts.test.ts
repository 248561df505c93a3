import assert from "node:assert/strict";
import { type Socket, connect } from "node:net";
import { type TestContext, test } from "node:test";
import { eventually } from "../../test/harness.ts";
import { tinyPartBytes, tinyPartsMax } from "./inbound.ts";
import { sendRaw, startTestServer, testRoute, waitingRoute } from "./test-server.fixture.ts";

const head = (...more: readonly string[]): string =>
  `${["POST /thing HTTP/1.1", "Host: a", "Content-Type: application/json", "Transfer-Encoding: chunked", ...more].join("\r\n")}\r\n\r\n`;
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
const end = "0\r\n\r\n";
/** A JSON text in so many chunks. */
const inParts = (parts: number, bytes: number): string =>
  chunk('"'.padEnd(bytes, "a")) +
  chunk("a".repeat(bytes)).repeat(parts - 2) +
  chunk('"'.padStart(bytes, "a")) +
  end;

function open(t: TestContext, port: number): Socket {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  t.after(() => socket.destroy());
  return socket;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a body may come in as many tiny parts as the bound, and one more ends the connection", async () => {
  await using server = await startTestServer({ routes: [testRoute()] });
  const send = (parts: number, bytes: number): Promise<string> =>
    sendRaw(server.port, head("Connection: close"), inParts(parts, bytes)).catch(() => "");
  assert.match(await send(tinyPartsMax, 1), /^HTTP\/1\.1 200 /);
  assert.equal(await send(tinyPartsMax + 1, 1), "");
  assert.match(await send(tinyPartsMax + 1, 2 * tinyPartBytes), /^HTTP\/1\.1 200 /, "these are not tiny");
  assert.equal(await send(tinyPartsMax + 1, tinyPartBytes - 2), "");
});

test("a body that was cut for its tiny parts is never handled as if it were whole", async () => {
  let handled = 0;
  const route = testRoute();
  const handler: typeof route.handler = (request) => {
    handled++;
    return route.handler(request);
  };
  await using server = await startTestServer({ routes: [{ ...route, handler }] });
  const part = "a".repeat(tinyPartBytes - 1);
  // In the same read, behind the part that is one too many, comes one that makes up for all of them, and the end.
  const body = `${chunk('"'.padEnd(part.length, "a"))}${chunk(part).repeat(tinyPartsMax - 1)}${chunk("MISSING")}`;
  const rest = `${chunk('"'.padStart(2_000, "a"))}${end}`;
  const answer = await sendRaw(server.port, head("Connection: close"), body + rest).catch(() => "");
  assert.deepEqual([answer, handled], ["", 0]);
});

test("a request that was refused before its body was read may not go on in tiny parts either", async (t) => {
  await using server = await startTestServer({ routes: [testRoute({ scope: "admin" })] });
  for (const parts of [tinyPartsMax, tinyPartsMax + 1]) {
    const socket = open(t, server.port);
    let answers = "";
    socket.setEncoding("utf8").on("data", (text) => {
      answers += String(text);
    });
    const ended = new Promise((resolve) => socket.once("close", resolve));
    socket.write(head());
    await eventually("it is refused", () => answers.startsWith("HTTP/1.1 401 "));
    socket.write(inParts(parts, 1));
    socket.write("GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    await ended;
    assert.equal(answers.includes("HTTP/1.1 200 "), parts === tinyPartsMax, `${parts} parts`);
  }
});

test("the rest of a body that nobody wants is dropped, however large, and the connection goes on", async () => {
  await using server = await startTestServer({ routes: [testRoute({ scope: "admin" })] });
  const answers = await sendRaw(
    server.port,
    head(),
    chunk("a".repeat(1_000)).repeat(2_000) + end,
    "GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
  );
  assert.deepEqual(answers.match(/HTTP\/1\.1 \d+/g), ["HTTP/1.1 401", "HTTP/1.1 200"]);
});

test("who sends a body in small parts while the sender is being looked up is stopped, not kept in memory", async (t) => {
  const asked = Promise.withResolvers<void>();
  const found = Promise.withResolvers<void>();
  await using server = await startTestServer({
    routes: [testRoute({ scope: "admin" })],
    bounds: { closeWaitMs: 10 },
    authenticate: async () => {
      asked.resolve();
      await found.promise;
      return { kind: "key", id: 1, name: "test", scopes: new Set(), sourceId: undefined };
    },
  });
  t.after(() => found.resolve());
  const socket = open(t, server.port);
  socket.write(head("X-Api-Key: k"));
  await asked.promise;
  const mebibyte = chunk("a".repeat(4_000)).repeat(262);
  let stuck = false;
  for (let sent = 0; sent < 64 && !stuck; sent++) {
    socket.write(mebibyte);
    // The server is in this process: what it reads at all, it reads in these turns.
    for (let i = 0; i < 50 && socket.writableLength > 0; i++) await turn();
    stuck = socket.writableLength > 0;
  }
  assert.ok(stuck, "64 MiB were taken");
});

test("one body that is sent ahead in small chunks is not too much, whatever its size", async () => {
  const waiting = waitingRoute("/slow");
  await using server = await startTestServer({ routes: [waiting.route, testRoute()] });
  const answers = sendRaw(
    server.port,
    "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n",
    head("Connection: close") + inParts(49, 4_000),
  );
  await waiting.waitFor(1);
  // What the server reads of it before it is asked to, it reads in these turns.
  for (let i = 0; i < 100; i++) await turn();
  waiting.release();
  assert.deepEqual((await answers).match(/HTTP\/1\.1 \d+/g), ["HTTP/1.1 200", "HTTP/1.1 200"]);
});
