import assert from "node:assert/strict";
import { test } from "node:test";
import { closeRules } from "../protocol/close-codes.ts";
import { createClient } from "./client.ts";
import { Connection, type ConnectionView } from "./connection.ts";
import { connectMs } from "./connection-steps.ts";
import { getTokenMs } from "./tokens.ts";
import { clientError } from "./errors.ts";
import { requestTimeoutMs, requestsWaitingMax } from "./requests.ts";
import {
  FakeNetwork,
  FakeSocket,
  FakeSockets,
  ManualClock,
  fakeFetch,
  helloFrame,
  outcomeOf,
  problem,
  settle,
} from "./world.fixture.ts";

/** A client with a token of an outside issuer, which counts its tokens. */
function start(options: { readonly getToken?: () => Promise<string>; readonly autostart?: boolean } = {}) {
  const clock = new ManualClock();
  const sockets = new FakeSockets();
  const network = new FakeNetwork();
  const errors: unknown[] = [];
  let issued = 0;
  const client = createClient({
    url: "https://server/base/",
    credentials: options.getToken ?? (() => Promise.resolve(`token-${++issued}`)),
    clock,
    random: () => 0.5,
    network,
    webSocket: sockets.make,
    fetch: fakeFetch(() => problem(404, "not_found")),
    onError: (error) => errors.push(error),
  });
  const views: ConnectionView[] = [];
  client.connection.subscribe((view) => views.push(view));
  if (options.autostart !== false) client.start();
  return { client, clock, sockets, network, errors, views, issued: () => issued };
}

test("a client connects when it is started, shows its token in the first frame, and says so", async () => {
  const { client, clock, sockets, views } = start({ autostart: false });
  await settle();
  assert.equal(sockets.all.length, 0);
  client.start();
  await settle();
  assert.equal(sockets.last.url, "wss://server/base/ws");
  assert.deepEqual(sockets.last.protocols, ["tidings.v1"]);
  const socket = await sockets.welcome(clock);
  assert.deepEqual(socket.sent, [{ type: "auth", id: 0, token: "token-1" }]);
  assert.deepEqual(
    views.map(({ state }) => state),
    ["preparing", "connecting", "authenticating", "open"],
  );
  assert.deepEqual(client.connection.get(), {
    state: "open",
    online: true,
    attempt: 0,
    connectionId: "0198f000-0000-7000-8000-000000000001",
    userId: 7,
  });
});

test("starting twice opens one connection", async () => {
  const { client, sockets } = start();
  client.start();
  await settle();
  client.start();
  assert.equal(sockets.all.length, 1);
});

test("a listener is told of another view only, and not after it has ended", async () => {
  const { client, clock, sockets, views } = start();
  await settle();
  let told = 0;
  const end = client.connection.subscribe(() => told++);
  const socket = await sockets.welcome(clock);
  assert.equal(told, 2);
  socket.receive({ type: "pong", server_time: "2026-01-01T00:00:00.000Z" });
  assert.equal(told, 2);
  end();
  client.stop();
  assert.equal(told, 2);
  assert.equal(views.at(-1)?.reason, "stopped");
});

test("a connection that is lost comes back after a pause with jitter", async () => {
  const { client, clock, sockets } = start();
  await settle();
  await sockets.welcome(clock);
  sockets.last.end();
  assert.deepEqual(client.connection.get(), {
    state: "waiting",
    online: true,
    attempt: 1,
    retryAt: clock.now() + 250,
  });
  await clock.pass(249);
  assert.equal(sockets.all.length, 1);
  await clock.pass(1);
  assert.equal(sockets.all.length, 2);
  assert.equal(sockets.most, 1);
});

test("a connection that never says hello is given up", async () => {
  const { clock, sockets } = start();
  await settle();
  sockets.last.open();
  await clock.pass(connectMs - 1);
  assert.equal(sockets.last.over, false);
  await clock.pass(1);
  assert.equal(sockets.last.over, true);
  await clock.pass(1_000);
  assert.equal(sockets.all.length, 2);
  assert.equal(sockets.most, 1);
});

