import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { parseRaw, requestCounts, sendRaw, startTestServer, testRoute } from "./test-server.fixture.ts";

test("what is not HTTP gets a clean 400 and the connection ends", async () => {
  await using server = await startTestServer({ routes: [testRoute()] });
  for (const text of [
    "nonsense\r\n\r\n",
    "GET /th\0ing HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n",
    "POST /thing HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "POST /thing HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
    "POST /thing HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nnot-hex\r\n",
  ]) {
    const { status, head, body } = parseRaw(await sendRaw(server.port, text));
    assert.equal(status, 400, text);
    assert.match(body.type, /^urn:tidings:error:invalid_/);
    assert.match(head, /content-type: application\/problem\+json/);
    assert.match(head, /connection: close/);
    assert.match(head, /x-content-type-options: nosniff/);
    assert.match(head, new RegExp(`x-request-id: ${body.request_id}`));
  }
});

test("headers that are too large are 431, also while the client is still sending them", async () => {
  await using server = await startTestServer();
  const header = `X-Much: ${"a".repeat(1_000)}\r\n`;
  const small = parseRaw(
    await sendRaw(server.port, "GET / HTTP/1.1\r\nHost: a\r\n", header.repeat(20), "\r\n"),
  );
  assert.equal(small.status, 431);
  assert.equal(small.body.code, "headers_too_large");
  const large = parseRaw(
    await sendRaw(server.port, "GET / HTTP/1.1\r\nHost: a\r\n", header.repeat(2_000), "\r\n"),
  );
  assert.equal(large.status, 431);
});

test("a request without a Host is refused", async () => {
  await using server = await startTestServer({ routes: [testRoute({ method: "GET" })] });
  const answer = parseRaw(await sendRaw(server.port, "GET /thing HTTP/1.1\r\nConnection: close\r\n\r\n"));
  assert.equal(answer.status, 400);
  assert.equal(answer.body.code, "invalid_header");
});

test("a body that never ends and headers that never end are 408", async () => {
  await using server = await startTestServer({ routes: [testRoute()], config: { requestTimeoutMs: 200 } });
  const unfinished = [
    "POST /thing HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    "GET /thing HTTP/1.1\r\nHos",
  ];
  const answers = await Promise.all(unfinished.map((text) => sendRaw(server.port, text)));
  for (const answer of answers) {
    const { status, body } = parseRaw(answer);
    assert.equal(status, 408);
    assert.equal(body.code, "request_timeout");
  }
  const counts = await requestCounts(server, '{method="POST",route="/thing",status="408"} 1');
  assert.deepEqual(counts.toSorted(), [
    '{method="OTHER",route="unmatched",status="408"} 1',
    '{method="POST",route="/thing",status="408"} 1',
  ]);
});

test("a client that cuts the connection in the middle of its body is counted, and is nobody's fault", async () => {
  const arrived = Promise.withResolvers<void>();
  await using server = await startTestServer({
    routes: [testRoute({ scope: "admin" })],
    authenticate: async () => {
      arrived.resolve();
      return { kind: "key", id: 1, name: "test", scopes: new Set(["admin"]), sourceId: undefined };
    },
  });
  const socket = connect(server.port, "127.0.0.1");
  socket.write(
    "POST /thing HTTP/1.1\r\nHost: a\r\nX-Api-Key: k\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
  );
  await arrived.promise;
  socket.resetAndDestroy();
  await requestCounts(server, '{method="POST",route="/thing",status="499"} 1');
  const complaints = server.logged.filter(({ level }) => level === "error" || level === "warn");
  assert.deepEqual(complaints, []);
});
