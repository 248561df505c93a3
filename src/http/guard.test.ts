import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import type { Actor } from "../access/actor.ts";
import type { RouteRequest } from "../deps.ts";
import { AppError } from "../lib/errors.ts";
import { createRateHeaders } from "../lib/token-bucket.ts";
import { credentialMissing } from "./authenticate.ts";
import {
  parseRaw,
  postJson,
  problemOf,
  requestCounts,
  sendRaw,
  startTestServer,
  testRoute,
} from "./test-server.fixture.ts";

/** Answers with who was let in. */
const whoami = async ({ actor }: RouteRequest) => ({
  status: 200,
  json: JSON.stringify({ actor: actor === undefined ? null : actor.id }),
});
const scoped = testRoute({ scope: "webhook:write", handler: whoami });

test("a bearer credential or an API key header lets an actor with the scope in, an admin too", async () => {
  await using server = await startTestServer({ routes: [scoped] });
  for (const headers of [
    { authorization: "Bearer scopes:webhook:write" },
    { authorization: "bearer   scopes:admin" },
    { "x-api-key": "scopes:webhook:write" },
    { authorization: "Bearer scopes:admin", "x-api-key": "scopes:admin" },
  ]) {
    const response = await postJson(`${server.url}/thing`, {}, headers);
    assert.deepEqual(await response.json(), { actor: 7 }, JSON.stringify(headers));
  }
});

test("no credential, an unknown one or two different ones are 401 and say so", async () => {
  await using server = await startTestServer({ routes: [scoped] });
  for (const headers of [
    {},
    { authorization: "Bearer wrong" },
    { authorization: "Bearer" },
    { authorization: "Basic c2NvcGVzOmFkbWlu" },
    { authorization: "Bearer scopes:admin", "x-api-key": "scopes:webhook:write" },
  ]) {
    const response = await postJson(`${server.url}/thing`, {}, headers);
    assert.equal(response.status, 401, JSON.stringify(headers));
    assert.equal(response.headers.get("www-authenticate"), "Bearer");
    assert.equal((await problemOf(response)).code, "unauthorized");
  }
});

test("a credential that is sent twice in the same way is 401, equal or not", async () => {
  await using server = await startTestServer({ routes: [scoped] });
  for (const name of ["Authorization: Bearer ", "X-Api-Key: "]) {
    const answer = await sendRaw(
      server.port,
      `POST /thing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${name}scopes:admin\r\n${name}scopes:stats:read\r\n\r\n`,
    );
    assert.equal(parseRaw(answer).status, 401, name);
  }
});

test("an actor without the scope is 403, and the scope is named", async () => {
  await using server = await startTestServer({ routes: [scoped] });
  const response = await postJson(`${server.url}/thing`, {}, { "x-api-key": "scopes:stats:read" });
  assert.equal(response.status, 403);
  assert.match((await problemOf(response)).detail ?? "", /webhook:write/);
});

test("a route for persons lets people in, and programs only with its own scope or as admins", async () => {
  const people = testRoute({ path: "/people", scope: "person", handler: whoami });
  const programs = testRoute({
    path: "/programs",
    scope: "person",
    programScope: "users:manage",
    handler: whoami,
  });
  await using server = await startTestServer({ routes: [people, programs] });
  const answer = async (path: string, key?: string) => {
    const response = await postJson(
      `${server.url}${path}`,
      {},
      key === undefined ? {} : { "x-api-key": key },
    );
    return response.status === 200 ? 200 : [response.status, (await problemOf(response)).detail];
  };
  for (const path of ["/people", "/programs"]) {
    assert.equal(await answer(path, "person:7"), 200);
    assert.equal(await answer(path, "scopes:admin"), 200);
    assert.deepEqual(await answer(path), [401, credentialMissing.detail]);
  }
  assert.deepEqual(await answer("/people", "scopes:users:manage"), [403, "this is for people"]);
  assert.equal(await answer("/programs", "scopes:users:manage"), 200);
  assert.deepEqual(await answer("/programs", "scopes:stats:read"), [
    403,
    "programs need the scope users:manage",
  ]);
});

