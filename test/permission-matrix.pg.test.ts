import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Scope, isScope, scopes } from "../protocol/scopes.ts";
import { createModules } from "../src/modules.ts";
import { startTestApp } from "./app.ts";
import { readDescription } from "./description.ts";
import { signToken, webhook } from "./journeys/inbox.ts";

/** Who may use a route, a request to it that is right in every other way, and what the allowed get for it. */
type Row = {
  readonly scope: Scope | "open" | "self";
  readonly path?: string;
  readonly body?: () => unknown;
  readonly allowed: number;
};

/** Every route of the server: one that is missing here fails the test. */
const matrix: Readonly<Record<string, Row>> = {
  "GET /health": { scope: "open", allowed: 200 },
  "GET /health/live": { scope: "open", allowed: 200 },
  "GET /health/ready": { scope: "open", allowed: 200 },
  "GET /stats": { scope: "stats:read", allowed: 200 },

  "POST /api/v1/webhook": {
    scope: "self",
    path: "/api/v1/webhook?source=matrix",
    body: () => webhook(),
    allowed: 202,
  },
  "GET /api/v1/dialogs": { scope: "inbox:read", allowed: 200 },
  "GET /api/v1/dialogs/:id/messages": { scope: "inbox:read", allowed: 404 },
  "GET /api/v1/contacts/:id": { scope: "inbox:read", allowed: 404 },
  "GET /api/v1/sources": { scope: "sources:manage", allowed: 200 },
  "POST /api/v1/sources": {
    scope: "sources:manage",
    body: () => ({ name: `source-${counter++}`, scheme: "hub" }),
    allowed: 201,
  },
  "POST /api/v1/sources/:name/rotate": { scope: "sources:manage", allowed: 404 },
  "DELETE /api/v1/sources/:name": { scope: "sources:manage", allowed: 404 },

  "GET /api/v1/dead-letters": { scope: "deadletters:manage", allowed: 200 },
  "GET /api/v1/dead-letters/:id": { scope: "deadletters:manage", allowed: 404 },
  "POST /api/v1/dead-letters/:id/retry": { scope: "deadletters:manage", allowed: 404 },
  "POST /api/v1/dead-letters/retry": {
    scope: "deadletters:manage",
    body: () => ({ group: "inbox" }),
    allowed: 202,
  },
  "DELETE /api/v1/dead-letters/:id": { scope: "deadletters:manage", allowed: 404 },
  "GET /api/v1/consumers": { scope: "stats:read", allowed: 200 },
};
let counter = 1;

/** Pages that no module declares. */
const documents = ["/openapi.json", "/docs", "/docs/static/index.html", "/docs/json", "/docs/yaml"];

const jwtSecret = "a secret of the permission matrix, long enough";
const server = await startTestApp({ after }, { JWT_SECRET: jwtSecret });
const { app, key, request } = server;
const allScopes = Object.keys(scopes).filter(isScope);
const admin = await key(["admin"]);
await request("POST", "/api/v1/sources", { key: admin, json: { name: "matrix", scheme: "api_key" } });

/** Every answer that a row got, as method, path, status and, of a problem, its code. */
const answers = new Map<string, readonly [string, string, number, string | undefined]>();

const token = (claims: Readonly<Record<string, unknown>>): string => signToken(jwtSecret, claims);

async function statusOf(route: string, credential: string | undefined, method?: string): Promise<number> {
  const [own = "", pattern = ""] = route.split(" ");
  const row = matrix[route];
  const path = row?.path ?? pattern.replace(":id", "999999").replace(":name", "nobody");
  const json = row?.body?.();
  const answer = await request(method ?? own, path, {
    ...(credential === undefined ? {} : { key: credential }),
    ...(json === undefined ? {} : { json }),
  });
  const { status } = answer;
  if (row !== undefined && row.scope !== "open" && row.scope !== "self") {
    assert.equal(answer.headers.get("cache-control"), "no-store", `${route} ${status}`);
  }
  if (row === undefined || method === "HEAD") return status;
  const code = status >= 400 ? answer.problem().code : undefined;
  answers.set(`${route} ${status} ${code}`, [own, path, status, code]);
  return status;
}