test("a token that does not come is asked for again", async () => {
  let asked = 0;
  const { client, clock, sockets } = start({
    getToken: () => (++asked === 1 ? new Promise<string>(() => undefined) : Promise.resolve("token")),
  });
  await clock.pass(getTokenMs);
  assert.equal(asked, 1);
  assert.equal(client.connection.get().state, "waiting");
  await clock.pass(1_000);
  assert.equal(asked, 2);
  assert.equal(sockets.all.length, 1);
});

test("an answer to an older question for a token counts no more", async () => {
  const questions: PromiseWithResolvers<string>[] = [];
  const connection = new Connection(
    {
      url: "ws://server/ws",
      tokens: {
        token: () => {
          const question = Promise.withResolvers<string>();
          questions.push(question);
          return question.promise;
        },
      },
      makeSocket: (url, protocols) => new FakeSocket(url, protocols),
      network: new FakeNetwork(),
      clock: new ManualClock(),
      random: () => 0.5,
      onError: () => undefined,
    },
    { opened: () => undefined, frame: () => undefined, lost: () => undefined },
  );
  connection.start();
  connection.stop();
  connection.start();
  questions[0]?.reject(clientError("signed_out"));
  await settle();
  assert.equal(connection.view.get().state, "preparing");
  questions[1]?.resolve("token");
  await settle();
  assert.equal(connection.view.get().state, "connecting");
});

test("what an old socket says while it is taken down reaches nobody", async () => {
  const { client, clock, sockets } = start();
  await settle();
  const old = await sockets.welcome(clock);
  // Nothing is heard, nothing answers the ping: it is dead, and its close event takes its time.
  await clock.pass(25_000);
  assert.equal(old.of("ping").length, 1);
  await clock.pass(25_000);
  assert.equal(old.closedByClient, closeRules.dead.code);
  await clock.pass(1_000);
  const fresh = await sockets.welcome(clock);
  old.receive({ type: "server.draining", close_within_ms: 0 });
  old.end(closeRules.forbidden.code);
  assert.equal(client.connection.get().state, "open");
  assert.equal(fresh.over, false);
  assert.equal(sockets.most, 1);
});

test("any frame is a sign of life", async () => {
  const { client, clock, sockets } = start();
  await settle();
  const socket = await sockets.welcome(clock, { expires_at: new Date(clock.now() + 1e9).toISOString() });
  for (let i = 0; i < 10; i++) {
    await clock.pass(20_000);
    socket.receive({ type: "positions", positions: {} });
  }
  assert.equal(client.connection.get().state, "open");
  assert.deepEqual(socket.of("ping"), []);
});

test("a draining server is left for another one within the time it gives", async () => {
  const { client, clock, sockets } = start();
  await settle();
  const old = await sockets.welcome(clock);
  old.receive({ type: "server.draining", close_within_ms: 10_000 });
  assert.equal(client.connection.get().state, "draining");
  await clock.pass(3_999);
  assert.equal(old.over, false);
  await clock.pass(1);
  assert.equal(old.closedByClient, 1000);
  await sockets.welcome(clock);
  assert.equal(client.connection.get().state, "open");
  assert.equal(sockets.all.length, 2);
  assert.equal(sockets.most, 1);
});

test("the token is renewed over the open connection, before it ends and when the server says so", async () => {
  const { client, clock, sockets, issued } = start();
  await settle();
  const socket = await sockets.welcome(clock, { heartbeat_ms: 10_000_000 });
  await clock.pass(840_000);
  assert.deepEqual(socket.of("auth").at(-1), { type: "auth", id: 0, token: "token-2" });
  const expires_at = new Date(clock.now() + 900_000).toISOString();
  socket.receive({ type: "renewed", id: 0, expires_at });
  socket.receive({ type: "token.expiring", expires_at });
  await settle();
  assert.equal(issued(), 3);
  assert.equal(socket.of("auth").length, 3);
  assert.equal(client.connection.get().state, "open");
  assert.equal(sockets.all.length, 1);
});

test("a token that is good for months is renewed when it ends, not when a timer can wait no longer", async () => {
  const { clock, sockets, issued } = start();
  await settle();
  const days = 60 * 86_400_000;
  const expires_at = new Date(clock.now() + days).toISOString();
  const socket = await sockets.welcome(clock, { heartbeat_ms: 2 * days, expires_at });
  await clock.pass(days - 60_001);
  assert.equal(issued(), 1);
  await clock.pass(1);
  assert.equal(socket.of("auth").length, 2);
});

