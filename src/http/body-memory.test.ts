import assert from "node:assert/strict";
import { Socket, connect } from "node:net";
import { type TestContext, test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { eventually } from "../../test/harness.ts";
import { InboundRequest, tinyPartBytes } from "./inbound.ts";
import {
  type TestServer,
  parseRaw,
  postJson,
  problemOf,
  sendRaw,
  startTestServer,
  testRoute,
} from "./test-server.fixture.ts";

/** Anybody may send, and whoever has a key has proved something. */
const route = testRoute({ scope: "self" });

function headOf(length: number, ...more: readonly string[]): string {
  const lines = ["POST /thing HTTP/1.1", "Host: a", "Content-Type: application/json"];
  return `${[...lines, `Content-Length: ${length}`, ...more].join("\r\n")}\r\n\r\n`;
}

/** Opens a connection that says this and then nothing, until the test ends. */
function hold(t: TestContext, { port }: TestServer, text: string): Socket {
  const socket = connect(port, "127.0.0.1");
  socket.write(text);
  socket.on("error", () => undefined);
  t.after(() => socket.destroy());
  return socket;
}

const text = (length: number): string => `"${"a".repeat(length - 2)}"`;

test("a body that comes in small parts is joined before it is kept", async () => {
  const request = new InboundRequest(new Socket());
  const sent = Buffer.from(text(128_000));
  for (let at = 0; at < sent.length; at += tinyPartBytes) request.push(sent.subarray(at, at + tinyPartBytes));
  request.push(null);
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  assert.deepEqual(Buffer.concat(parts), sent);
  assert.ok(parts.length <= 128_000 / 4_096 + 3, `${parts.length} parts`);
});

test("joining keeps the order, whatever the sizes", async () => {
  const request = new InboundRequest(new Socket());
  const sizes = [1, 1, 4_095, 1, 4_096, 3, 4_094, 10_000, 2, 2, 5_000, 7];
  const sent = sizes.map((size, index) => Buffer.alloc(size, index));
  for (const part of sent) request.push(part);
  request.push(null);
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  assert.deepEqual(Buffer.concat(parts), Buffer.concat(sent));
});

test("a body in parts has no more memory than it has said it needs, and one byte more than there is refuses it", async (t) => {
  const bytes = 10_000;
  await using server = await startTestServer({ routes: [route], bounds: { addressBodyBytesMax: bytes } });
  for (const [length, status] of [
    [bytes, 200],
    [bytes + 1, 503],
  ] as const) {
    const socket = hold(t, server, headOf(length));
    const answer = new Promise<string>((resolve) =>
      socket.once("data", (data) => resolve(data.toString("utf8"))),
    );
    const whole = text(length);
    for (const part of [whole.slice(0, 1), whole.slice(1, 5_000), whole.slice(5_000)]) {
      socket.write(part);
      // The server is in this process: it reads what was sent before more is sent.
      for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(Number((await answer).split(" ")[1]), status, await answer);
  }
});

test("bodies fill memory up to a bound, beyond which they are refused, and are let go with their requests", async () => {
  const held: (() => void)[] = [];
  let waits = true;
  const slow = testRoute({
    scope: "self",
    handler: async () => {
      if (waits) await new Promise<void>((resolve) => held.push(resolve));
      return { status: 200 };
    },
  });
  await using server = await startTestServer({ routes: [slow], bounds: { bodyBytesMax: 100 } });
  const post = (): Promise<Response> =>
    postJson(`${server.url}/thing`, text(60), { "x-api-key": "scopes:admin" });
  const first = post();
  await eventually("the first is being handled", () => held.length === 1);
  const second = await post();
  assert.equal(second.status, 503);
  assert.equal(second.headers.get("retry-after"), "1");
  assert.equal((await problemOf(second)).code, "overloaded");
  waits = false;
  for (const go of held) go();
  assert.equal((await first).status, 200);
  await eventually("there is room again", async () => (await post()).status === 200);
});

test("a stranger who holds unfinished bodies gets no more of the memory than an address's share", async (t) => {
  await using server = await startTestServer({
    routes: [route],
    config: { trustProxy: ["127.0.0.1"] },
    bounds: { bodyBytesMax: 1_000, unprovedBodyBytesMax: 500, addressBodyBytesMax: 200, closeWaitMs: 100 },
  });
  const from = (address: string): string => `X-Forwarded-For: ${address}`;
  /** What a body that comes in two parts is answered. */
  const statusOf = async (length: number, ...headers: readonly string[]): Promise<number> => {
    const socket = hold(t, server, `${headOf(length, "Connection: close", ...headers)}"`);
    const answer = new Promise<string>((resolve) =>
      socket.once("data", (data) => resolve(data.toString("utf8"))),
    );
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    socket.write(text(length).slice(1));
    return Number((await answer).split(" ")[1]);
  };
  const fill = (address: string): void => {
    hold(t, server, headOf(300, from(address)) + "a".repeat(200));
  };

  fill("203.0.113.1");
  await eventually("the share is full", async () => (await statusOf(50, from("203.0.113.1"))) === 503);
  assert.equal(await statusOf(50, from("203.0.113.2")), 200, "others do not notice");
  assert.equal(
    await statusOf(50, from("203.0.113.1"), "X-Api-Key: scopes:admin"),
    200,
    "nor does a known sender",
  );

  fill("203.0.113.2");
  hold(t, server, headOf(300, from("203.0.113.3")) + "a".repeat(100));
  await eventually("strangers have filled their part", async () => {
    return (await statusOf(50, from("203.0.113.4"))) === 503;
  });
  assert.equal(await statusOf(400, from("203.0.113.4"), "X-Api-Key: scopes:admin"), 200);
});

test("nobody is invited to send a body that will not be read, and everybody else is", async () => {
  const routes = [testRoute({ scope: "webhook:write", bodyBytesMax: 1_000 })];
  await using server = await startTestServer({ routes });
  const expect = "Expect: 100-continue";
  const key = "X-Api-Key: scopes:webhook:write";
  const refused: readonly (readonly [number, string])[] = [
    [401, headOf(10, expect)],
    [413, headOf(1_001, expect, key)],
    [413, headOf(2 * limits.requestBodyBytes, expect, key)],
    [404, headOf(10, expect, key).replace("/thing", "/nothing")],
    [415, headOf(10, expect, key).replace("/json", "/xml")],
  ];
  for (const [status, head] of refused) {
    const answer = parseRaw(await sendRaw(server.port, head));
    assert.equal(answer.status, status);
    assert.match(answer.head, /\nconnection: close/);
  }
  const socket = connect(server.port, "127.0.0.1");
  const answer = await new Promise<string>((resolve, reject) => {
    let all = "";
    socket.on("error", reject);
    socket.on("data", (data) => {
      if (all === "") socket.write("{}");
      all += data.toString("utf8");
      if (all.includes("ok")) resolve(all);
    });
    socket.write(headOf(2, expect, key));
  });
  socket.destroy();
  assert.match(answer, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
  assert.doesNotMatch(answer, /connection: close/i);
});