test("every route of the server has a row, and every row a route with that scope", async () => {
  const declared = createModules(app.deps).all.flatMap(({ routes }) => routes);
  const { routes } = await readDescription(request);
  assert.deepEqual(routes.toSorted(), Object.keys(matrix).sort());
  for (const { method, path, scope } of declared) {
    assert.equal(matrix[`${method} ${path}`]?.scope, scope, `${method} ${path}`);
  }
});

for (const [route, { scope, allowed }] of Object.entries(matrix)) {
  if (scope === "open") {
    test(`${route} is open to everyone, whatever credential comes with it`, async () => {
      assert.equal(await statusOf(route, undefined), allowed);
      assert.equal(await statusOf(route, "nonsense"), allowed);
    });
    continue;
  }
  const needed = scope === "self" ? "webhook:write" : scope;
  const others = allScopes.filter((other) => other !== needed && other !== "admin");

  test(`${route} needs ${needed}`, async () => {
    assert.equal(await statusOf(route, undefined), 401, "no credentials");
    assert.equal(await statusOf(route, "nonsense"), 401, "nonsense");
    assert.equal(await statusOf(route, await key(others)), 403, "a key with every other scope");
    assert.equal(await statusOf(route, await key([needed])), allowed, "a key with the scope");
    assert.equal(await statusOf(route, admin), allowed, "an admin's key");

    assert.equal(await statusOf(route, token({ scope: others.join(" ") })), 403, "a token of other scopes");
    assert.equal(await statusOf(route, token({ scope: needed })), allowed, "a token with the scope");
    assert.equal(await statusOf(route, token({ role: "admin" })), allowed, "an admin's token");
    assert.equal(await statusOf(route, token({ role: "admin", exp: 1 })), 401, "an admin's token of old");
    assert.equal(
      await statusOf(route, `${token({ role: "admin" })}x`),
      401,
      "a token with another signature",
    );
  });

  if (route.startsWith("GET ")) {
    test(`${route} under HEAD needs it too`, async () => {
      assert.equal(await statusOf(route, undefined, "HEAD"), 401);
      assert.equal(await statusOf(route, await key(others), "HEAD"), 403);
      assert.equal(await statusOf(route, await key([needed]), "HEAD"), allowed);
    });
  }
}

test("the description and its page are open", async () => {
  for (const path of documents) assert.equal((await request("GET", path)).status, 200, path);
});

test("every answer that a row of the matrix got is in the served description, and so is a success", async () => {
  const description = await readDescription(request);
  assert.ok(answers.size > Object.keys(matrix).length * 2);
  const missing = [...answers.values()].map(([method, path, status, code]) =>
    description.missing(method, path, { status, ...(code === undefined ? {} : { code }) }),
  );
  assert.deepEqual(
    missing.filter((text) => text !== undefined),
    [],
  );
  const { paths } = JSON.parse((await request("GET", "/openapi.json")).text) as {
    paths: Record<string, Record<string, { responses: object }>>;
  };
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { responses }] of Object.entries(methods)) {
      assert.ok(
        Object.keys(responses).some((status) => status.startsWith("2")),
        `${method} ${path}`,
      );
    }
  }
});

test("there is nothing beside the matrix: other paths are 404, other methods 405 or another row's 401", async () => {
  for (const path of ["/api", "/api/v1", "/api/v1/messages", "/api/v1/keys", "/admin", "/metrics", "/.env"]) {
    assert.equal((await request("GET", path, { key: admin })).status, 404, path);
  }
  const paths = new Set(Object.keys(matrix).map((route) => route.split(" ")[1] ?? ""));
  for (const path of paths) {
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
      if (matrix[`${method} ${path}`] !== undefined) continue;
      const status = await statusOf(`${method} ${path}`, undefined);
      assert.ok(status === 405 || status === 401, `${method} ${path}: ${status}`);
    }
  }
});