test("a newer token that is refused ends the connection, and another one is tried once", async () => {
  const { client, clock, sockets } = start();
  await settle();
  const socket = await sockets.welcome(clock);
  const error = { code: "unauthorized", title: "No", retry: "no" } as const;
  socket.receive({ type: "error", id: 0, error });
  await settle();
  assert.equal(socket.over, true);
  const second = sockets.last;
  assert.notEqual(second, socket);
  second.open();
  second.receive({ type: "error", id: 0, error });
  await clock.pass(60_000);
  assert.deepEqual(client.connection.get(), {
    state: "closed",
    online: true,
    attempt: 0,
    reason: "refused",
    code: closeRules.unauthorized.code,
  });
  assert.equal(sockets.all.length, 2);
  assert.equal(clock.timers, 0);
});

test("a static token that the server refuses is not shown again and again", async () => {
  const clock = new ManualClock();
  const sockets = new FakeSockets();
  const client = createClient({
    url: "http://server",
    credentials: "key",
    clock,
    random: () => 0,
    webSocket: sockets.make,
  });
  client.start();
  await settle();
  sockets.last.open();
  sockets.last.end(closeRules.unauthorized.code);
  await clock.pass(600_000);
  assert.equal(client.connection.get().reason, "signed_out");
  assert.equal(sockets.all.length, 1);
});

test("the network's return is an attempt at once, its absence stops them", async () => {
  const { client, clock, sockets, network } = start();
  await settle();
  await sockets.welcome(clock);
  network.tell(false);
  sockets.last.end();
  assert.equal(client.connection.get().state, "offline");
  await clock.pass(19_000);
  assert.equal(sockets.all.length, 1);
  network.tell(true);
  await settle();
  assert.equal(sockets.all.length, 2);
  client.stop();
  assert.equal(network.listeners, 0);
});

test("a server that speaks another version is left alone", async () => {
  const { client, clock, sockets } = start();
  await settle();
  await sockets.welcome(clock, { protocol: 2 });
  await clock.pass(600_000);
  assert.deepEqual(client.connection.get().code, closeRules.protocol_error.code);
  assert.equal(sockets.all.length, 1);
  assert.equal(sockets.last.over, true);
});

test("frames that are none, and frames of a newer server, disturb nothing", async () => {
  const { client, clock, sockets, errors } = start();
  await settle();
  const socket = await sockets.welcome(clock);
  for (const text of [
    "",
    "{",
    "null",
    "[]",
    "7",
    '{"type":7}',
    '{"type":"later.than.us"}',
    new Uint8Array(3),
  ]) {
    socket.receiveText(text);
  }
  assert.equal(client.connection.get().state, "open");
  assert.deepEqual(errors, []);
});

test("a request gets its answer, its refusal, or the news that nobody knows", async () => {
  const { client, clock, sockets } = start();
  assert.equal(await outcomeOf(client.request("typing.set", {})), "disconnected");
  await settle();
  const socket = await sockets.welcome(clock);
  const [one, two, three] = [1, 2, 3].map((n) => client.request("read.mark", { room_id: 1, seq: n }));
  const [first, second] = socket.of("request");
  assert.deepEqual(first, { type: "request", name: "read.mark", params: { room_id: 1, seq: 1 }, id: 1 });
  const error = { code: "forbidden", title: "No", retry: "no", detail: "not yours" } as const;
  socket.receive({ type: "error", id: second?.id ?? 0, error });
  socket.receive({ type: "answer", id: first?.id ?? 0, data: { unread: 0 } });
  // An answer to nothing.
  socket.receive({ type: "answer", id: 99, data: null });
  assert.deepEqual(await one, { unread: 0 });
  await assert.rejects(two ?? Promise.resolve(), {
    code: "forbidden",
    status: 403,
    message: "No: not yours",
  });
  socket.end();
  assert.equal(await outcomeOf(three ?? Promise.resolve()), "disconnected");
});

test("a request without an answer in time is an error", async () => {
  const { client, clock, sockets } = start();
  await settle();
  await sockets.welcome(clock);
  const request = client.request("typing.set", {});
  const outcome = request.catch((error: unknown) => (error as { code: string }).code);
  await clock.pass(requestTimeoutMs - 1);
  assert.equal(await outcomeOf(outcome), "waiting");
  await clock.pass(1);
  assert.equal(await outcome, "timeout");
});

