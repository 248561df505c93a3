import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRaw, sendRaw, startTestServer, testRoute } from "./test-server.fixture.ts";

test("a coding of the body that nobody reads is refused, chunked in any case is not", async () => {
  await using server = await startTestServer({ routes: [testRoute()] });
  const send = async (coding: string) =>
    parseRaw(
      await sendRaw(
        server.port,
        `POST /thing HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: ${coding}\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
      ),
    );
  const { status, body } = await send("gzip, chunked");
  assert.deepEqual([status, body.code], [400, "invalid_header"]);
  assert.equal((await send("Chunked")).status, 200);
});

test("a URL that cannot be read is limited like any other", async () => {
  await using server = await startTestServer({
    routes: [testRoute()],
    config: { rateIp: { perSecond: 0.01, burst: 1 } },
  });
  const bad = await fetch(`${server.url}/%zz`);
  assert.deepEqual([bad.status, bad.headers.get("ratelimit")], [400, '"ip";r=0;t=100']);
  assert.equal((await fetch(`${server.url}/%zz`)).status, 429);
});

test("OPTIONS of nothing in particular names all methods, and CONNECT is told that this is no proxy", async () => {
  await using server = await startTestServer({ routes: [testRoute({ method: "GET" })] });
  const options = await sendRaw(server.port, "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  assert.match(options, /^HTTP\/1\.1 204 [^]*allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n/);
  const answers = await sendRaw(
    server.port,
    "GET /thing HTTP/1.1\r\nHost: a\r\n\r\nCONNECT b:80 HTTP/1.1\r\nHost: b:80\r\n\r\n",
  );
  const [first = "", second = ""] = answers.split(/(?=HTTP\/1\.1 405)/);
  assert.match(first, /^HTTP\/1\.1 200 /);
  const { status, head, body } = parseRaw(second);
  assert.deepEqual([status, body.code], [405, "method_not_allowed"]);
  assert.match(head, /allow: get, head, /);
});
