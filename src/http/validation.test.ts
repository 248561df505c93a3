import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import fc from "fast-check";
import type { RouteRequest } from "../deps.ts";
import { createCoercion } from "./coerce.ts";
import { postJson, problemOf, startTestServer, testRoute } from "./test-server.fixture.ts";

const closed = { additionalProperties: false } as const;
const hex = Type.String({ pattern: "^[0-9a-f]{32}$", "x-detail": "32 hexadecimal digits" });
const body = Type.Object(
  {
    id: hex,
    text: Type.String({ minLength: 1, maxLength: 5 }),
    at: Type.Integer({ minimum: 0 }),
    kind: Type.Optional(Type.Union([Type.Literal("a"), Type.Literal("b")])),
    either: Type.Optional(Type.Union([Type.String(), Type.Integer()])),
    list: Type.Optional(Type.Array(Type.Object({ "a/b": Type.Boolean() }, closed), { maxItems: 2 })),
  },
  closed,
);
const good = { id: "0".repeat(32), text: "hi", at: 1 };

test("each bad field has its own entry with a pointer, a code and a sentence", async () => {
  await using server = await startTestServer({ routes: [testRoute({ body })] });
  const response = await postJson(`${server.url}/thing`, {
    id: "XYZ",
    text: "",
    kind: "c",
    either: true,
    list: [{ "a/b": 1 }, { "a/b": true, x: 1 }],
    "un/known~": 1,
  });
  assert.equal(response.status, 400);
  const problem = await problemOf(response);
  assert.equal(problem.code, "invalid_body");
  const byPointer = (a: { pointer: string }, b: { pointer: string }): number =>
    a.pointer < b.pointer ? -1 : 1;
  assert.deepEqual(problem.errors?.toSorted(byPointer), [
    { pointer: "/at", code: "required", detail: "is required" },
    { pointer: "/either", code: "type", detail: "must be of one of the allowed forms" },
    { pointer: "/id", code: "pattern", detail: "must be 32 hexadecimal digits" },
    { pointer: "/kind", code: "enum", detail: "must be one of a, b" },
    { pointer: "/list/0/a~1b", code: "type", detail: "must be true or false" },
    { pointer: "/list/1/x", code: "unknown_field", detail: "is not a known field" },
    { pointer: "/text", code: "min_length", detail: "must be at least 1 character long" },
    { pointer: "/un~1known~0", code: "unknown_field", detail: "is not a known field" },
  ]);
});

test("nothing of a body is coerced, cut or added", async () => {
  let seen: unknown;
  const handler = async ({ body }: RouteRequest) => {
    seen = body;
    return { status: 200, json: "{}" };
  };
  await using server = await startTestServer({ routes: [testRoute({ body, handler })] });
  for (const wrong of [
    { at: "1" },
    { at: null },
    { at: true },
    { text: 5 },
    { at: 1.5 },
    { at: -1 },
    { text: "123456" },
  ]) {
    const response = await postJson(`${server.url}/thing`, { ...good, ...wrong });
    assert.equal(response.status, 400, JSON.stringify(wrong));
  }
  assert.equal((await postJson(`${server.url}/thing`, good)).status, 200);
  assert.deepEqual(seen, good);
});

test("a body that is another kind of JSON altogether is refused as a whole", async () => {
  await using server = await startTestServer({ routes: [testRoute({ body })] });
  for (const text of ["[]", "1", '"a"', "null", "true"]) {
    const problem = await problemOf(postJson(`${server.url}/thing`, text));
    assert.deepEqual(problem.errors, [{ pointer: "", code: "type", detail: "must be an object" }], text);
    assert.equal(problem.detail, "the body must be an object");
  }
});

test("however much is wrong, the answer stays small and repeats no value", async () => {
  await using server = await startTestServer({ routes: [testRoute({ body })] });
  const unknown = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`f${i}`, "secret"]));
  const response = await postJson(`${server.url}/thing`, {
    ...unknown,
    ["k".repeat(5_000)]: 1,
    id: "secret",
  });
  const text = await response.text();
  assert.equal(response.status, 400);
  assert.ok(text.length < 20_000, `${text.length} characters`);
  assert.doesNotMatch(text, /secret/);
  const unions = Type.Object({ list: Type.Array(Type.Union([Type.Literal("a"), Type.Integer()])) });
  await using other = await startTestServer({ routes: [testRoute({ body: unions })] });
  const many = await problemOf(
    postJson(`${other.url}/thing`, { list: Array.from({ length: 100_000 }, () => "b") }),
  );
  assert.equal(many.errors?.length, 50);
});

test("query and path are coerced by their schema, and refused by the parameter's name", async () => {
  let seen: unknown;
  const route = testRoute({
    method: "GET",
    path: "/thing/:id",
    params: Type.Object({ id: Type.Integer({ minimum: 1 }) }, closed),
    query: Type.Object(
      {
        limit: Type.Integer({ default: 50, minimum: 1, maximum: 200 }),
        open: Type.Optional(Type.Boolean()),
        tag: Type.Optional(Type.Array(Type.Integer())),
        name: Type.Optional(Type.String()),
      },
      closed,
    ),
    handler: async ({ query, params }) => {
      seen = { ...(query as object), ...(params as object) };
      return { status: 200, json: "{}" };
    },
  });
  await using server = await startTestServer({ routes: [route] });
  const problemFor = async (path: string) => {
    const { code, errors } = await problemOf(fetch(server.url + path));
    return { code, errors: errors?.map((error) => `${error.pointer} ${error.code}`) };
  };
  assert.equal((await fetch(`${server.url}/thing/5?open=true&tag=1&tag=2&name=7`)).status, 200);
  assert.deepEqual(seen, { id: 5, limit: 50, open: true, tag: [1, 2], name: "7" });
  assert.equal((await fetch(`${server.url}/thing/5?tag=1&limit=200`)).status, 200);
  assert.deepEqual(seen, { id: 5, limit: 200, tag: [1] });
  assert.deepEqual(await problemFor("/thing/x"), { code: "invalid_path", errors: ["id type"] });
  assert.deepEqual(await problemFor("/thing/0"), { code: "invalid_path", errors: ["id range"] });
  assert.deepEqual(await problemFor("/thing/5?limit=201&open=yes&tag=a&more=1"), {
    code: "invalid_query",
    errors: ["more unknown_field", "limit range", "open type", "tag type"],
  });
  assert.deepEqual(await problemFor("/thing/5?limit="), { code: "invalid_query", errors: ["limit type"] });
  assert.deepEqual(await problemFor("/thing/5?limit=1&limit=2"), {
    code: "invalid_query",
    errors: ["limit type"],
  });
});

test("a text is coerced only when it is written the way the number is", () => {
  const coerce = createCoercion(Type.Object({ n: Type.Integer() }));
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.integer().map(String), fc.double().map(String)), (text) => {
      const values: Record<string, unknown> = { n: text };
      coerce?.(values);
      if (typeof values["n"] === "number") assert.equal(values["n"], Number.parseInt(text, 10));
      else assert.equal(values["n"], text);
    }),
  );
});