test("no more requests are in flight, and no more come in a second, than the server allows", async () => {
  const { client, clock, sockets } = start();
  await settle();
  const { limits } = helloFrame(clock);
  const socket = await sockets.welcome(clock, {
    limits: { ...limits, requests_in_flight: 5, frames_burst: 10, frames_per_second: 10 },
  });
  const requests = Array.from({ length: 30 }, (_, n) => client.request("r", { n }));
  assert.equal(socket.of("request").length, 5);
  const answered = new Set<number>();
  const answerAll = (): void => {
    for (const { id } of socket.of("request")) {
      if (answered.has(id)) continue;
      answered.add(id);
      socket.receive({ type: "answer", id, data: id });
    }
  };
  for (let i = 0; i < 10; i++) answerAll();
  // The burst is used up, but for what is kept for pings and tokens.
  assert.equal(socket.of("request").length, 6);
  const begun = clock.now();
  while (answered.size < 30) {
    await clock.pass(50);
    answerAll();
  }
  assert.ok(clock.now() - begun >= (24 / 10) * 1000, "faster than the server allows");
  assert.deepEqual(
    await Promise.all(requests),
    Array.from({ length: 30 }, (_, n) => n + 1),
  );
});

test("one request more than may wait is refused", async () => {
  const { client, clock, sockets } = start();
  await settle();
  const { limits } = helloFrame(clock);
  await sockets.welcome(clock, { limits: { ...limits, requests_in_flight: 1 } });
  const requests = Array.from({ length: requestsWaitingMax + 1 }, () => client.request("r", {}));
  const tooMany = client.request("r", {});
  assert.equal(await outcomeOf(tooMany), "too_many_requests");
  client.stop();
  const outcomes = await Promise.all(requests.map(outcomeOf));
  assert.deepEqual(new Set(outcomes), new Set(["stopped"]));
});

test("a request that is larger than a frame may be is not sent", async () => {
  const { client, clock, sockets } = start();
  await settle();
  const { limits } = helloFrame(clock);
  const socket = await sockets.welcome(clock, { limits: { ...limits, frame_bytes: 200 } });
  const bytes = (text: string): number =>
    Buffer.byteLength(JSON.stringify({ type: "request", name: "r", params: { text }, id: 1 }));
  const room = 200 - bytes("");
  const fits = "я".repeat(room >> 1) + "a".repeat(room & 1);
  assert.equal(bytes(fits), 200);
  client.request("r", { text: fits }).catch(() => undefined);
  assert.equal(await outcomeOf(client.request("r", { text: `${fits}a` })), "frame_too_large");
  assert.equal(socket.of("request").length, 1);
});

test("after stop nothing is told any more and no timer runs, and start begins anew", async () => {
  const { client, clock, sockets, views } = start();
  await settle();
  const socket = await sockets.welcome(clock);
  client.subscribe("room/1", {});
  await settle();
  client.stop();
  assert.equal(socket.closedByClient, 1000);
  assert.equal(clock.timers, 0);
  const told = views.length;
  socket.receive({ type: "server.draining", close_within_ms: 0 });
  socket.end();
  await clock.pass(600_000);
  assert.equal(views.length, told);
  client.start();
  await settle();
  await sockets.welcome(clock);
  assert.equal(client.connection.get().state, "open");
  assert.equal(sockets.most, 1);
});

test("what a listener throws fails nobody else", async () => {
  const { client, clock, sockets, errors, views } = start({ autostart: false });
  client.connection.subscribe(() => {
    throw new Error("mine");
  });
  client.start();
  await settle();
  await sockets.welcome(clock);
  assert.equal(views.at(-1)?.state, "open");
  assert.equal(errors.length, 4);
});

test("a listener may stop the client, and be heard", async () => {
  const { client, clock, sockets } = start({ autostart: false });
  client.connection.subscribe(({ state }) => {
    if (state === "open") client.stop();
  });
  client.start();
  await settle();
  await sockets.welcome(clock);
  assert.equal(client.connection.get().reason, "stopped");
  assert.equal(sockets.last.over, true);
  assert.equal(clock.timers, 0);
});

test("an address that is none is said at once", () => {
  assert.throws(() => createClient({ url: "chat.example.org" }), TypeError);
});
