import assert from "node:assert/strict";
import { test } from "node:test";
import type { Account, AccountChange, SignedIn } from "../protocol/accounts.ts";
import { closeRules } from "../protocol/close-codes.ts";
import { openChat } from "./chat-store.ts";
import { createClient } from "./client.ts";
import { clientError } from "./errors.ts";
import { type ClientStorage, memoryStorage } from "./storage.ts";
import { sessionKey } from "./kept-session.ts";
import { tokenMarginMs } from "./session.ts";
import { fixedToken, tokensFrom } from "./tokens.ts";
import {
  type Asked,
  FakeNetwork,
  FakeSockets,
  ManualClock,
  type Told,
  fakeFetch,
  outcomeOf,
  problem,
  settle,
} from "./world.fixture.ts";

const ann: Account = {
  id: 7,
  uuid: "0198f000-0000-7000-8000-000000000007",
  username: "ann",
  email: "ann@example.org",
  name: "Ann",
  role: "user",
  created_at: "2026-01-01T00:00:00.000Z",
};

function signedIn(n: number, user = ann): SignedIn {
  return {
    access_token: `access-${n}`,
    token_type: "Bearer",
    expires_in: 900,
    refresh_token: `refresh-${n}`,
    user,
  };
}

/**
 * A server whose newest access token is the only good one, and whose refresh tokens are good once. `late` holds the
 * answers to refreshes back until it is called.
 */
function accountServer() {
  /** `patient`: access tokens are good until they end, also when there are newer ones. */
  const state = { issued: 0, refreshes: 0, ended: false, patient: false, away: false, person: ann };
  let gate: Promise<void> | undefined;
  let open: () => void = () => undefined;
  const answer = async ({ method, path, headers, body }: Asked): Promise<Told> => {
    if (path === "/api/v1/auth/login") return { status: 200, body: signedIn(++state.issued, state.person) };
    if (path === "/api/v1/auth/logout") return { status: 204 };
    if (path === "/api/v1/auth/refresh") {
      state.refreshes++;
      if (state.away) return new Error("no network");
      await gate;
      const { refresh_token } = body as { readonly refresh_token: string };
      if (state.ended || refresh_token !== `refresh-${state.issued}`) return problem(401, "unauthorized");
      return { status: 200, body: signedIn(++state.issued, state.person) };
    }
    const good = state.patient || headers["authorization"] === `Bearer access-${state.issued}`;
    if (state.ended || !good) return problem(401, "unauthorized");
    if (method !== "PATCH") return { status: 200, body: state.person };
    const renamed = { ...ann, name: (body as AccountChange).name };
    if (state.person.id === ann.id) state.person = renamed;
    return { status: 200, body: renamed };
  };
  return {
    state,
    answer,
    hold: () => {
      gate = new Promise((resolve) => (open = resolve));
    },
    release: () => open(),
  };
}

function device(
  server: ReturnType<typeof accountServer>,
  storage: ClientStorage = memoryStorage(),
  clock = new ManualClock(),
) {
  const fetch = fakeFetch(server.answer);
  const sockets = new FakeSockets();
  const storageErrors: unknown[] = [];
  const client = createClient({
    url: "http://server",
    storage,
    clock,
    random: () => 0.5,
    fetch,
    webSocket: sockets.make,
    onStorageError: (error) => storageErrors.push((error.cause as Error).message),
  });
  return { client, clock, storage, sockets, asked: fetch.asked, storageErrors };
}

const credentials = { login: "ann", password: "correct horse" };

test("signing in is remembered over a reload, and forgotten when signed out", async () => {
  const server = accountServer();
  const first = device(server);
  assert.equal(await outcomeOf(first.client.accounts.me()), "signed_out");
  assert.deepEqual(await first.client.accounts.login(credentials), ann);
  assert.deepEqual(first.client.account.get(), ann);

  const second = device(server, first.storage);
  assert.equal(second.client.account.get(), undefined);
  assert.deepEqual(await second.client.whoAmI(), ann);
  assert.equal(second.asked.length, 0);
  assert.deepEqual(await second.client.accounts.me(), ann);

  await second.client.accounts.logout();
  assert.equal(second.client.account.get(), undefined);
  assert.equal((await second.storage.load("")).size, 0);
  assert.equal(await outcomeOf(second.client.accounts.me()), "signed_out");
  assert.deepEqual(second.asked.at(-1)?.body, { refresh_token: "refresh-1" });
});

