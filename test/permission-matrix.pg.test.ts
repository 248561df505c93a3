import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Scope } from "../protocol/scopes.ts";
import { isScope, scopes } from "../protocol/scopes.ts";
import { createModules } from "../src/modules.ts";
import { readDescription } from "./description.ts";
import { listen } from "./events.ts";
import { jwtSecret } from "./journeys/accounts.ts";
import { signToken } from "./journeys/inbox.ts";
import { type Role, type Stage, eachRole, isPerson, openCast } from "./permissions/cast.ts";
import { type Row, matrix } from "./permissions/routes.ts";

/** Pages that no module declares. */
const documents = ["/openapi.json", "/docs", "/docs/static/index.html", "/docs/json", "/docs/yaml"];

const cast = await openCast({ after });
const { app, request } = cast;
const allScopes = Object.keys(scopes).filter(isScope);
const admin = await cast.key(["admin"]);
await request("POST", "/api/v1/sources", { key: admin, json: { name: "matrix", scheme: "api_key" } });
/** For requests that change nothing. */
const stages = { private: await setStage("private"), public: await setStage("public") };

/** Every answer that a row got, as method, path, status and, of a problem, its code. */
const answers = new Map<string, readonly [string, string, number, string | undefined]>();

const token = (claims: Readonly<Record<string, unknown>>): string => signToken(jwtSecret, claims);

function routeOf(name: string): string {
  return name.split(" # ")[0] ?? "";
}

/** The scope with which a program may use it, if any. */
function scopeOf({ scope, programScope = "admin" }: Row): Scope {
  if (scope === "self") return "webhook:write";
  return scope === "open" || scope === "person" ? programScope : scope;
}

type Attempt = { readonly credential: string | undefined; readonly role?: Role; readonly method?: string };

/** Sends the row's request, and keeps what came for the last tests. */
async function statusOf(name: string, { credential, role, method }: Attempt): Promise<number> {
  const [own = "", pattern = ""] = routeOf(name).split(" ");
  const row = matrix[name];
  const kind = role === "visitor" ? "public" : "private";
  const keeps = role === undefined || role === "anonymous" || own === "GET" || !pattern.includes(":room_id");
  const stage = keeps ? stages[kind] : await setStage(kind);
  const path =
    row?.path?.(cast, stage) ??
    pattern
      .replace(":room_id", String(stage.roomId))
      .replace(":user_id", String(stage.target))
      .replace(":message_id", stage.membersMessage)
      .replace(":id", "999999")
      .replace(":name", "nobody");
  const json = await row?.body?.(cast, stage);
  if (row?.streams === true && method === undefined && (await opens(path, credential))) return 200;
  const answer = await request(method ?? own, path, {
    ...(credential === undefined ? {} : { key: credential }),
    ...(json === undefined ? {} : { json }),
  });
  const { status } = answer;
  if (row !== undefined && row.scope !== "open" && row.scope !== "self") {
    assert.equal(answer.headers.get("cache-control"), "no-store", `${name} ${status}`);
  }
  if (row === undefined || method === "HEAD") return status;
  const code = status >= 400 ? answer.problem().code : undefined;
  answers.set(`${name} ${status} ${code}`, [own, path, status, code]);
  return status;
}

/** Whether a stream begins. */
async function opens(path: string, credential: string | undefined): Promise<boolean> {
  const headers: Record<string, string> = credential === undefined ? {} : { "x-api-key": credential };
  const { response, stop } = await listen(cast.url, path.split("?")[1] ?? "", headers);
  stop();
  return response.status === 200;
}

async function setStage(kind: "private" | "public"): Promise<Stage> {
  const stage = await cast.setStage(kind);
  await stage.expel();
  return stage;
}

test("every route of the server has a row, and every row a route with that scope", async () => {
  const declared = createModules(app.deps).all.flatMap(({ routes }) => routes);
  const { routes } = await readDescription(request);
  assert.deepEqual(routes.toSorted(), [...new Set(Object.keys(matrix).map(routeOf))].sort());
  for (const { method, path, scope, programScope } of declared) {
    for (const [name, row] of Object.entries(matrix)) {
      if (routeOf(name) !== `${method} ${path}`) continue;
      assert.deepEqual([row.scope, row.programScope], [scope, programScope], name);
    }
  }
});

for (const [name, row] of Object.entries(matrix)) {
  test(`${name} answers each role as its row says`, async () => {
    for (const [role, status] of eachRole(row.by)) {
      const credential = await cast.credentialOf(role, scopeOf(row));
      assert.equal(await statusOf(name, { credential, role }), status, role);
      if (!name.startsWith("GET ")) continue;
      assert.equal(await statusOf(name, { credential, role, method: "HEAD" }), status, `${role}, HEAD`);
    }
  });

  if (row.by[0] < 400) {
    test(`${name} does not look at credentials`, async () => {
      assert.equal(await statusOf(name, { credential: "nonsense" }), row.by[0]);
    });
    continue;
  }
  test(`${name} is nobody's who shows a credential that is not good`, async () => {
    for (const [what, credential] of [
      ["nonsense", "nonsense"],
      ["an admin's token of old", token({ role: "admin", exp: 1 })],
      ["a token with another signature", `${token({ role: "admin" })}x`],
    ] as const) {
      assert.equal(await statusOf(name, { credential }), 401, what);
    }
  });

  if (row.scope === "person" || row.scope === "open" || row.signed === true) continue;
  test(`${name} goes by the scope of tokens, and by nothing else`, async () => {
    const needed = scopeOf(row);
    const others = allScopes.filter((other) => other !== needed && other !== "admin");
    const allowed = row.by.at(-1);
    assert.equal(await statusOf(name, { credential: token({ scope: others.join(" ") }) }), 403);
    assert.equal(await statusOf(name, { credential: token({ scope: needed }) }), allowed);
    assert.equal(await statusOf(name, { credential: token({ role: "admin" }) }), allowed);
    assert.equal(await statusOf(name, { credential: admin }), allowed, "an admin's key");
  });
}

test("who may manage by the scope of their token may do so in rooms that they are not in", async () => {
  const manager = token({ sub: "manager", scope: "chat:manage" });
  for (const [name, row] of Object.entries(matrix)) {
    if (row.programScope !== "chat:manage") continue;
    const [role, status] = eachRole(row.by).find(([one]) => one === "admin") ?? ["admin", 0];
    assert.ok(isPerson(role));
    assert.equal(await statusOf(name, { credential: manager, role }), status, name);
  }
});

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
  for (const path of ["/api", "/api/v1", "/api/v1/auth", "/api/v1/keys", "/admin", "/metrics", "/.env"]) {
    assert.equal((await request("GET", path, { key: admin })).status, 404, path);
  }
  const routes = new Set(Object.keys(matrix).map(routeOf));
  const paths = new Set([...routes].map((route) => route.split(" ")[1] ?? ""));
  for (const path of paths) {
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
      if (routes.has(`${method} ${path}`)) continue;
      const status = await statusOf(`${method} ${path}`, { credential: undefined });
      assert.ok(status === 405 || status === 401, `${method} ${path}: ${status}`);
    }
  }
});
