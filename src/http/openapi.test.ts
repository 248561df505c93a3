import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import { errorRules } from "../../protocol/errors.ts";
import type { Route } from "../deps.ts";
import { operationId } from "./openapi.ts";
import { statsRoute } from "./stats.ts";
import { startTestServer, testRoute } from "./test-server.fixture.ts";
import { version } from "./version.ts";

type Operation = {
  operationId?: string;
  security?: unknown;
  parameters?: { name: string; in: string; required: boolean }[];
  requestBody?: { required: boolean };
  responses?: Record<string, Answer>;
};
type Answer = {
  description: string;
  headers?: Record<string, { $ref: string }>;
  content?: Record<string, { schema: { allOf?: unknown[] } }>;
};
type Document = {
  openapi: string;
  info: { version: string };
  components: { securitySchemes: object; schemas: Record<string, unknown> };
  paths: Record<string, Record<string, Operation>>;
};

const item = Type.Object({ id: Type.Integer(), kind: Type.Union([Type.Literal("a"), Type.Null()]) });
const routes: readonly Route[] = [
  testRoute({
    path: "/api/v1/webhook",
    scope: "self",
    body: item,
    responses: { 202: item },
    headers: { "webhook-signature": "the signature" },
    errors: ["signature_invalid", "forbidden", "unknown_source"],
  }),
  testRoute({ path: "/api/v1/things", scope: "admin", body: Type.Object({}), bodyOptional: true }),
  testRoute({
    method: "DELETE",
    path: "/api/v1/things/:id",
    scope: "admin",
    params: Type.Object({ id: Type.Integer() }),
    responses: { 204: Type.Null({ description: "It is gone" }) },
  }),
  testRoute({
    method: "GET",
    path: "/api/v1/things/:id/parts/:part_id",
    scope: "inbox:read",
    params: Type.Object({ id: Type.Integer(), part_id: Type.String({ "x-detail": "a name" }) }),
    query: Type.Object({ limit: Type.Optional(Type.Integer()) }),
    responses: { 200: Type.Array(item), 404: Type.Object({ own: Type.String() }) },
  }),
  testRoute({ method: "GET", path: "/api/v1/me", scope: "person" }),
  testRoute({ method: "GET", path: "/api/v1/users", scope: "person", programScope: "users:manage" }),
  statsRoute(async () => ({})),
];

async function readDocument(url: string): Promise<Document> {
  const response = await fetch(`${url}/openapi.json`);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "application/json; charset=utf-8");
  return (await response.json()) as Document;
}

/** The codes that an answer names for machines, which must be those that its description names for people. */
function codesOf(answer: Answer | undefined): readonly string[] {
  const [problem, these] = answer?.content?.["application/problem+json"]?.schema.allOf ?? [];
  assert.deepEqual(problem, { $ref: "#/components/schemas/Problem" });
  const codes = (these as { properties: { code: { enum: string[] } } }).properties.code.enum;
  const told = [...(answer?.description ?? "").matchAll(/`(\w+)`: /g)].map(([, code]) => code);
  assert.deepEqual(told, codes);
  return codes;
}

/** Every object in the document, with the way to it. */
function* walk(value: unknown, path = "#"): Generator<[string, Record<string, unknown>]> {
  if (typeof value !== "object" || value === null) return;
  yield [path, value as Record<string, unknown>];
  for (const [key, child] of Object.entries(value)) yield* walk(child, `${path}/${key}`);
}

test("the document is OpenAPI 3.1 with every reference leading somewhere", async () => {
  await using server = await startTestServer({ routes });
  const document = await readDocument(server.url);
  assert.match(document.openapi, /^3\.1\.\d+$/);
  assert.equal(document.info.version, version);
  const places = new Set([...walk(document)].map(([path]) => path));
  for (const [path, node] of walk(document)) {
    if (typeof node["$ref"] === "string") assert.ok(places.has(node["$ref"]), `${path}: ${node["$ref"]}`);
    for (const key of Object.keys(node)) assert.doesNotMatch(key, /^~|^\[|[Kk]ind\]/, `${path}/${key}`);
    assert.equal("nullable" in node, false, path);
  }
});

test("every operation has a unique id, its security, its answers and its path parameters", async () => {
  await using server = await startTestServer({ routes });
  const document = await readDocument(server.url);
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const ids = operations.map(({ operation }) => operation.operationId);
  assert.equal(new Set(ids).size, ids.length);
  assert.equal(
    operations.length,
    routes.length + 3,
    "the routes and health; not the pages of the documentation",
  );
  for (const { path, method, operation } of operations) {
    assert.match(operation.operationId ?? "", /^[a-z][A-Za-z0-9]+$/);
    assert.ok(Array.isArray(operation.security), path);
    assert.ok(Object.keys(operation.responses ?? {}).length > 0, path);
    assert.equal(method === "get" && "requestBody" in operation, false);
    for (const response of Object.values(operation.responses ?? {})) assert.ok(response.description !== "");
    const named = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? "");
    const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === "path");
    assert.deepEqual(declared.map(({ name }) => name).toSorted(), named.toSorted());
    assert.ok(declared.every(({ required }) => required));
  }
});

test("security follows the scope", async () => {
  await using server = await startTestServer({ routes });
  const { paths, components } = await readDocument(server.url);
  assert.deepEqual(Object.keys(components.securitySchemes), ["bearer", "apiKey"]);
  assert.deepEqual(paths["/health"]?.["get"]?.security, []);
  assert.deepEqual(paths["/stats"]?.["get"]?.security, [
    { bearer: ["stats:read"] },
    { apiKey: ["stats:read"] },
  ]);
  assert.deepEqual(paths["/api/v1/me"]?.["get"]?.security, [{ bearer: [] }]);
  assert.deepEqual(paths["/api/v1/users"]?.["get"]?.security, [{ bearer: [] }, { apiKey: ["users:manage"] }]);
  assert.deepEqual(paths["/api/v1/webhook"]?.["post"]?.security, [{}, { bearer: [] }, { apiKey: [] }]);
});

