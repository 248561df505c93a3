import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import { Account, Person, SeedUser, accountChanged, sessionEnded } from "../../protocol/accounts.ts";
import { closeRules } from "../../protocol/close-codes.ts";
import { entriesOf } from "../../src/access/sessions.fixture.ts";
import { createApp } from "../../src/app.ts";
import { guessRates } from "../../src/modules/accounts/guesses.ts";
import { createModules } from "../../src/modules.ts";
import type { Answer } from "../app.ts";
import { eventually, testLog } from "../harness.ts";
import { greet, openSocket } from "../socket.ts";
import { claimsOf, jwtSecret, newcomer, openAccounts, password, signedInOf } from "./accounts.ts";
import { signToken } from "./inbox.ts";

/** Names that nobody can see, that break the line or that turn what stands around them. */
const deceptiveNames = [
  "a\nb",
  "a\u0000b",
  "a\u0007",
  "a\u2028b",
  "a\u2029b",
  "Ann \u202egnp.exe",
  "\u2066a",
  "\u200b",
  "\u200b ",
];

/** The parts of a problem that a program decides by. */
function refusal(answer: Answer) {
  const { status, code, errors = [] } = answer.problem();
  return [status, code, ...errors.map(({ pointer, code }) => `${pointer} ${code}`)];
}

/** Whether a token lets somebody in over HTTP and over the socket: `in`, `out`, or what both have said. */
async function lettingIn({ url }: { readonly url: string }, token: string): Promise<string> {
  const headers = { authorization: `Bearer ${token}` };
  const { status } = await fetch(`${url}/api/v1/me`, { headers });
  const socket = openSocket(url, { token });
  await eventually(
    "the socket says something",
    () => socket.frames.length > 0 || socket.closed !== undefined,
  );
  socket.ws.close();
  const greeted = socket.frames.some(({ type }) => type === "hello");
  const outcome = `${status} ${greeted ? "hello" : (await socket.end()).code}`;
  if (outcome === "200 hello") return "in";
  return outcome === `401 ${closeRules.unauthorized.code}` ? "out" : outcome;
}

test("somebody registers, is who they said, renews, and signs out", async (t) => {
  const { register, refresh, post, request } = await openAccounts(t);
  const body = newcomer({ username: "ann", name: "  Ann Smith " });
  const first = await register(body);
  assert.deepEqual(
    [
      first.token_type,
      first.expires_in,
      first.user.username,
      first.user.email,
      first.user.name,
      first.user.role,
    ],
    ["Bearer", 900, "ann", "ann@example.com", "Ann Smith", "user"],
  );
  const { iss, aud, sub, username, role } = claimsOf(first.access_token);
  assert.deepEqual(
    [iss, aud, sub, username, role],
    ["tidings", "tidings", String(first.user.id), "ann", "user"],
  );
  const me = await request("GET", "/api/v1/me", { key: first.access_token });
  assert.deepEqual(me.as(Account), first.user);

  const renamed = await request("PATCH", "/api/v1/me", { key: first.access_token, json: { name: "Ann" } });
  assert.equal((renamed.as(Account) as { name: string }).name, "Ann");
  const second = signedInOf(await refresh(first.refresh_token));
  assert.equal(second.user.name, "Ann");
  assert.equal(claimsOf(second.access_token)["sid"], claimsOf(first.access_token)["sid"]);
  assert.equal(signedInOf(await refresh(first.refresh_token)).refresh_token, second.refresh_token);

  const logout = { refresh_token: second.refresh_token };
  assert.equal((await post("/api/v1/auth/logout", logout)).status, 204);
  assert.equal((await post("/api/v1/auth/logout", logout)).status, 204, "again, for it is so");
  assert.deepEqual(refusal(await refresh(second.refresh_token)), [401, "unauthorized"]);
});

