import assert from "node:assert/strict";
import { lookup } from "node:dns";
import net, { type AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { eventually } from "../../../../test/harness.ts";
import { errorMessage } from "../../../lib/errors.ts";
import { answerBytesMax, createPushCaller, idleMax, interimMax, restMaxMs } from "./call.ts";

const never = new AbortController().signal;
const interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
const created = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";

/** A server that answers each request with this text, and what calls it. */
async function open(t: TestContext, answerTo: (count: number) => string | undefined) {
  const sockets = new Set<net.Socket>();
  let [accepted, asked] = [0, 0];
  const server = net.createServer((socket) => {
    accepted++;
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", () => {
      const text = answerTo(++asked);
      if (text !== undefined) socket.write(text);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const caller = createPushCaller({ lookup, timeoutMs: 3_000 });
  t.after(async () => {
    caller[Symbol.dispose]();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/x`;
  return {
    accepted: () => accepted,
    asked: () => asked,
    open: () => sockets.size,
    send: (text: string) => {
      for (const socket of sockets) socket.write(text);
    },
    /** The status, or what it failed with. */
    call: (signal: AbortSignal = never) =>
      caller
        .call({ endpoint, headers: { "Content-Length": 1 }, body: Buffer.from("x") }, signal)
        .then(({ status }) => status, errorMessage),
  };
}

test("whatever a push service answers, a call comes to an end", async (t) => {
  const answers: readonly (readonly [string, unknown])[] = [
    ["HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", 101],
    ["HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n", 200],
    ["HTTP/1.1 204 No Content\r\n\r\n", 204],
    [interim.repeat(interimMax) + created, 201],
    [interim.repeat(interimMax + 1) + created, "it answers, and does not come to an end"],
    ["hello\r\n\r\n", /Parse Error/],
    [`HTTP/1.1 200 OK\r\nX: ${"a".repeat(200_000)}\r\n\r\n`, /Header overflow/],
  ];
  for (const [text, expected] of answers) {
    const service = await open(t, () => text);
    const answer = await service.call();
    if (expected instanceof RegExp) assert.match(String(answer), expected);
    else assert.equal(answer, expected, text.slice(0, 60));
  }
});

test("who does not answer in time is not waited for, and nobody is once the signal is aborted", async (t) => {
  const silent = await open(t, () => undefined);
  assert.match(String(await silent.call()), /aborted/);
  const ending = new AbortController();
  const call = silent.call(ending.signal);
  await eventually("it was asked", async () => silent.asked() === 2);
  ending.abort();
  assert.match(String(await call), /aborted/);
});

test("a connection is used again after an answer of so many bytes, and closed after one of a byte more", async (t) => {
  const answer = (bytes: number): string =>
    `HTTP/1.1 201 Created\r\nContent-Length: ${bytes}\r\n\r\n${"a".repeat(bytes)}`;
  const brief = await open(t, () => answer(answerBytesMax));
  assert.deepEqual([await brief.call(), await brief.call(), brief.accepted()], [201, 201, 1]);
  const long = await open(t, () => answer(answerBytesMax + 1));
  assert.deepEqual([await long.call(), await long.call(), long.accepted()], [201, 201, 2]);
});

test("an answer that does not end holds its call for a moment, and is an answer all the same", async (t) => {
  const service = await open(t, () => "HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\nx");
  const startMs = performance.now();
  assert.equal(await service.call(), 201);
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs >= restMaxMs - 50 && tookMs < restMaxMs + 1_500, `${tookMs} ms`);
  await eventually("its connection is closed", async () => service.open() === 0);
  const ending = new AbortController();
  const call = service.call(ending.signal);
  await eventually("it was asked", async () => service.asked() === 2);
  setTimeout(() => ending.abort(), 50);
  assert.equal(await call, 201, "what has arrived counts, though the process ends");
});

test("of the connections to a push service so many are kept, and one more is closed", async (t) => {
  for (const [calls, kept] of [
    [idleMax, idleMax],
    [idleMax + 1, idleMax],
  ] as const) {
    const service = await open(t, () => undefined);
    const all = Array.from({ length: calls }, () => service.call());
    await eventually("all are on their way", async () => service.asked() === calls);
    service.send(created);
    assert.deepEqual(new Set(await Promise.all(all)), new Set([201]));
    await eventually("the others are closed", async () => service.open() === kept);
  }
});