test("calls whose token is refused at the same time renew it once, and are sent again", async () => {
  const server = accountServer();
  const { client, asked } = device(server);
  await client.accounts.login(credentials);
  // Another device's doing, or a new key of the server: the token is not good any more.
  server.state.issued++;
  server.hold();
  const refreshToken = `refresh-${server.state.issued}`;
  await client.surroundings.storage.save(sessionKey, JSON.stringify({ ...kept(1), refreshToken }));
  const calls = Promise.all(Array.from({ length: 20 }, () => client.accounts.me()));
  await settle();
  server.release();
  assert.equal((await calls).length, 20);
  assert.equal(server.state.refreshes, 1);
  assert.equal(asked.filter(({ path }) => path === "/api/v1/me").length, 40);
});

function kept(n: number) {
  return {
    accessToken: `access-${n}`,
    refreshToken: `refresh-${n}`,
    expiresAt: Number.MAX_SAFE_INTEGER,
    account: ann,
  };
}

test("a token is renewed before it ends", async () => {
  const server = accountServer();
  const { client, clock, asked } = device(server);
  await client.accounts.login(credentials);
  clock.sleep(900_000 - tokenMarginMs - 1);
  await client.accounts.me();
  assert.equal(server.state.refreshes, 0);
  clock.sleep(1);
  await client.accounts.me();
  assert.equal(server.state.refreshes, 1);
  assert.ok(
    asked.every(({ path }, i) => path !== "/api/v1/me" || asked[i]?.headers["authorization"] !== undefined),
  );
});

test("a renewal that another tab has done is taken over, not repeated", async () => {
  const server = accountServer();
  const storage = memoryStorage();
  const [one, two] = [device(server, storage), device(server, storage)];
  await one.client.accounts.login(credentials);
  await two.client.accounts.me();
  one.clock.sleep(895_000);
  await one.client.accounts.me();
  assert.equal(server.state.refreshes, 1);
  // The second tab's token is refused, and the storage has a better one.
  await two.client.accounts.me();
  assert.equal(server.state.refreshes, 1);
});

test("a sign-in that is over elsewhere is over here", async () => {
  const server = accountServer();
  const { client, storage } = device(server);
  await client.accounts.login(credentials);
  const seen: unknown[] = [];
  client.account.subscribe((account) => seen.push(account));
  server.state.ended = true;
  assert.equal(await outcomeOf(client.accounts.me()), "signed_out");
  assert.deepEqual(seen, [undefined]);
  assert.equal((await storage.load("")).size, 0);
});

test("a renewal that fails on the way signs nobody out", async () => {
  const server = accountServer();
  const { client, clock } = device(server);
  await client.accounts.login(credentials);
  const answer = server.answer;
  let down = true;
  const fetch = fakeFetch((asked) =>
    down && asked.path.endsWith("refresh") ? new Error("no network") : answer(asked),
  );
  const other = createClient({
    url: "http://server",
    storage: client.surroundings.storage,
    clock,
    random: () => 0,
    fetch,
    webSocket: new FakeSockets().make,
  });
  clock.sleep(900_000);
  const call = other.accounts.me();
  const outcome = outcomeOf(call);
  for (let i = 0; i < 5; i++) await clock.pass(1_000);
  await outcome;
  assert.equal(await outcomeOf(call), "network");
  down = false;
  assert.deepEqual(await other.accounts.me(), ann);
});

test("a renewal does not undo a sign-in that came while it was on its way", async () => {
  const server = accountServer();
  const { client, clock } = device(server);
  await client.accounts.login(credentials);
  clock.sleep(900_000);
  server.hold();
  const call = client.accounts.me();
  await settle();
  await client.accounts.login(credentials);
  server.release();
  assert.deepEqual(await call, ann);
  const { storage } = client.surroundings;
  assert.match((await storage.load(sessionKey)).get(sessionKey) ?? "", /"refresh-2"/);
});

test("a refused renewal does not forget that the same person has signed in again in another tab", async () => {
  const server = accountServer();
  const storage = memoryStorage();
  const one = device(server, storage);
  const two = device(server, storage, one.clock);
  await one.client.accounts.login(credentials);
  one.clock.sleep(900_000);
  server.hold();
  const call = one.client.accounts.me();
  await settle();
  await two.client.accounts.login(credentials);
  server.release();
  assert.deepEqual(await call, ann);
  assert.match(await storedIn(storage), /"refresh-2"/);
});

test("a chat ends when somebody else signs in in another tab, and sends nothing in their name", async () => {
  const server = accountServer();
  const { client, clock, storage, asked } = device(server);
  await client.accounts.login(credentials);
  const chat = await openChat(client);
  const bob = { ...ann, id: 8, username: "bob" };
  server.state.issued = 2;
  await storage.save(sessionKey, JSON.stringify({ ...kept(2), account: bob }));
  clock.sleep(900_000);
  // What one person asks for is not done in another one's name, nor what they wrote before this tab knew.
  await chat.send(1, "in whose name?");
  assert.equal(await outcomeOf(client.accounts.me()), "signed_out");
  assert.deepEqual(client.account.get(), bob);
  await client.accounts.me();
  assert.equal(asked.at(-1)?.headers["authorization"], "Bearer access-2");
  assert.equal(await outcomeOf(chat.send(1, "and now?")), "stopped");
  await clock.pass(60_000);
  assert.ok(asked.every(({ method, path }) => method !== "POST" || !path.endsWith("/messages")));
  assert.equal((await storage.load("outbox/7/")).size, 1);
  client.stop();
});