test("who checks a credential is told the address that it came from", async () => {
  const addresses: (string | undefined)[] = [];
  await using server = await startTestServer({
    routes: [scoped],
    config: { trustProxy: ["127.0.0.1"] },
    authenticate: (_credential, address) => {
      addresses.push(address);
      return Promise.reject(new AppError("rate_limited", { retryAfterS: 3 }));
    },
  });
  const response = await postJson(
    `${server.url}/thing`,
    {},
    { "x-api-key": "k", "x-forwarded-for": "203.0.113.9" },
  );
  assert.deepEqual([response.status, response.headers.get("retry-after")], [429, "3"]);
  assert.deepEqual(addresses, ["203.0.113.9"]);
});

test("a bad credential is refused before the body is looked at", async () => {
  await using server = await startTestServer({ routes: [scoped] });
  const response = await postJson(`${server.url}/thing`, "{broken", { "x-api-key": "wrong" });
  assert.equal(response.status, 401);
});

test("an open route ignores credentials", async () => {
  await using server = await startTestServer({ routes: [testRoute({ handler: whoami })] });
  const response = await postJson(`${server.url}/thing`, {}, { "x-api-key": "wrong" });
  assert.deepEqual(await response.json(), { actor: null });
});

test("a route that authenticates itself gets the actor of a valid credential, none without, and 401 for a bad one", async () => {
  await using server = await startTestServer({ routes: [testRoute({ scope: "self", handler: whoami })] });
  const valid = await postJson(`${server.url}/thing`, {}, { "x-api-key": "scopes:stats:read" });
  assert.deepEqual(await valid.json(), { actor: 7 });
  const none = await postJson(`${server.url}/thing`, {}, { authorization: "Basic abc" });
  assert.deepEqual(await none.json(), { actor: null });
  assert.equal((await postJson(`${server.url}/thing`, {}, { "x-api-key": "wrong" })).status, 401);
});

test("a credential that cannot be checked is 503, and one whose check breaks is never let in", async () => {
  const failures: Record<string, unknown> = {
    later: new AppError("unavailable"),
    broken: new Error("secret"),
    nothing: undefined,
  };
  await using server = await startTestServer({
    routes: [scoped],
    // oxlint-disable-next-line prefer-promise-reject-errors -- what a careless program does
    authenticate: (credential) => Promise.reject(failures[credential]),
  });
  const statusFor = async (key: string): Promise<number> =>
    (await postJson(`${server.url}/thing`, {}, { "x-api-key": key })).status;
  assert.equal(await statusFor("later"), 503);
  assert.equal(await statusFor("broken"), 500);
  assert.equal(await statusFor("nothing"), 500);
});

test("an address gets its burst, then 429 with the seconds to wait, and goes on when they have passed", async () => {
  let nowMs = 1_000_000;
  await using server = await startTestServer({
    routes: [testRoute()],
    config: { rateIp: { perSecond: 0.5, burst: 2 } },
    clock: { now: () => nowMs },
  });
  const first = await postJson(`${server.url}/thing`, {});
  assert.equal(first.headers.get("ratelimit-policy"), '"ip";q=2;w=4');
  assert.equal(first.headers.get("ratelimit"), '"ip";r=1;t=2');
  assert.equal((await fetch(`${server.url}/nothing`)).status, 404, "unknown paths count as well");
  const refused = await postJson(`${server.url}/thing`, "{broken", { "x-api-key": "wrong" });
  assert.equal(refused.status, 429);
  assert.equal(refused.headers.get("retry-after"), "2");
  assert.equal(refused.headers.get("ratelimit"), '"ip";r=0;t=4');
  assert.equal((await problemOf(refused)).code, "rate_limited");
  assert.equal((await fetch(`${server.url}/health/live`)).status, 200, "probes are not limited");
  nowMs += 2_000;
  assert.equal((await postJson(`${server.url}/thing`, {})).status, 200);
});

