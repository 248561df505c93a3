import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { Agent, request as httpRequest } from "node:http";
import { problemOf, startTestServer, testRoute, waitingRoute } from "./test-server.fixture.ts";

test("while draining, requests are served and their connections closed, and readiness says so", async () => {
  await using server = await startTestServer({ routes: [testRoute({ method: "GET" })] });
  const before = await fetch(`${server.url}/thing`);
  assert.notEqual(before.headers.get("connection"), "close");
  assert.equal((await fetch(`${server.url}/health/ready`)).status, 200);
  server.http.stopAccepting();
  const after = await fetch(`${server.url}/thing`);
  assert.equal(after.status, 200);
  assert.equal(after.headers.get("connection"), "close");
  const ready = await fetch(`${server.url}/health/ready`);
  assert.equal(ready.status, 503);
  assert.deepEqual(await ready.json(), { status: "draining", checks: {} });
  assert.equal((await fetch(`${server.url}/health/live`)).status, 200);
  const missing = await fetch(`${server.url}/nothing`);
  assert.equal(missing.headers.get("connection"), "close");
});

test("closing waits for the requests in flight and takes no new ones", async () => {
  const waiting = waitingRoute("/slow");
  const server = await startTestServer({ routes: [waiting.route] });
  const answer = fetch(`${server.url}/slow`);
  await waiting.waitFor(1);
  const closed = server.http.close();
  await assert.rejects(fetch(`${server.url}/slow`));
  waiting.release();
  assert.equal((await answer).status, 200);
  assert.equal((await answer).headers.get("connection"), "close", "the answer to a request from before too");
  await closed;
});

test("closing cuts off what takes longer than the bound", async () => {
  const waiting = waitingRoute("/slow");
  const server = await startTestServer({ routes: [waiting.route], bounds: { closeWaitMs: 50 } });
  const answer = assert.rejects(fetch(`${server.url}/slow`));
  await waiting.waitFor(1);
  await server.http.close();
  await answer;
  waiting.release();
});

test("closing does not wait for connections that never sent a request", async () => {
  const server = await startTestServer({ bounds: { closeWaitMs: 60_000 } });
  const silent = connect(server.port, "127.0.0.1");
  silent.on("error", () => undefined);
  const gone = new Promise((resolve) => silent.once("close", resolve));
  await new Promise((resolve) => silent.once("ready", resolve));
  await fetch(`${server.url}/health/live`);
  await server.http.close();
  await gone;
});

test("closing twice is closing once", async () => {
  const server = await startTestServer();
  await Promise.all([server.http.close(), server.http.close()]);
  await server.http.close();
});

test("one request more in flight than the bound is 503 before its body is read, and health still answers", async () => {
  const waiting = waitingRoute("/slow");
  await using server = await startTestServer({
    routes: [waiting.route, testRoute()],
    bounds: { inFlightMax: 2 },
  });
  const slow = [fetch(`${server.url}/slow`), fetch(`${server.url}/slow`)];
  await waiting.waitFor(2);
  const refused = await fetch(`${server.url}/thing`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{broken",
  });
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get("retry-after"), "1");
  assert.equal((await problemOf(refused)).code, "overloaded");
  assert.equal((await fetch(`${server.url}/health/live`)).status, 200);
  waiting.release();
  for (const response of await Promise.all(slow)) assert.equal(response.status, 200);
  assert.equal((await fetch(`${server.url}/thing`, { method: "POST" })).status, 200);
});

test("one connection more than the bound is refused", async () => {
  await using server = await startTestServer({ routes: [testRoute()], config: { maxConnections: 2 } });
  const agent = new Agent({ keepAlive: true });
  const statusOf = (): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      httpRequest(`${server.url}/health/live`, { agent }, (response) => {
        response.on("end", () => resolve(response.statusCode)).resume();
      })
        .on("error", reject)
        .end();
    });
  const [first, second, third] = await Promise.allSettled([statusOf(), statusOf(), statusOf()]);
  agent.destroy();
  assert.deepEqual([first, second, third].map((result) => result.status).toSorted(), [
    "fulfilled",
    "fulfilled",
    "rejected",
  ]);
});

test("closing does not wait for those who ask for CONNECT, also behind an answer that they do not read", async (t) => {
  const large = JSON.stringify("a".repeat(32 * 1_048_576));
  const route = testRoute({ method: "GET", handler: async () => ({ status: 200, json: large }) });
  const server = await startTestServer({ routes: [route], bounds: { closeWaitMs: 10 } });
  const tunnel = "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n";
  for (const text of [tunnel, `GET /thing HTTP/1.1\r\nHost: a\r\n\r\n${tunnel}`]) {
    const socket = connect(server.port, "127.0.0.1", () => socket.write(text));
    socket.on("error", () => undefined);
    t.after(() => socket.destroy());
    await new Promise((resolve) => socket.once("readable", resolve));
  }
  const late = new Promise((resolve) => setTimeout(resolve, 4_000, "late").unref());
  assert.notEqual(await Promise.race([server.http.close(), late]), "late");
});