test("each bad field of a registration has its own error, and what is taken is named", async (t) => {
  const { post, register } = await openAccounts(t);
  await register({ username: "ann", email: "ann@example.com" });
  const answer = (parts: object) => post("/api/v1/auth/register", { ...newcomer(), ...parts });
  const taken = (await answer({ username: "ann", email: "ANN@example.com" })).problem();
  assert.deepEqual(
    [taken.status, taken.code, taken.errors?.map(({ pointer, code }) => [pointer, code])],
    [
      409,
      "conflict",
      [
        ["/username", "taken"],
        ["/email", "taken"],
      ],
    ],
  );
  assert.deepEqual(refusal(await answer({ email: "Ann@Example.com" })), [409, "conflict", "/email taken"]);
  for (const [field, values] of Object.entries({
    username: ["Ann", "a", "-ann", "a".repeat(33), "ann smith", "аня", 7, null],
    email: ["ann", "@", "a@", "ann smith@example.com", "a@b\u0000", "a@\ud800", `${"x".repeat(251)}@b.c`],
    name: ["", " ", "x".repeat(65), "\ud800", ...deceptiveNames],
    password: ["1234567", "x".repeat(257), 12_345_678],
    role: ["admin"],
  })) {
    for (const value of values) {
      const problem = (await answer({ [field]: value })).problem();
      const pointers = problem.errors?.map(({ pointer }) => pointer);
      assert.deepEqual([problem.status, pointers], [400, [`/${field}`]], JSON.stringify([field, value]));
    }
  }
});

test("of many who register one name at once, one gets it", async (t) => {
  const { post } = await openAccounts(t);
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      post("/api/v1/auth/register", newcomer({ username: "ann", email: `ann-${i}@example.com` })),
    ),
  );
  assert.equal(answers.filter(({ status }) => status === 201).length, 1);
  assert.equal(answers.filter(({ status }) => status === 409).length, 19);
});

test("people sign in by username or e-mail address, however they write it, and only by their own password", async (t) => {
  const { register, login, post, admin } = await openAccounts(t);
  const { user } = await register({ username: "ann" });
  for (const name of ["ann", " Ann ", "ANN@example.COM"]) {
    assert.deepEqual(signedInOf(await login(name, password)).user, user, name);
  }
  await post("/api/v1/users", { username: "without", email: "without@example.com" }, admin);
  const answers = await Promise.all(
    ["ann", "nobody", "nobody@example.com", "without", "a\u001eb"].map((name) => login(name, `${password}!`)),
  );
  const problems = answers.map((answer) => ({ ...answer.problem(), request_id: undefined }));
  assert.deepEqual(new Set(problems.map((problem) => JSON.stringify(problem))).size, 1);
  assert.deepEqual([problems[0]?.status, problems[0]?.detail], [401, "The name or the password is wrong"]);
  assert.deepEqual(refusal(await login("a\u0000b", password)), [400, "invalid_body", "/login text"]);
});

test("five wrong passwords for a name, then 429 with the time to wait; a right one costs nothing", async (t) => {
  const { register, login } = await openAccounts(t);
  await register({ username: "ann" });
  for (let i = 0; i < 8; i++) assert.equal((await login("ann", password)).status, 200);
  for (let i = 0; i < 5; i++) assert.equal((await login("ann", "wrong")).status, 401);
  const limited = await login("Ann", password);
  assert.deepEqual(refusal(limited), [429, "rate_limited"]);
  const retryAfter = Number(limited.headers.get("retry-after"));
  assert.ok(retryAfter >= 1 && retryAfter <= 12, String(retryAfter));
  assert.equal((await login("bob", "wrong")).status, 401, "another name goes on");
});

test("strangers' wrong passwords do not keep the owner out where they are at home", async (t) => {
  const { register, request } = await openAccounts(t, { TRUST_PROXY: "127.0.0.1" });
  await register({ username: "ann" });
  const login = (name: string, text: string, address: string) =>
    request("POST", "/api/v1/auth/login", {
      json: { login: name, password: text },
      headers: { "x-forwarded-for": address },
    });
  const stranger = Array.from({ length: 8 }, () => login("ann", "wrong", "203.0.113.1"));
  const statuses = (await Promise.all(stranger)).map(({ status }) => status);
  assert.equal(statuses.filter((status) => status === 429).length, 3);
  assert.equal((await login("ann", password, "203.0.113.1")).status, 429);
  assert.equal((await login("ann", password, "203.0.113.2")).status, 200);
  for (let i = 10; i < 10 + guessRates.account.burst; i++) {
    await login(i % 2 === 0 ? "ann" : "ANN@example.com", "wrong", `203.0.113.${i}`);
  }
  const limited = await login("ann", password, "203.0.113.3");
  assert.deepEqual(refusal(limited), [429, "rate_limited"]);
  assert.match(limited.problem().detail ?? "", /for this account/);
  assert.equal((await login("ann", password, "203.0.113.2")).status, 200);
});

