import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import { isUuid } from "../../protocol/ids.ts";
import { AppError } from "../lib/errors.ts";
import { parseRaw, postJson, problemOf, sendRaw, startTestServer, testRoute } from "./test-server.fixture.ts";

test("a route's JSON text is sent as it is, with the standard headers", async () => {
  const handler = async () => ({ status: 202, json: '{"a" : 1}', headers: { "X-Extra": "yes" } });
  await using server = await startTestServer({ routes: [testRoute({ handler })] });
  const response = await postJson(`${server.url}/thing`, {});
  assert.equal(response.status, 202);
  assert.equal(await response.text(), '{"a" : 1}');
  assert.equal(response.headers.get("content-type"), "application/json; charset=utf-8");
  assert.equal(response.headers.get("x-content-type-options"), "nosniff");
  assert.equal(response.headers.get("x-extra"), "yes");
  assert.equal(response.headers.get("server"), null);
  assert.equal(response.headers.get("x-powered-by"), null);
});

test("a route's body is serialised by its response schema, which drops what it does not name", async () => {
  const responses = { 200: Type.Object({ id: Type.String() }) };
  const handler = async () => ({ status: 200, body: { id: "a", secret: "b" } });
  await using server = await startTestServer({ routes: [testRoute({ responses, handler })] });
  assert.equal(await (await postJson(`${server.url}/thing`, {})).text(), '{"id":"a"}');
});

test("an answer without a body is empty", async () => {
  const route = testRoute({
    method: "DELETE",
    responses: { 204: Type.Null() },
    handler: async () => ({ status: 204 }),
  });
  await using server = await startTestServer({ routes: [route] });
  const response = await fetch(`${server.url}/thing`, { method: "DELETE" });
  assert.equal(response.status, 204);
  assert.equal(await response.text(), "");
});

test("a handler sees the request's parts, its id and the client's address", async () => {
  let seen: unknown;
  const route = testRoute({
    method: "GET",
    path: "/thing/:id",
    params: Type.Object({ id: Type.Integer() }),
    handler: async (request) => {
      seen = {
        ...request,
        headers: request.headers["x-mine"],
        query: { ...(request.query as object) },
        params: { ...(request.params as object) },
      };
      return { status: 200, json: "{}" };
    },
  });
  await using server = await startTestServer({ routes: [route] });
  const response = await fetch(`${server.url}/thing/5?a=b`, {
    headers: { "x-mine": "1", "x-request-id": "r-1" },
  });
  assert.equal(response.status, 200);
  assert.deepEqual(seen, {
    actor: undefined,
    body: undefined,
    query: { a: "b" },
    params: { id: 5 },
    sender: undefined,
    rawText: undefined,
    headers: "1",
    httpVersion: "1.1",
    target: "/thing/5?a=b",
    ip: "127.0.0.1",
    requestId: "r-1",
  });
});

test("a harmless request id is kept, anything else is replaced by a UUID", async () => {
  await using server = await startTestServer({ routes: [testRoute()] });
  const idFor = async (given: string | undefined): Promise<string> => {
    const response = await postJson(
      `${server.url}/thing`,
      {},
      given === undefined ? {} : { "x-request-id": given },
    );
    return response.headers.get("x-request-id") ?? "";
  };
  assert.equal(await idFor("Abc-1_2.3"), "Abc-1_2.3");
  assert.equal(await idFor("a".repeat(64)), "a".repeat(64));
  for (const bad of [undefined, "a".repeat(65), "a b", "<script>"]) assert.ok(isUuid(await idFor(bad)));
});

test("an unknown path is 404, under any method, without its body being looked at", async () => {
  await using server = await startTestServer({ routes: [testRoute()] });
  const response = await fetch(`${server.url}/nothing?token=secret`);
  assert.equal(response.status, 404);
  assert.equal(response.headers.get("content-type"), "application/problem+json; charset=utf-8");
  const problem = await problemOf(response);
  assert.equal(problem.type, "urn:tidings:error:not_found");
  assert.equal(problem.request_id, response.headers.get("x-request-id"));
  assert.equal((await postJson(`${server.url}/nothing`, "{broken")).status, 404);
  assert.equal((await fetch(`${server.url}/nothing`, { method: "OPTIONS" })).status, 404);
});

