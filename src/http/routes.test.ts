import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import type { Route, RouteRequest } from "../deps.ts";
import { parseRaw, postJson, problemOf, sendRaw, startTestServer, testRoute } from "./test-server.fixture.ts";

test("a body where none is described is refused before it is read, and an empty one is none", async () => {
  const { body: _, ...route } = testRoute();
  await using server = await startTestServer({ routes: [route] });
  for (const body of ["{}", '{"secret":"mine"}', "{broken"]) {
    const problem = await problemOf(postJson(`${server.url}/thing`, body));
    assert.deepEqual([problem.code, problem.detail], ["invalid_body", "this route takes no body"]);
  }
  const head = "POST /thing HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
  const chunked = await sendRaw(server.port, head, "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
  assert.equal(parseRaw(chunked).body.code, "invalid_body");
  assert.equal((await postJson(`${server.url}/thing`, "")).status, 200);
});

test("an empty body is none, whatever its type", async () => {
  const { body: _, ...bodiless } = testRoute();
  const optional = testRoute({ path: "/optional", body: Type.Object({}), bodyOptional: true });
  await using server = await startTestServer({
    routes: [bodiless, { ...bodiless, method: "DELETE" }, optional],
  });
  for (const [method, path] of [
    ["POST", "/thing"],
    ["DELETE", "/thing"],
    ["POST", "/optional"],
  ] as const) {
    for (const type of ["application/x-www-form-urlencoded", "text/plain", "a type that is none"]) {
      const head = `${method} ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: ${type}\r\n`;
      for (const length of ["Content-Length: 0\r\n", ""]) {
        const answer = await sendRaw(server.port, `${head}${length}\r\n`);
        assert.match(answer, /^HTTP\/1.1 200 /, `${method} ${path} ${type} ${length}`);
      }
    }
  }
});

test("a route that describes no parameters refuses them by name, a page that is open to all does not", async () => {
  const query = Type.Object({ a: Type.Optional(Type.String()) }, { additionalProperties: false });
  const get = (path: string, parts: Partial<Route>) => testRoute({ method: "GET", path, ...parts });
  await using server = await startTestServer({
    routes: [
      get("/none", { scope: "stats:read" }),
      get("/some", { scope: "stats:read", query }),
      get("/open", {}),
    ],
  });
  const ask = (path: string) =>
    fetch(`${server.url}${path}`, { headers: { "x-api-key": "scopes:stats:read" } });
  for (const path of ["/none", "/none?", "/some?a=1", "/open?b=1"]) {
    assert.equal((await ask(path)).status, 200, path);
  }
  for (const path of ["/none?b=1", "/some?a=1&b=1"]) {
    const { code, errors = [] } = await problemOf(ask(path));
    assert.deepEqual([code, ...errors.map(({ pointer }) => pointer)], ["invalid_query", "b"], path);
  }
});

test("a body that may be left out counts as an empty object, and is judged by its schema when it is there", async () => {
  const body = Type.Object({ a: Type.Optional(Type.Integer()) }, { additionalProperties: false });
  const handler = async ({ body }: RouteRequest) => ({ status: 200, json: JSON.stringify(body) });
  await using server = await startTestServer({
    routes: [testRoute({ body, bodyOptional: true, handler })],
  });
  const none = await fetch(`${server.url}/thing`, { method: "POST" });
  assert.deepEqual([none.status, await none.json()], [200, {}]);
  assert.deepEqual(await (await postJson(`${server.url}/thing`, { a: 1 })).json(), { a: 1 });
  for (const wrong of ['{"a":"1"}', '{"b":1}', "null", "[]"]) {
    assert.equal((await problemOf(postJson(`${server.url}/thing`, wrong))).code, "invalid_body", wrong);
  }
});