test("twenty wrong passwords from one address, then 429 for whatever name", async (t) => {
  const { register, login } = await openAccounts(t);
  await register({ username: "ann" });
  const codes = await Promise.all(
    Array.from({ length: 30 }, async (_, i) => (await login(`nobody-${i}`, "wrong")).status),
  );
  assert.equal(codes.filter((code) => code === 401).length, 20);
  assert.equal(codes.filter((code) => code === 429).length, 10);
  const limited = await login("ann", password);
  assert.match(limited.problem().detail ?? "", /from this address/);
});

test("another password ends all other sign-ins, and what the person is connected with learns of it", async (t) => {
  const { app, register, login, refresh, request } = await openAccounts(t);
  const here = await register({ username: "ann" });
  const there = signedInOf(await login("ann", password));
  const change = (old: string, key = here.access_token) =>
    request("PUT", "/api/v1/me/password", { key, json: { old_password: old, new_password: "another one" } });
  assert.deepEqual(refusal(await change("wrong")), [403, "forbidden"]);
  assert.equal((await change(password)).status, 204);
  assert.deepEqual(refusal(await refresh(there.refresh_token)), [401, "unauthorized"]);
  signedInOf(await refresh(here.refresh_token));
  assert.equal((await login("ann", password)).status, 401);
  assert.equal((await login("ann", "another one")).status, 200);
  const entries = await entriesOf(app.deps.eventlog, `user/${here.user.id}`);
  assert.deepEqual(
    entries.map(({ type, actor, data }) => [type, actor, JSON.parse(data) as unknown]),
    [
      [
        sessionEnded,
        `user:${here.user.id}`,
        { session_id: claimsOf(there.access_token)["sid"], reason: "password" },
      ],
    ],
  );
  const outside = signToken(jwtSecret, { sub: "elsewhere" });
  assert.match((await change(password, outside)).problem().detail ?? "", /no password here/);
});

test("guessing the old password is slowed like guessing a sign-in", async (t) => {
  const { register, request } = await openAccounts(t);
  const { access_token: key } = await register();
  const json = { old_password: "wrong", new_password: "another one" };
  const change = () => request("PUT", "/api/v1/me/password", { key, json });
  for (let i = 0; i < 5; i++) assert.equal((await change()).status, 403);
  assert.equal((await change()).status, 429);
});

test("a disabled person gets in by nothing, and again when enabled", async (t) => {
  const accounts = await openAccounts(t);
  const { app, admin, register, login, refresh, post, request } = accounts;
  const byToken = (token: string) => lettingIn(accounts, token);
  const { user, ...signedIn } = await register({ username: "ann" });
  const outside = signToken(jwtSecret, { sub: "somebody", iss: "https://id.example" });
  const stranger = (await request("GET", "/api/v1/me", { key: outside })).as(Account) as { id: number };
  assert.equal(await byToken(signedIn.access_token), "in");
  for (const id of [user.id, stranger.id]) {
    assert.equal((await post(`/api/v1/users/${id}/disable`, undefined, admin)).status, 204);
    assert.equal((await post(`/api/v1/users/${id}/disable`, undefined, admin)).status, 204);
  }
  assert.equal(await byToken(signedIn.access_token), "out", "the access token has not expired");
  assert.deepEqual(refusal(await refresh(signedIn.refresh_token)), [401, "unauthorized"]);
  assert.deepEqual(refusal(await login("ann", password)), [403, "forbidden"]);
  assert.deepEqual(refusal(await login("ann", "wrong")), [401, "unauthorized"]);
  assert.deepEqual(refusal(await request("GET", "/api/v1/me", { key: outside })), [403, "forbidden"]);
  for (const id of [user.id, stranger.id]) {
    const [ended] = await entriesOf(app.deps.eventlog, `user/${id}`);
    assert.deepEqual([ended?.type, ended?.data], [sessionEnded, '{"reason":"disabled"}']);
    assert.equal((await post(`/api/v1/users/${id}/enable`, undefined, admin)).status, 204);
  }
  assert.equal(await byToken(signedIn.access_token), "out", "that sign-in is over for good");
  const again = signedInOf(await login("ann", password));
  assert.equal(await byToken(again.access_token), "in");
  assert.equal((await request("GET", "/api/v1/me", { key: outside })).status, 200);
  assert.deepEqual(refusal(await post("/api/v1/users/999999/disable", undefined, admin)), [404, "not_found"]);
  assert.deepEqual(refusal(await post("/api/v1/users/999999/enable", undefined, admin)), [404, "not_found"]);
});