test("a storage that keeps nothing does not bring an older sign-in back", async () => {
  const server = accountServer();
  const memory = memoryStorage();
  let full = false;
  const storage: ClientStorage = {
    ...memory,
    save: (key, text) => (full ? Promise.reject(new Error("full")) : memory.save(key, text)),
  };
  const { client, clock, storageErrors } = device(server, storage);
  await client.accounts.login(credentials);
  assert.deepEqual(storageErrors, []);
  full = true;
  for (let round = 0; round < 3; round++) {
    clock.sleep(900_000);
    assert.deepEqual(await client.accounts.me(), ann);
  }
  assert.equal(server.state.issued, 4);
  assert.deepEqual(storageErrors, ["full", "full", "full"]);
});

test("somebody who is told late that a sign-in is over does not end the one that came after it", async () => {
  const server = accountServer();
  const storage = memoryStorage();
  const [one, two] = [device(server, storage), device(server, storage)];
  await one.client.accounts.login(credentials);
  await two.client.whoAmI();
  two.client.start();
  await settle();
  const socket = await two.sockets.welcome(two.clock);
  await one.client.accounts.logout();
  await one.client.accounts.login(credentials);
  const accounts: unknown[] = [];
  two.client.account.subscribe((account) => accounts.push(account));
  socket.end(closeRules.session_ended.code);
  await settle();
  assert.match((await storage.load(sessionKey)).get(sessionKey) ?? "", /"refresh-2"/);
  assert.deepEqual(accounts, []);
  assert.equal(two.client.connection.get().state, "connecting");
  assert.deepEqual(await two.client.accounts.me(), ann);
  assert.equal(server.state.refreshes, 0, "the sign-in of the other tab was taken over");

  // And one that is over is over, for both.
  server.state.ended = true;
  (await two.sockets.welcome(two.clock)).end(closeRules.session_ended.code);
  await settle();
  assert.deepEqual(accounts, [undefined]);
  assert.equal((await storage.load("")).size, 0);
  two.client.stop();
});

const storedIn = async (storage: ClientStorage): Promise<string> =>
  (await storage.load(sessionKey)).get(sessionKey) ?? "";

test("a new name is known at once, and stored by the next renewal", async () => {
  const server = accountServer();
  const { client, clock, storage } = device(server);
  await client.accounts.login(credentials);
  assert.equal((await client.accounts.rename("Annabel")).name, "Annabel");
  assert.equal(client.account.get()?.name, "Annabel");
  assert.equal((await client.whoAmI()).name, "Annabel");
  clock.sleep(900_000);
  await client.accounts.me();
  assert.equal((await device(server, storage).client.whoAmI()).name, "Annabel");
});

test("a new name does not put back tokens that another tab has renewed", async () => {
  const server = accountServer();
  server.state.patient = true;
  const storage = memoryStorage();
  const one = device(server, storage);
  const two = device(server, storage, one.clock);
  await one.client.accounts.login(credentials);
  await two.client.whoAmI();
  one.clock.sleep(895_000);
  await one.client.accounts.me();
  const renewed = await storedIn(storage);
  assert.match(renewed, /"refresh-2"/);
  await two.client.accounts.rename("Annabel");
  assert.equal(await storedIn(storage), renewed);
  assert.equal(two.client.account.get()?.name, "Annabel");
  one.clock.sleep(900_000);
  assert.equal((await one.client.accounts.me()).name, "Annabel", "the sign-in goes on");
});

test("a new name of one person does not put back their sign-in over that of another one, nor after they signed out", async () => {
  const server = accountServer();
  server.state.patient = true;
  const storage = memoryStorage();
  const [one, two] = [device(server, storage), device(server, storage)];
  await one.client.accounts.login(credentials);
  await two.client.whoAmI();
  server.state.person = { ...ann, id: 8, username: "bob" };
  await one.client.accounts.login({ ...credentials, login: "bob" });
  await two.client.accounts.rename("Annabel");
  assert.equal((await device(server, storage).client.whoAmI()).username, "bob");
  await one.client.accounts.logout();
  await two.client.accounts.rename("Annabelle");
  assert.equal((await storage.load("")).size, 0);
});