test("a known path under another method is 405 and names the methods it has", async () => {
  const routes = [
    testRoute(),
    testRoute({ method: "GET" }),
    testRoute({ method: "GET", path: "/thing/:id" }),
  ];
  await using server = await startTestServer({ routes });
  const response = await fetch(`${server.url}/thing`, { method: "DELETE" });
  assert.equal(response.status, 405);
  assert.equal(response.headers.get("allow"), "GET, HEAD, POST, OPTIONS");
  assert.equal((await problemOf(response)).code, "method_not_allowed");
  const item = await fetch(`${server.url}/thing/5?x=1`, { method: "PUT" });
  assert.equal(item.headers.get("allow"), "GET, HEAD, OPTIONS");
});

test("OPTIONS names the methods, HEAD answers like GET without a body", async () => {
  await using server = await startTestServer({ routes: [testRoute({ method: "GET" })] });
  const options = await fetch(`${server.url}/thing`, { method: "OPTIONS" });
  assert.equal(options.status, 204);
  assert.equal(options.headers.get("allow"), "GET, HEAD, OPTIONS");
  const head = await fetch(`${server.url}/thing`, { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.equal(head.headers.get("content-length"), String('{"ok":true}'.length));
  assert.equal(await head.text(), "");
});

test("a refusal is answered with its code, fields, headers and pause", async () => {
  const handler = async (): Promise<never> => {
    throw new AppError("conflict", {
      detail: "already there",
      fields: [{ pointer: "/id", code: "taken", detail: "is taken" }],
      headers: { "X-Why": "because" },
      retryAfterS: 2.5,
    });
  };
  await using server = await startTestServer({ routes: [testRoute({ handler })] });
  const response = await postJson(`${server.url}/thing`, {});
  assert.equal(response.status, 409);
  assert.equal(response.headers.get("retry-after"), "3");
  assert.equal(response.headers.get("x-why"), "because");
  const { type, code, detail, errors } = await problemOf(response);
  assert.deepEqual(
    { type, code, detail, errors },
    {
      type: "urn:tidings:error:conflict",
      code: "conflict",
      detail: "already there",
      errors: [{ pointer: "/id", code: "taken", detail: "is taken" }],
    },
  );
});

test("every 401 says how to authenticate and every 503 when to come back", async () => {
  const codes = { "/a": "unauthorized", "/b": "unavailable", "/c": "signature_invalid" } as const;
  const routes = Object.entries(codes).map(([path, code]) =>
    testRoute({ path, handler: () => Promise.reject(new AppError(code)) }),
  );
  await using server = await startTestServer({ routes });
  assert.equal((await postJson(`${server.url}/a`, {})).headers.get("www-authenticate"), "Bearer");
  assert.equal((await postJson(`${server.url}/b`, {})).headers.get("retry-after"), "1");
  const unsigned = await postJson(`${server.url}/c`, {});
  assert.equal(unsigned.headers.get("www-authenticate"), "Webhook-Signature", "a bearer would not help");
});

test("a mistake of ours is 500, logged with its stack, and nothing of it reaches the client", async () => {
  const thrown: Record<string, unknown> = {
    "/error": new Error("select * from secrets"),
    "/text": "secrets",
    "/nothing": undefined,
    "/null": null,
  };
  const routes = Object.entries(thrown).map(([path, error]) =>
    testRoute({ path, handler: () => Promise.reject(error) }),
  );
  await using server = await startTestServer({ routes });
  for (const path of Object.keys(thrown)) {
    const response = await postJson(`${server.url}${path}`, {});
    assert.equal(response.status, 500, path);
    const text = await response.text();
    assert.doesNotMatch(text, /secrets|at /);
    assert.equal((JSON.parse(text) as { code: string }).code, "internal");
  }
  const line = server.logged.find(({ route }) => route === "/error");
  assert.equal(line?.["level"], "error");
  assert.match(
    (line?.["err"] as { stack: string } | undefined)?.stack ?? "",
    /select \* from secrets[^]*server\.test\.ts/,
  );
});

test("an answer that does not fit its schema or cannot be sent is a clean 500", async () => {
  const responses = { 200: Type.Object({ id: Type.String() }) };
  const routes = [
    testRoute({ path: "/body", responses, handler: async () => ({ status: 200, body: {} }) }),
    testRoute({
      path: "/header",
      handler: async () => ({ status: 200, json: "{}", headers: { "X-A": "a\nb" } }),
    }),
    testRoute({ path: "/status", handler: async () => ({ status: 99, json: "{}" }) }),
  ];
  await using server = await startTestServer({ routes });
  for (const { path } of routes) {
    const response = await postJson(`${server.url}${path}`, {});
    assert.equal(response.status, 500, path);
    assert.ok(isUuid(response.headers.get("x-request-id") ?? ""));
    assert.equal((await problemOf(response)).code, "internal");
  }
});

test("a database that cannot be reached is 503 with a pause, warned about once and not per request", async () => {
  const failing = Object.assign(new Error("connect ECONNREFUSED 10.0.0.5:5432"), { code: "ECONNREFUSED" });
  await using server = await startTestServer({
    routes: [testRoute({ handler: () => Promise.reject(failing) })],
  });
  for (let i = 0; i < 5; i++) {
    const response = await postJson(`${server.url}/thing`, {});
    assert.equal(response.status, 503);
    assert.equal(response.headers.get("retry-after"), "1");
    const text = await response.text();
    assert.match(text, /"unavailable"/);
    assert.doesNotMatch(text, /10\.0\.0\.5/);
  }
  assert.equal(server.logged.filter(({ level }) => level === "warn").length, 1);
});

test("a badly encoded path and a NUL in the URL are refused", async () => {
  const route = testRoute({
    method: "GET",
    path: "/thing/:id",
    handler: async () => ({ status: 200, json: "{}" }),
  });
  await using server = await startTestServer({ routes: [route] });
  const codeOf = async (path: string): Promise<string> => {
    const answer = await sendRaw(server.port, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    const { status, body, head } = parseRaw(answer);
    assert.equal(status, 400);
    assert.match(head, /x-request-id: /);
    return body.code;
  };
  assert.equal(await codeOf("/thing/%zz"), "invalid_path");
  assert.equal(await codeOf("/thing/a%00b"), "invalid_path");
  assert.equal(await codeOf(`/thing/${"a".repeat(257)}`), "invalid_path");
  assert.equal(await codeOf("/thing/a?q=%00"), "invalid_query");
  assert.equal(await codeOf("/nothing?q=%00"), "invalid_query");
});

test("the client's address comes from X-Forwarded-For only behind a trusted proxy", async () => {
  const handler = async ({ ip }: { ip: string }) => ({ status: 200, json: JSON.stringify({ ip }) });
  const routes = [testRoute({ handler })];
  await using trusting = await startTestServer({ routes, config: { trustProxy: ["127.0.0.1"] } });
  await using wary = await startTestServer({ routes });
  const headers = { "x-forwarded-for": "10.1.2.3, 203.0.113.9" };
  assert.deepEqual(await (await postJson(`${trusting.url}/thing`, {}, headers)).json(), {
    ip: "203.0.113.9",
  });
  assert.deepEqual(await (await postJson(`${wary.url}/thing`, {}, headers)).json(), { ip: "127.0.0.1" });
});

test("a port that is taken is named, with another to choose", async () => {
  await using server = await startTestServer();
  await assert.rejects(startTestServer({ port: server.port }), {
    name: "StartupError",
    message: `port ${server.port} is already taken by another program; choose another with PORT=${server.port + 1}`,
  });
});