test("a person gets their burst, then 429 with the seconds to wait, whatever they may; programs and others go on", async () => {
  let nowMs = 1_000_000;
  await using server = await startTestServer({
    routes: [testRoute({ scope: "person", programScope: "inbox:read" }), testRoute({ path: "/open" })],
    config: { ratePerson: { perSecond: 0.5, burst: 2 }, trustProxy: ["127.0.0.1"] },
    clock: { now: () => nowMs },
  });
  const send = (key: string, address = "203.0.113.1", path = "/thing") =>
    postJson(`${server.url}${path}`, {}, { "x-api-key": key, "x-forwarded-for": address });
  const first = await send("person:7");
  assert.match(first.headers.get("ratelimit-policy") ?? "", /^"ip";.*, "person";q=2;w=4$/);
  assert.match(first.headers.get("ratelimit") ?? "", /^"ip";.*, "person";r=1;t=2$/);
  assert.equal((await send("person:7", "203.0.113.2")).status, 200);
  const refused = await send("person:7", "203.0.113.3");
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [429, "2"]);
  assert.match(refused.headers.get("ratelimit") ?? "", /"person";r=0;t=4$/);
  const { code, detail } = await problemOf(refused);
  assert.deepEqual([code, detail], ["rate_limited", "too many requests of this person"]);
  assert.equal((await send("person:8")).status, 200, "somebody else from the same address");
  assert.equal((await send("person:7", "203.0.113.1", "/open")).status, 200, "nobody is asked who they are");
  for (let i = 0; i < 5; i++) {
    const answer = await send("scopes:inbox:read");
    assert.deepEqual([answer.status, answer.headers.get("ratelimit")?.includes("person")], [200, false]);
  }
  nowMs += 2_000;
  assert.equal((await send("person:7")).status, 200);
  assert.equal((await send("person:7")).status, 429);
});

test("what a person is refused for counts as well", async () => {
  await using server = await startTestServer({
    routes: [testRoute({ scope: "stats:read" })],
    config: { ratePerson: { perSecond: 0.01, burst: 1 } },
  });
  const send = () => postJson(`${server.url}/thing`, {}, { "x-api-key": "person:7" });
  assert.deepEqual([(await send()).status, (await send()).status], [403, 429]);
});

test("who is refused as a person who asks for too much is not looked at any further", async () => {
  let looked = 0;
  const authenticate = () => ({ sender: ++looked });
  await using server = await startTestServer({
    routes: [testRoute({ scope: "self", authenticate })],
    config: { ratePerson: { perSecond: 0.01, burst: 1 } },
  });
  const send = () => postJson(`${server.url}/thing`, {}, { "x-api-key": "person:7" });
  assert.deepEqual([(await send()).status, (await send()).status], [200, 429]);
  assert.equal(looked, 1);
});

test("one person more than the bound forgets the one who has sent nothing for longest", async () => {
  await using server = await startTestServer({
    routes: [testRoute({ scope: "person" })],
    config: { ratePerson: { perSecond: 0.01, burst: 1 } },
    peopleMax: 2,
  });
  const send = async (id: number) =>
    (await postJson(`${server.url}/thing`, {}, { "x-api-key": `person:${id}` })).status;
  assert.deepEqual([await send(1), await send(2), await send(1)], [200, 200, 429]);
  assert.equal(await send(3), 200);
  assert.deepEqual([await send(1), await send(2)], [429, 200]);
});

