import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import type { RouteRequest } from "../deps.ts";
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