test("who is no admin any more can do nothing of an admin with the token of before", async (t) => {
  const accounts = await openAccounts(t);
  const { app, register, login, post } = accounts;
  const { user } = await register({ username: "ann" });
  const { people } = createModules(app.deps);
  await people.setRole(user.id, "admin", "system");
  const { access_token: token } = signedInOf(await login("ann", password));
  assert.equal((await post("/api/v1/users", newcomer(), token)).status, 201);
  await people.setRole(user.id, "user", "system");
  assert.deepEqual(refusal(await post("/api/v1/users", newcomer(), token)), [401, "unauthorized"]);
  assert.equal(await lettingIn(accounts, token), "out");
  const { access_token: now } = signedInOf(await login("ann", password));
  assert.deepEqual(refusal(await post("/api/v1/users", newcomer(), now)), [403, "forbidden"]);
});

test("the access token of a sign-in that has ended lets nobody in, however it ended, and those of others do", async (t) => {
  const accounts = await openAccounts(t);
  const { register, login, post, request } = accounts;
  const here = await register({ username: "ann" });
  const [out, there] = [signedInOf(await login("ann", password)), signedInOf(await login("ann", password))];
  const tried = async () =>
    Promise.all([here, out, there].map(({ access_token: token }) => lettingIn(accounts, token)));
  assert.deepEqual(await tried(), ["in", "in", "in"]);
  await post("/api/v1/auth/logout", { refresh_token: out.refresh_token });
  assert.deepEqual(await tried(), ["in", "out", "in"]);
  const json = { old_password: password, new_password: "another one" };
  await request("PUT", "/api/v1/me/password", { key: here.access_token, json });
  assert.deepEqual(await tried(), ["in", "out", "out"]);
});

test("what ends in one process is refused by another within a second or so, and by one that starts later at once", async (t) => {
  const accounts = await openAccounts(t);
  const { app, register } = accounts;
  const start = async () => {
    const other = await createApp(app.deps.config, { log: testLog });
    t.after(() => other.close());
    return `http://127.0.0.1:${other.api?.port ?? 0}`;
  };
  const ann = await register();
  const url = await start();
  assert.equal(await lettingIn({ url }, ann.access_token), "in");
  const socket = await greet(url, ann.access_token);
  await createModules(app.deps).people.disable(ann.user.id, "system");
  assert.equal((await socket.end()).code, closeRules.session_ended.code);
  await eventually(
    "another process refuses",
    async () => {
      return (await lettingIn({ url }, ann.access_token)) === "out";
    },
    3_000,
  );
  assert.equal(await lettingIn({ url: await start() }, ann.access_token), "out");
});

test("who comes with tokens of another issuer is sent away and gets no new socket, whichever process has disabled or demoted them", async (t) => {
  const accounts = await openAccounts(t);
  const { app } = accounts;
  const other = await createApp(app.deps.config, { log: testLog });
  t.after(() => other.close());
  const url = `http://127.0.0.1:${other.api?.port ?? 0}`;
  const { people } = createModules(app.deps);
  const token = signToken(jwtSecret, { sub: "outsider", iss: "https://id.example" });
  const { user_id: id = 0 } = (await greet(url, token)).hello;
  const socket = await greet(url, token);
  await people.setRole(id, "admin", "system");
  assert.equal((await socket.end()).code, closeRules.session_ended.code);
  const asAdmin = await greet(url, token);
  const listed = () => fetch(`${url}/api/v1/consumers`, { headers: { authorization: `Bearer ${token}` } });
  assert.equal((await listed()).status, 200);
  await people.setRole(id, "user", "system");
  assert.equal((await asAdmin.end()).code, closeRules.session_ended.code);
  assert.equal((await listed()).status, 403);
  const asUser = await greet(url, token);
  await people.disable(id, "system");
  assert.equal((await asUser.end()).code, closeRules.session_ended.code);
  assert.equal((await openSocket(url, { token }).end()).code, closeRules.forbidden.code);
  assert.equal(await lettingIn({ url }, token), `403 ${closeRules.forbidden.code}`);
});

