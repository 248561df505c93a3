import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import { AppError } from "../lib/errors.ts";
import { type TestOptions, parseRaw, sendRaw, startTestServer, testRoute } from "./test-server.fixture.ts";

const app = "https://app.example.org";
const routes = [
  testRoute({ body: Type.Object({ name: Type.String() }) }),
  testRoute({ path: "/scoped", scope: "stats:read" }),
  testRoute({
    path: "/stream",
    handler: async () => ({ status: 200, stream: (response) => response.end("data") }),
  }),
  testRoute({
    path: "/failing",
    handler: () => Promise.reject(new AppError("unavailable", { retryAfterS: 3 })),
  }),
];

function start(corsOrigins: readonly string[], more: TestOptions = {}) {
  return startTestServer({ routes, ...more, config: { corsOrigins, ...more.config } });
}

/** What a browser looks at. */
function corsOf({ headers }: Response): object {
  return Object.fromEntries(
    [...headers].filter(([name]) => name === "vary" || name.startsWith("access-control")),
  );
}

function call(
  url: string,
  path: string,
  origin: string | undefined,
  init: RequestInit = {},
): Promise<Response> {
  return fetch(url + path, {
    method: "POST",
    ...init,
    headers: {
      "content-type": "application/json",
      ...(origin === undefined ? {} : { origin }),
      ...(init.headers as Record<string, string> | undefined),
    },
    ...(init.method === undefined ? { body: init.body ?? '{"name":"a"}' } : {}),
  });
}

function preflight(url: string, path: string, origin: string, method = "POST"): Promise<Response> {
  return call(url, path, origin, {
    method: "OPTIONS",
    headers: { "access-control-request-method": method, "access-control-request-headers": "authorization" },
  });
}

test("unless the option is set no page of another origin is told anything", async () => {
  await using server = await start([]);
  assert.deepEqual(corsOf(await call(server.url, "/thing", app)), {});
  const asked = await preflight(server.url, "/thing", app);
  assert.deepEqual([asked.status, corsOf(asked)], [204, {}]);
  assert.equal(asked.headers.get("allow"), "POST, OPTIONS");
});

test("a page of a listed origin may read answers and what its client needs of their headers, others may not", async () => {
  await using server = await start(["http://localhost:5173", app]);
  const answer = await call(server.url, "/thing", app);
  assert.equal(answer.status, 200);
  assert.deepEqual(corsOf(answer), {
    vary: "Origin",
    "access-control-allow-origin": app,
    "access-control-expose-headers":
      "Retry-After, RateLimit, RateLimit-Policy, Idempotent-Replayed, X-Request-Id, Allow, WWW-Authenticate",
  });
  for (const origin of [
    "https://evil.example.org",
    "https://app.example.org.evil.example",
    "null",
    undefined,
  ]) {
    assert.deepEqual(corsOf(await call(server.url, "/thing", origin)), { vary: "Origin" }, origin);
  }
});

test("an answer that is written bit by bit may be read like any other", async () => {
  await using server = await start([app]);
  const answer = await call(server.url, "/stream", app);
  assert.equal(await answer.text(), "data");
  assert.deepEqual(corsOf(answer), corsOf(await call(server.url, "/thing", app)));
});

test("refusals can be read as well, whoever makes them", async () => {
  await using server = await start([app], { config: { rateIp: { perSecond: 0.01, burst: 6 } } });
  const answers = [
    await call(server.url, "/thing", app, { body: "{}" }),
    await call(server.url, "/thing", app, { body: "{broken" }),
    await call(server.url, "/scoped", app),
    await call(server.url, "/scoped", app, { headers: { "x-api-key": "scopes:inbox:read" } }),
    await call(server.url, "/nowhere", app),
    await call(server.url, "/failing", app),
    await call(server.url, "/thing", app),
  ];
  assert.deepEqual(
    answers.map(({ status }) => status),
    [400, 400, 401, 403, 404, 503, 429],
  );
  for (const answer of answers) {
    assert.equal(answer.headers.get("access-control-allow-origin"), app, String(answer.status));
    assert.match(answer.headers.get("access-control-expose-headers") ?? "", /Retry-After/);
    assert.equal(answer.headers.get("vary"), "Origin");
  }
});

test("what a browser asks before a call is answered for every path, and remembered for a while", async () => {
  await using server = await start([app]);
  for (const path of ["/thing", "/scoped", "/nowhere"]) {
    const asked = await preflight(server.url, path, app, "DELETE");
    assert.equal(asked.status, 204, path);
    assert.equal(asked.headers.get("access-control-allow-origin"), app);
    assert.match(asked.headers.get("access-control-allow-methods") ?? "", /\bDELETE\b.*/);
    assert.match(asked.headers.get("access-control-allow-headers") ?? "", /^Authorization, Content-Type\b/);
    assert.equal(asked.headers.get("access-control-max-age"), "7200");
    assert.equal(asked.headers.get("access-control-allow-credentials"), null);
  }
  const stranger = await preflight(server.url, "/thing", "https://evil.example.org");
  assert.equal(stranger.headers.get("access-control-allow-methods"), null);
  // No question of a browser: as ever.
  const plain = await call(server.url, "/thing", app, { method: "OPTIONS" });
  assert.deepEqual([plain.status, plain.headers.get("allow")], [204, "POST, OPTIONS"]);
});

test("every page may where the option says so, and never with what its browser adds by itself", async () => {
  await using server = await start(["*"]);
  for (const answer of [
    await call(server.url, "/thing", "https://any.example"),
    await preflight(server.url, "/thing", "null"),
  ]) {
    assert.equal(answer.headers.get("access-control-allow-origin"), "*");
    assert.equal(answer.headers.get("access-control-allow-credentials"), null);
    assert.equal(answer.headers.get("vary"), null);
  }
});

test("a WebSocket is opened for listed pages, the server's own, and what is no page; for others it is 403", async () => {
  const taken: (string | undefined)[] = [];
  const onUpgrade: TestOptions["onUpgrade"] = ({ request, socket }) => {
    taken.push(request.headers.origin);
    socket.end("HTTP/1.1 101 Switching Protocols\r\n\r\n{}");
  };
  const upgrade = async (port: number, origin: string | undefined) => {
    const head = `GET /ws HTTP/1.1\r\nHost: Chat.example.org:5000\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`;
    const key = `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n`;
    const from = origin === undefined ? "" : `Origin: ${origin}\r\n`;
    return parseRaw(await sendRaw(port, `${head}${key}${from}\r\n`));
  };
  await using listed = await start([app], { onUpgrade });
  for (const origin of [app, "https://chat.example.org:5000", undefined]) {
    assert.equal((await upgrade(listed.port, origin)).status, 101, origin);
  }
  for (const origin of ["https://evil.example.org", "https://chat.example.org", "null", ""]) {
    const { status, body } = await upgrade(listed.port, origin);
    assert.deepEqual([status, body.code], [403, "forbidden"], origin);
  }
  assert.equal(taken.length, 3);
  for (const corsOrigins of [[], ["*"]]) {
    await using server = await start(corsOrigins, { onUpgrade });
    assert.equal((await upgrade(server.port, "https://evil.example.org")).status, 101);
  }
});