test("a module's own limit joins the address's in the same headers", async () => {
  const headers = createRateHeaders("source", { perSecond: 1, burst: 5 })({
    allowed: true,
    remaining: 4,
    limit: 5,
    resetS: 1,
    retryAfterS: 0,
  });
  const handler = async () => ({ status: 200, json: "{}", headers: { ...headers } });
  await using server = await startTestServer({
    routes: [testRoute({ handler })],
    config: { rateIp: { perSecond: 1, burst: 2 } },
  });
  const response = await postJson(`${server.url}/thing`, {});
  assert.equal(response.headers.get("ratelimit"), '"ip";r=1;t=1, "source";r=4;t=1');
  assert.equal(response.headers.get("ratelimit-policy"), '"ip";q=2;w=2, "source";q=5;w=5');
});

test("the development key works for this machine alone, and for nobody once the server listens beyond it", async () => {
  const authenticate = async (credential: string): Promise<Actor> => ({
    kind: "key",
    id: 1,
    name: credential,
    scopes: new Set(["admin"]),
    sourceId: undefined,
  });
  const options = { routes: [scoped], authenticate };
  const send = async (url: string, key: string, headers: Record<string, string> = {}) => {
    const response = await postJson(`${url}/thing`, {}, { "x-api-key": key, ...headers });
    return [response.status, (await problemOf(response)).detail ?? ""] as const;
  };
  const elsewhere = { "x-forwarded-for": "203.0.113.9" };
  {
    await using server = await startTestServer(options);
    assert.equal((await send(server.url, "development"))[0], 200);
    const passedOn = [
      elsewhere,
      { forwarded: "for=203.0.113.9" },
      { via: "1.1 nginx" },
      { "x-real-ip": "203.0.113.9" },
      { "x-forwarded-proto": "https" },
    ];
    for (const headers of passedOn) {
      const [status, detail] = await send(server.url, "development", headers);
      assert.equal(status, 401);
      assert.match(detail, /the development key works only on the server's own machine/);
      assert.equal((await send(server.url, "another", headers))[0], 200);
    }
  }
  {
    await using proxied = await startTestServer({ ...options, config: { trustProxy: ["127.0.0.1"] } });
    assert.equal((await send(proxied.url, "development", elsewhere))[0], 401);
  }
  await using open = await startTestServer({ ...options, host: "0.0.0.0" });
  const [status, detail] = await send(open.url, "development");
  assert.equal(status, 401);
  assert.match(detail, /only while HOST is loopback/);
  assert.equal((await send(open.url, "another"))[0], 200);
});

test("the development key works only for who calls the server by its machine's own name", async () => {
  const authenticate = async (name: string): Promise<Actor> => ({
    kind: "key",
    id: 1,
    name,
    scopes: new Set(["admin"]),
    sourceId: undefined,
  });
  await using server = await startTestServer({
    routes: [testRoute({ method: "GET", scope: "inbox:read" })],
    authenticate,
  });
  const get = async (key: string, host: string, version = "1.1") => {
    const head = `GET /thing HTTP/${version}\r\n${host}Connection: close\r\nX-Api-Key: ${key}\r\n\r\n`;
    return parseRaw(await sendRaw(server.port, head)).status;
  };
  for (const host of ["localhost", "LOCALHOST:5000", "127.0.0.1:5000", "127.8.9.10", "[::1]", "[::1]:5000"]) {
    assert.equal(await get("development", `Host: ${host}\r\n`), 200, host);
  }
  for (const host of ["tidings.example.org", "localhost.example.org:5000", "203.0.113.9", "[::2]:5000", ""]) {
    assert.equal(await get("development", `Host: ${host}\r\n`), 401, host);
    assert.equal(await get("another", `Host: ${host}\r\n`), 200, host);
  }
  assert.equal(await get("development", "", "1.0"), 401, "no Host at all");
});

test("what only some may read is not to be kept by any cache, and neither is any refusal of it", async () => {
  const handler = ({ params }: RouteRequest) => {
    if ((params as { id: string }).id === "none") throw new AppError("not_found");
    return Promise.resolve({ status: 200, json: "{}" });
  };
  const params = Type.Object({ id: Type.String({ minLength: 2 }) });
  const read = testRoute({ method: "GET", path: "/read/:id", scope: "inbox:read", params, handler });
  await using server = await startTestServer({ routes: [read, testRoute({ path: "/open" })] });
  for (const [id, key, status] of [
    ["some", "scopes:inbox:read", 200],
    ["a", "scopes:inbox:read", 400],
    ["some", undefined, 401],
    ["some", "nonsense", 401],
    ["some", "scopes:stats:read", 403],
    ["none", "scopes:inbox:read", 404],
  ] as const) {
    const headers = key === undefined ? {} : { "x-api-key": key };
    const answer = await fetch(`${server.url}/read/${id}`, { headers });
    assert.deepEqual([answer.status, answer.headers.get("cache-control")], [status, "no-store"]);
  }
  assert.equal((await postJson(`${server.url}/open`, {})).headers.get("cache-control"), null);
});

test("two Host headers and an expectation that nobody knows are refused as problems", async () => {
  await using server = await startTestServer({ routes: [testRoute({ method: "GET" })] });
  for (const header of ["Host: b", "Host: a", "Expect: banana"]) {
    const answer = await sendRaw(
      server.port,
      `GET /thing HTTP/1.1\r\nHost: a\r\n${header}\r\nConnection: close\r\n\r\n`,
    );
    const { status, head, body } = parseRaw(answer);
    assert.deepEqual([status, body.code], [400, "invalid_header"], header);
    assert.match(head, new RegExp(`x-request-id: ${body.request_id}`));
  }
});

test("every refusal leaves a line with the id of its request for those who debug", async () => {
  await using server = await startTestServer({
    routes: [scoped, testRoute({ path: "/open" })],
    config: { rateIp: { perSecond: 0.01, burst: 4 } },
  });
  const post = (path: string, id: string, headers: Record<string, string> = {}) =>
    postJson(`${server.url}${path}`, path === "/open" ? "{broken" : {}, { "x-request-id": id, ...headers });
  await post("/thing", "r-1");
  await post("/thing", "r-2", { "x-api-key": "wrong" });
  await post("/thing", "r-3", { "x-api-key": "scopes:stats:read" });
  await post("/open", "r-4");
  await post("/thing", "r-5");
  const lines = server.logged.filter(({ msg }) => msg === "request refused");
  assert.deepEqual(
    lines.map(({ level, request_id, method, route, code }) => [level, request_id, method, route, code]),
    [
      ["debug", "r-1", "POST", "/thing", "unauthorized"],
      ["debug", "r-2", "POST", "/thing", "unauthorized"],
      ["debug", "r-3", "POST", "/thing", "forbidden"],
      ["debug", "r-4", "POST", "/open", "invalid_json"],
      ["debug", "r-5", "POST", "/thing", "rate_limited"],
    ],
  );
});

test("URLs and methods that clients invent do not become labels", async () => {
  await using server = await startTestServer({ routes: [testRoute({ method: "GET", path: "/thing/:id" })] });
  for (let i = 0; i < 20; i++) {
    await fetch(`${server.url}/thing/${i}?q=${i}`);
    await fetch(`${server.url}/random/${i}`);
    await fetch(`${server.url}/thing/${i}`, { method: "PATCH" });
    await fetch(`${server.url}/thing/${i}`, { method: "PROPFIND" });
    await sendRaw(server.port, `NONSENSE /${i} HTTP/1.1\r\n\r\n`);
  }
  await fetch(`${server.url}/thing/1`, { method: "HEAD" });
  const counts = await requestCounts(server, '{method="HEAD",route="/thing/:id",status="200"} 1');
  assert.deepEqual(counts.toSorted(), [
    '{method="GET",route="/thing/:id",status="200"} 20',
    '{method="GET",route="unmatched",status="404"} 20',
    '{method="HEAD",route="/thing/:id",status="200"} 1',
    '{method="OTHER",route="unmatched",status="400"} 20',
    '{method="OTHER",route="unmatched",status="405"} 20',
    '{method="PATCH",route="unmatched",status="405"} 20',
  ]);
});