test("what somebody of another issuer may holds at once in the process that says so, though it has no gateway", async (t) => {
  const { app } = await openAccounts(t);
  const api = await createApp({ ...app.deps.config, roles: ["api"] }, { log: testLog });
  t.after(() => api.close());
  const url = `http://127.0.0.1:${api.api?.port ?? 0}`;
  const { people } = createModules(api.deps);
  const headers = {
    authorization: `Bearer ${signToken(jwtSecret, { sub: "outsider", iss: "https://id.example" })}`,
  };
  const { id } = (await (await fetch(`${url}/api/v1/me`, { headers })).json()) as { id: number };
  const status = async (path: string) => (await fetch(url + path, { headers })).status;
  assert.equal(await status("/api/v1/consumers"), 403);
  await people.setRole(id, "admin", "system");
  assert.equal(await status("/api/v1/consumers"), 200);
  await people.disable(id, "system");
  assert.equal(await status("/api/v1/me"), 403);
  await people.enable(id);
  assert.equal(await status("/api/v1/me"), 200);
});

test("people are listed and made as the seed shows, in pages", async (t) => {
  const { admin, register, key, post, request } = await openAccounts(t);
  const manager = await key(["users:manage"]);
  const made = await post("/api/v1/users", { username: "newuser", email: "user@example.com" }, manager);
  assert.equal(made.status, 201);
  const { id } = made.as(SeedUser) as { id: number };
  assert.deepEqual(JSON.parse(made.text), { id, username: "newuser", email: "user@example.com" });
  const { user, access_token: token } = await register({ username: "ann" });
  const list = async (query = "", credential = token) => {
    const answer = await request("GET", `/api/v1/users${query}`, { key: credential });
    assert.equal(answer.status, 200, answer.text);
    return answer.as(Type.Array(SeedUser));
  };
  const all = [
    { id, username: "newuser", email: "user@example.com" },
    { id: user.id, username: "ann", email: "ann@example.com" },
  ];
  for (const credential of [manager, admin]) assert.deepEqual(await list("", credential), all);
  const shown = [{ id, username: "newuser", email: null }, all[1]];
  assert.deepEqual(await list(), shown);
  assert.deepEqual(await list("?limit=1"), [shown[0]]);
  assert.deepEqual(await list(`?after=${id}`), [shown[1]]);
  assert.deepEqual(await list(`?after=${user.id}`), []);
  for (const query of ["?limit=0", "?limit=201", "?after=-1", "?offset=1"]) {
    const answer = await request("GET", `/api/v1/users${query}`, { key: token });
    assert.deepEqual([answer.status, answer.problem().code], [400, "invalid_query"], query);
  }
  const twice = await post("/api/v1/users", { username: "newuser", email: "user@example.com" }, admin);
  assert.deepEqual(refusal(twice), [409, "conflict", "/username taken", "/email taken"]);
  const another = { username: "another", email: "another@example.com" };
  assert.equal((await post("/api/v1/users", another, token)).status, 403, "not for everybody");
  const boss = signToken(jwtSecret, { sub: "boss", role: "admin" });
  assert.equal((await post("/api/v1/users", another, boss)).status, 201, "but for admin people");
});

test("anybody sees what others call themselves, and nobody but who manages people sees their address", async (t) => {
  const { admin, key, post, register, request } = await openAccounts(t);
  const { user, access_token: own } = await register({ username: "masha", name: "Маша Иванова" });
  const { access_token: stranger } = await register();
  const { email, created_at: _, ...seen } = user;
  const look = async (credential: string, id: number | string = user.id) =>
    request("GET", `/api/v1/users/${id}`, { key: credential });
  assert.deepEqual((await look(stranger)).as(Person), { ...seen, email: null });
  assert.equal(seen.name, "Маша Иванова");
  const boss = signToken(jwtSecret, { sub: "boss", role: "admin" });
  for (const credential of [own, admin, await key(["users:manage"]), boss]) {
    assert.deepEqual((await look(credential)).as(Person), { ...seen, email });
  }
  await request("PATCH", "/api/v1/me", { key: own, json: { name: "Мария" } });
  assert.equal(((await look(stranger)).as(Person) as { name: string }).name, "Мария");
  await post(`/api/v1/users/${user.id}/disable`, undefined, admin);
  assert.equal((await look(stranger)).status, 200, "what they have written is still there");
  assert.deepEqual(refusal(await look(stranger, 999_999)), [404, "not_found"]);
  for (const id of ["0", "masha", "9007199254740993"]) {
    assert.equal((await look(stranger, id)).problem().code, "invalid_path", id);
  }
});

test("an API key is nobody in particular", async (t) => {
  const { admin, key, request } = await openAccounts(t);
  for (const credential of [admin, await key(["users:manage"])]) {
    assert.deepEqual(refusal(await request("GET", "/api/v1/me", { key: credential })), [403, "forbidden"]);
  }
  const list = await request("GET", "/api/v1/users", { key: await key(["inbox:read"]) });
  assert.deepEqual(refusal(list), [403, "forbidden"]);
});