test("a new name that comes while the tokens are renewed ends neither the renewal nor the connection", async () => {
  const server = accountServer();
  const { client, clock, storage, sockets } = device(server);
  await client.accounts.login(credentials);
  client.start();
  await settle();
  const socket = await sockets.welcome(clock);
  server.hold();
  socket.receive({ type: "token.expiring", expires_at: new Date(clock.now() + 60_000).toISOString() });
  await settle();
  assert.equal(server.state.refreshes, 1);
  await client.accounts.rename("Annabel");
  server.release();
  await settle();
  assert.match(await storedIn(storage), /"refresh-2"/);
  assert.deepEqual(socket.of("auth").at(-1), { type: "auth", id: 0, token: "access-2" });
  assert.equal(client.connection.get().state, "open");
  assert.equal(client.account.get()?.name, "Annabel");
  // The same person under another name is no reason for another connection.
  assert.equal(sockets.all.length, 1);
  client.stop();
});

/** A client that is connected, and is told that its sign-in is over. */
async function toldOfEnd(server: ReturnType<typeof accountServer>) {
  const told = device(server);
  await told.client.accounts.login(credentials);
  told.client.start();
  await settle();
  const socket = await told.sockets.welcome(told.clock);
  server.hold();
  socket.end(closeRules.session_ended.code);
  await settle();
  assert.equal(server.state.refreshes, 1);
  return told;
}

test("when nobody can say whether a sign-in is over, the next connection is told", async () => {
  const server = accountServer();
  server.state.away = true;
  const { client, clock, sockets } = await toldOfEnd(server);
  await clock.pass(10_000);
  assert.equal(sockets.all.length, 2);
  client.stop();
});

test("a client that is stopped while it is asked whether a sign-in is over stays stopped", async () => {
  const server = accountServer();
  const { client, sockets } = await toldOfEnd(server);
  client.stop();
  server.release();
  await settle();
  assert.equal(client.connection.get().state, "closed");
  assert.equal(sockets.all.length, 1);
});

test("a key that the server does not know is refused in the server's words", async () => {
  const client = createClient({
    url: "http://server",
    credentials: "wrong",
    clock: new ManualClock(),
    fetch: fakeFetch(() => problem(401, "unauthorized", { request_id: "r1" })),
    webSocket: new FakeSockets().make,
  });
  await assert.rejects(client.accounts.me(), { code: "unauthorized", status: 401, requestId: "r1" });
});

test("a storage that cannot be read is an error, and asked again later", async () => {
  const server = accountServer();
  const memory = memoryStorage();
  await memory.save(sessionKey, JSON.stringify(kept(0)));
  let broken = true;
  const storage: ClientStorage = {
    ...memory,
    load: (prefix) => (broken ? Promise.reject(new Error("locked")) : memory.load(prefix)),
  };
  const { client, storageErrors } = device(server, storage);
  assert.equal(await outcomeOf(client.accounts.me()), "storage_failed");
  assert.deepEqual(storageErrors, ["locked"]);
  broken = false;
  assert.deepEqual(await client.accounts.me(), ann);
});

test("what another version has stored is nobody's sign-in", async () => {
  const server = accountServer();
  for (const text of ["{", "null", "{}", '"x"']) {
    const storage = memoryStorage();
    await storage.save(sessionKey, text);
    assert.equal(await outcomeOf(device(server, storage).client.accounts.me()), "signed_out");
  }
});

test("a fixed credential is not offered again once it is refused", async () => {
  const tokens = fixedToken("key");
  assert.equal(await tokens.token(), "key");
  assert.equal(await outcomeOf(tokens.token("key")), "signed_out");
});

test("an outside issuer is asked once at a time, only for another token, and not in a circle", async () => {
  let n = 0;
  let made = "t1";
  const tokens = tokensFrom(async () => {
    n++;
    await settle();
    return made;
  }, new ManualClock());
  assert.deepEqual(await Promise.all([tokens.token(), tokens.token()]), ["t1", "t1"]);
  assert.equal(await tokens.token(), "t1");
  assert.equal(n, 1);
  made = "t2";
  assert.deepEqual(await Promise.all([tokens.token("t1"), tokens.token("t1")]), ["t2", "t2"]);
  assert.equal(n, 2);
  await assert.rejects(tokens.token("t2"), { code: "signed_out" });
  assert.equal(n, 3);
});

test("an issuer that says that nobody is signed in ends the connection; one that fails is asked again", async () => {
  const clock = new ManualClock();
  const said: unknown[] = [new Error("the issuer is down"), clientError("signed_out")];
  const client = createClient({
    url: "http://server",
    credentials: () => Promise.reject(said.shift()),
    clock,
    random: () => 0.5,
    network: new FakeNetwork(),
    webSocket: new FakeSockets().make,
  });
  client.start();
  await settle();
  assert.equal(client.connection.get().state, "waiting");
  await clock.pass(1_000);
  assert.deepEqual([client.connection.get().state, client.connection.get().reason], ["closed", "signed_out"]);
});
