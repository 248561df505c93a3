import assert from "node:assert/strict";
import { type Socket, connect } from "node:net";
import { type TestContext, test } from "node:test";
import { eventually } from "../../test/harness.ts";
import { pipelinedBytesMax, pipelinedMax } from "./pipeline.ts";
import {
  type TestServer,
  requestCounts,
  sendRaw,
  startTestServer,
  testRoute,
  waitingRoute,
} from "./test-server.fixture.ts";

const get = (path: string, ...headers: readonly string[]): string =>
  `${[`GET ${path} HTTP/1.1`, "Host: a", ...headers].join("\r\n")}\r\n\r\n`;
const post = (body: string): string =>
  `POST /thing HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

/** Opens a connection that sends this and does not read. */
function sendDeaf(t: TestContext, { port }: TestServer, text: string): Socket {
  const socket = connect(port, "127.0.0.1", () => socket.write(text));
  socket.on("error", () => undefined);
  t.after(() => socket.destroy());
  return socket;
}

const statusesOf = (answers: string): readonly string[] =>
  [...answers.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => status ?? "");

test("requests that are sent ahead wait their turn, and are answered in order", async () => {
  const waiting = waitingRoute("/slow");
  const begun: unknown[] = [];
  const thing = testRoute({
    handler: async ({ body }) => {
      begun.push(body);
      return { status: 200, json: JSON.stringify(body) };
    },
  });
  await using server = await startTestServer({ routes: [waiting.route, thing] });
  const answers = sendRaw(
    server.port,
    get("/slow") + post("1") + post("2"),
    get("/nothing", "Connection: close"),
  );
  await waiting.waitFor(1);
  assert.deepEqual(begun, []);
  waiting.release();
  assert.deepEqual(statusesOf(await answers), ["200", "200", "200", "404"]);
  assert.deepEqual(begun, [1, 2]);
});

test("as many requests as the bound may be sent ahead, and one more ends the connection", async () => {
  const ahead = (count: number): string => get("/thing").repeat(count) + get("/thing", "Connection: close");
  await using server = await startTestServer({ routes: [testRoute({ method: "GET" })] });
  const answers = statusesOf(await sendRaw(server.port, ahead(pipelinedMax)));
  assert.deepEqual(
    answers,
    Array.from({ length: pipelinedMax + 1 }, () => "200"),
  );
  const cut = await sendRaw(server.port, ahead(pipelinedMax + 1)).catch(() => "");
  assert.equal(cut, "");
});

test("bodies that are sent ahead may be as large as the bound together, and a byte more ends the connection", async () => {
  const part = pipelinedBytesMax / 8;
  const text = (length: number): string => `"${"a".repeat(length - 2)}"`;
  const waiting = waitingRoute("/slow");
  await using server = await startTestServer({ routes: [waiting.route, testRoute()] });
  const fitting = sendRaw(
    server.port,
    get("/slow"),
    post(text(part)).repeat(8),
    get("/thing", "Connection: close"),
  );
  await waiting.waitFor(1);
  const cut = await sendRaw(server.port, get("/slow"), post(text(part)).repeat(8), post("1")).catch(() => "");
  assert.equal(cut, "");
  waiting.release();
  assert.equal(statusesOf(await fitting).length, 10);
});

test("a flood of requests whose answers nobody reads is nobody else's trouble, and leaves nothing behind", async (t) => {
  await using server = await startTestServer({
    routes: [testRoute({ method: "GET" })],
    bounds: { inFlightMax: 5 },
  });
  const flood = Array.from({ length: 10 }, () => sendDeaf(t, server, get("/thing").repeat(10_000)));
  const ends = flood.map((socket) => new Promise((resolve) => socket.once("close", resolve)));
  assert.equal((await fetch(`${server.url}/thing`)).status, 200);
  await Promise.all(ends);
  assert.equal((await fetch(`${server.url}/thing`)).status, 200);
  // Closing waits for the answers that are open.
  const late = new Promise((resolve) => setTimeout(resolve, 4_000, "late").unref());
  assert.notEqual(await Promise.race([server.http.close(), late]), "late");
});

test("neither an answer that nobody takes nor a body that does not come is load", async (t) => {
  const large = JSON.stringify("a".repeat(32 * 1_048_576));
  let handled = 0;
  const routes = [
    testRoute({ method: "GET", path: "/thing" }),
    testRoute({ path: "/thing" }),
    testRoute({
      method: "GET",
      path: "/large",
      handler: async () => {
        handled++;
        return { status: 200, json: large };
      },
    }),
  ];
  await using server = await startTestServer({ routes, bounds: { inFlightMax: 2, closeWaitMs: 10 } });
  for (let i = 0; i < 3; i++) {
    sendDeaf(t, server, get("/large"));
    sendDeaf(t, server, post('"abc"').slice(0, -1));
  }
  await eventually("all are answered", () => handled === 3);
  for (let i = 0; i < 3; i++) assert.equal((await fetch(`${server.url}/thing`)).status, 200);
});

test("who sends ahead and is refused for being too much is not read any further", async () => {
  await using server = await startTestServer({
    routes: [testRoute({ method: "GET" })],
    config: { rateIp: { perSecond: 0.001, burst: 1 } },
  });
  const answers = await sendRaw(server.port, get("/thing").repeat(5));
  assert.deepEqual(statusesOf(answers), ["200", "429"]);
  assert.match(answers, /429 [^]*connection: close/);
});

test("who sends ahead and is refused as a person who asks for too much is not read any further", async () => {
  await using server = await startTestServer({
    routes: [testRoute({ method: "GET", scope: "person" })],
    config: { ratePerson: { perSecond: 0.001, burst: 1 } },
  });
  const answers = await sendRaw(server.port, get("/thing", "X-Api-Key: person:7").repeat(5));
  assert.deepEqual(statusesOf(answers), ["200", "429"]);
  assert.match(answers, /429 [^]*connection: close/);
});

test("what is malformed after requests that were accepted is answered after them", async () => {
  const waiting = waitingRoute("/slow");
  await using server = await startTestServer({ routes: [waiting.route, testRoute()] });
  const answers = sendRaw(server.port, get("/slow") + post("1") + "\u0001garbage\r\n\r\n");
  await waiting.waitFor(1);
  waiting.release();
  assert.deepEqual(statusesOf(await answers), ["200", "200", "400"]);
  const counts = await requestCounts(server, '{method="POST",route="/thing",status="200"} 1');
  assert.deepEqual(counts.toSorted(), [
    '{method="GET",route="/slow",status="200"} 1',
    '{method="OTHER",route="unmatched",status="400"} 1',
    '{method="POST",route="/thing",status="200"} 1',
  ]);
});

test("a request that is malformed itself is not begun when its turn comes", async () => {
  const waiting = waitingRoute("/slow");
  let handled = 0;
  const handler = async () => {
    handled++;
    return { status: 200 };
  };
  await using server = await startTestServer({ routes: [waiting.route, testRoute({ handler })] });
  const chunked = post("").replace("Content-Length: 0", "Transfer-Encoding: chunked");
  const answers = sendRaw(server.port, `${get("/slow") + chunked}not-hex\r\n`);
  await waiting.waitFor(1);
  waiting.release();
  assert.deepEqual(statusesOf(await answers), ["200", "400"]);
  assert.equal(handled, 0);
});