test("another name is told to the person's devices as it now is", async (t) => {
  const { app, register, request } = await openAccounts(t);
  const { user, access_token: key } = await register();
  for (const name of deceptiveNames) {
    const refused = await request("PATCH", "/api/v1/me", { key, json: { name } });
    assert.deepEqual(refusal(refused).slice(0, 2), [400, "invalid_body"], JSON.stringify(name));
  }
  const changed = await request("PATCH", "/api/v1/me", { key, json: { name: " Анна " } });
  const [entry] = await entriesOf(app.deps.eventlog, `user/${user.id}`);
  assert.equal(entry?.type, accountChanged);
  assert.deepEqual(JSON.parse(entry?.data ?? ""), { account: changed.as(Account) });
  assert.equal((changed.as(Account) as { name: string }).name, "Анна");
});

test("somebody from another issuer is one person, whatever token they come with", async (t) => {
  const { request } = await openAccounts(t);
  const me = async (claims: object) => {
    const key = signToken(jwtSecret, { iss: "https://id.example", sub: "u-1", ...claims });
    return (await request("GET", "/api/v1/me", { key })).as(Account) as {
      id: number;
      name: string;
      role: string;
    };
  };
  const first = await me({ preferred_username: "Ann", name: "Ann S." });
  assert.deepEqual(await me({ preferred_username: "other", role: "admin" }), first);
  assert.deepEqual([first.name, first.role], ["Ann S.", "user"]);
  assert.notEqual((await me({ sub: "u-2" })).id, first.id);
});

test("where registration is closed nobody registers, and people are still made and sign in", async (t) => {
  const { post, login, admin } = await openAccounts(t, { REGISTRATION: "off" });
  const closed = await post("/api/v1/auth/register", newcomer());
  assert.match(closed.problem().detail ?? "", /registration is closed/);
  assert.equal(closed.status, 403);
  await post("/api/v1/users", newcomer({ username: "ann" }), admin);
  assert.equal((await login("ann", password)).status, 200);
});

test("a server that only trusts another issuer sends people there", async (t) => {
  const { app, post, admin } = await openAccounts(t, {
    JWT_SECRET: "",
    JWT_JWKS_URL: "http://127.0.0.1:1/keys",
    JWT_ISSUER: "https://id.example",
    JWT_AUDIENCE: "tidings",
  });
  await post("/api/v1/users", newcomer({ username: "ann" }), admin);
  for (const [path, json] of [
    ["register", newcomer()],
    ["login", { login: "ann", password }],
    ["refresh", { refresh_token: "tdr_x" }],
    ["logout", { refresh_token: "tdr_x" }],
  ] as const) {
    const answer = await post(`/api/v1/auth/${path}`, json);
    assert.deepEqual(refusal(answer), [403, "forbidden"], path);
    assert.match(answer.problem().detail ?? "", /sign in at the issuer of their tokens/);
  }
  const { rowCount } = await app.deps.db.query("select from account_user");
  assert.equal(rowCount, 1);
});

test("one registration more than an address may make is 429", async (t) => {
  const { post, register } = await openAccounts(t, { RATE_LIMIT_REGISTER: "0.01/3" });
  for (let i = 0; i < 3; i++) await register();
  const limited = await post("/api/v1/auth/register", newcomer());
  assert.deepEqual(refusal(limited), [429, "rate_limited"]);
  assert.ok(Number(limited.headers.get("retry-after")) > 90);
});

test("wrong credentials beyond the rate of an address are 429 without a look-up, and good ones go on", async (t) => {
  const { admin, request, register } = await openAccounts(t, { RATE_LIMIT_REFUSED: "0.01/5" });
  const { access_token: token } = await register();
  const list = (key: string) => request("GET", "/api/v1/users", { key });
  assert.equal((await list(admin)).status, 200);
  const statuses = await Promise.all(
    Array.from({ length: 50 }, async (_, i) => (await list(`tdk_${String(i).padStart(43, "x")}`)).status),
  );
  assert.equal(statuses.filter((status) => status === 401).length, 5);
  assert.equal(statuses.filter((status) => status === 429).length, 45);
  assert.equal((await list("nonsense")).status, 429);
  for (let i = 0; i < 5; i++) {
    assert.equal((await list(admin)).status, 200);
    assert.equal((await list(token)).status, 200);
  }
});