test("errors are documented as problems with their codes, and a route's own answers win", async () => {
  await using server = await startTestServer({ routes });
  const { paths, components } = await readDocument(server.url);
  const webhook = paths["/api/v1/webhook"]?.["post"]?.responses ?? {};
  const statuses = ["202", "400", "401", "403", "404", "408", "413", "415", "429", "431", "500", "503"];
  assert.deepEqual(Object.keys(webhook).toSorted(), statuses);
  assert.deepEqual(codesOf(webhook["400"]), [
    "invalid_json",
    "invalid_encoding",
    "invalid_body",
    "invalid_query",
    "invalid_header",
  ]);
  assert.deepEqual(codesOf(webhook["401"]), ["unauthorized", "signature_invalid"]);
  assert.deepEqual(codesOf(webhook["403"]), ["forbidden"]);
  assert.deepEqual(codesOf(webhook["404"]), ["unknown_source"]);
  assert.match(webhook["404"]?.description ?? "", /`unknown_source`: No such source/);
  const read = paths["/api/v1/things/{id}/parts/{part_id}"]?.["get"]?.responses ?? {};
  assert.deepEqual(codesOf(read["403"]), ["forbidden"]);
  assert.deepEqual(codesOf(read["400"]), ["invalid_query", "invalid_path", "invalid_header"]);
  assert.ok(read["404"]?.content?.["application/json"] !== undefined);
  const problem = components.schemas["Problem"] as { properties: { code: { enum: string[] } } };
  assert.deepEqual(problem.properties.code.enum, Object.keys(errorRules));
});

test("an answer without a body is described, and one whose schema has no words has those of its status", async () => {
  await using server = await startTestServer({ routes });
  const { paths } = await readDocument(server.url);
  const removal = paths["/api/v1/things/{id}"]?.["delete"]?.responses ?? {};
  assert.deepEqual([removal["204"]?.description, removal["204"]?.content], ["It is gone", undefined]);
  assert.deepEqual(codesOf(removal["400"]), [
    "invalid_body",
    "invalid_query",
    "invalid_path",
    "invalid_header",
  ]);
  assert.equal(paths["/api/v1/webhook"]?.["post"]?.responses?.["202"]?.description, "Accepted");
  for (const methods of Object.values(paths)) {
    for (const { responses = {} } of Object.values(methods)) {
      for (const { description } of Object.values(responses))
        assert.notEqual(description, "Default Response");
    }
  }
});

test("headers are described: those that a route reads, and those of its answers", async () => {
  await using server = await startTestServer({ routes });
  const { paths } = await readDocument(server.url);
  const webhook = paths["/api/v1/webhook"]?.["post"];
  const read = (webhook?.parameters ?? []).filter((parameter) => parameter.in === "header");
  assert.deepEqual(
    read.map(({ name, required }) => [name, required]),
    [["webhook-signature", false]],
  );
  const namesOf = (status: string) => Object.keys(webhook?.responses?.[status]?.headers ?? {}).toSorted();
  const everywhere = ["RateLimit", "RateLimit-Policy", "X-Request-Id"];
  assert.deepEqual(namesOf("202"), everywhere);
  assert.deepEqual(namesOf("401"), [...everywhere, "WWW-Authenticate"].toSorted());
  for (const status of ["429", "503"])
    assert.deepEqual(namesOf(status), [...everywhere, "Retry-After"].toSorted());
  const health = paths["/health"]?.["get"]?.responses?.["200"]?.headers ?? {};
  assert.deepEqual(Object.keys(health), ["X-Request-Id"]);
});

test("a body that may be left out is described as such", async () => {
  await using server = await startTestServer({ routes });
  const { paths } = await readDocument(server.url);
  assert.deepEqual(
    [paths["/api/v1/webhook"], paths["/api/v1/things"]].map((path) => path?.["post"]?.requestBody?.required),
    [true, false],
  );
});

test("operation ids follow from method and path", () => {
  assert.equal(operationId({ method: "GET", path: "/api/v1/dead-letters/:id" }), "getApiV1DeadLettersById");
  assert.equal(operationId({ method: "POST", path: "/api/v1/webhook" }), "postApiV1Webhook");
});

test("the page to try it runs from this server alone, under a strict policy", async () => {
  await using server = await startTestServer({ routes });
  const page = await fetch(`${server.url}/docs`);
  assert.equal(page.status, 200);
  assert.match(page.headers.get("content-type") ?? "", /^text\/html/);
  const policy = page.headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /script-src 'self';/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.equal(page.headers.get("x-content-type-options"), "nosniff");
  const html = await page.text();
  const links = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? "");
  assert.ok(links.length >= 5);
  for (const link of links) {
    assert.match(link, /^\/docs\//);
    const file = await fetch(server.url + link);
    assert.equal(file.status, 200, link);
    assert.equal(file.headers.get("content-security-policy"), policy);
    await file.arrayBuffer();
  }
  assert.doesNotMatch(
    html,
    /<script(?![^>]*src=)|<style|\son\w+=/,
    "nothing inline that the policy would block",
  );
  const missing = await fetch(`${server.url}/docs/static/nothing.js`);
  assert.equal(missing.status, 404);
  assert.match(missing.headers.get("content-type") ?? "", /problem\+json/);
});

test("the page shows the same document", async () => {
  await using server = await startTestServer({ routes });
  const shown = (await (await fetch(`${server.url}/docs/json`)).json()) as Document;
  assert.deepEqual(shown, await readDocument(server.url));
});
