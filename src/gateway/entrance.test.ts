import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { Type } from "typebox";
import { WebSocket } from "ws";
import { closeRules } from "../../protocol/close-codes.ts";
import { type ServerFrame, subprotocol } from "../../protocol/frames.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { manualClock } from "../../test/harness.ts";
import type { Access } from "../access/access.ts";
import type { Actor } from "../access/actor.ts";
import { placeOfHeaders } from "../access/development.ts";
import { createPersonRate } from "../access/person-rate.ts";
import { readConfig } from "../config.ts";
import { jsonText } from "../eventlog/eventlog.ts";
import { AppError } from "../lib/errors.ts";
import { createLogger } from "../lib/logger.ts";
import { createMetrics } from "../observe/metrics.ts";
import { memoryLog, person, settled, setNow } from "./delivery.fixture.ts";
import { authWithinMs } from "./entrance.ts";
import { Gateway } from "./gateway.ts";
import { createLocalSignals } from "./signals.ts";

type World = {
  /** Who shows which token. */
  readonly tokens?: Readonly<Record<string, Actor>>;
  readonly authorize?: (actor: Actor) => Promise<void>;
  /** Frames of one connection per second, and at once. */
  readonly rate?: string;
  /** What is thrown at other tokens. */
  readonly refusal?: Error;
};

/** A gateway behind a server of its own. */
async function open(t: TestContext, world: World = {}) {
  const { tokens = {}, authorize, rate = "50/200", refusal = new AppError("unauthorized") } = world;
  const eventlog = memoryLog();
  const clock = manualClock();
  const access: Pick<Access, "authenticate"> = {
    authenticate: (token) => {
      const actor = tokens[token];
      return actor === undefined ? Promise.reject(refusal) : Promise.resolve(actor);
    },
  };
  const room = {
    kind: "room",
    entries: { said: Type.Unknown() },
    authorize: authorize ?? (() => Promise.resolve()),
  };
  const gateway = await Gateway.start(
    {
      access: access as Access,
      clock,
      config: readConfig({ RATE_LIMIT_FRAMES: rate }),
      eventlog,
      log: createLogger("silent"),
      metrics: createMetrics({ process: false }),
      personRate: createPersonRate({ perSecond: 50, burst: 1_000 }, { clock }),
      signals: createLocalSignals(),
    },
    [{ name: "rooms", routes: [], consumers: [], timers: [], topics: [room] }],
  );
  const server = createServer();
  server.on("upgrade", (request, stream, head) => {
    const refuse = (): void => assert.fail("nobody is refused here");
    const place = placeOfHeaders(request.headers);
    const socket = stream as Socket;
    void gateway.entrance.upgrade({ request, socket, head, address: "127.0.0.1", place, refuse });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const clients: WebSocket[] = [];
  t.after(async () => {
    for (const ws of clients) ws.terminate();
    // All timers of this test must be gone before another one mocks them anew.
    await new Promise((resolve) => server.close(resolve));
    await gateway.close();
  });
  return {
    gateway,
    say: async (text: string) => {
      const entry = { id: uuidv7(), topic: "room/1", type: "said", actor: "system", data: jsonText(text) };
      await eventlog.append([entry]);
    },
    /** A client that stands, with a token if one is named. */
    connect: async (token?: string) => {
      const query = token === undefined ? "" : `?token=${token}`;
      const ws = new WebSocket(`ws://127.0.0.1:${port}/ws${query}`, subprotocol);
      clients.push(ws);
      const frames: ServerFrame[] = [];
      ws.on("message", (data: Buffer) => frames.push(JSON.parse(data.toString()) as ServerFrame));
      const closed = once(ws, "close") as Promise<[code: number, text: Buffer]>;
      await once(ws, "open");
      return {
        ws,
        frames,
        send: (frame: unknown) => ws.send(JSON.stringify(frame)),
        /** Resolves when all that was sent has come, and all answers to it. */
        roundTrip: async () => {
          await settled();
          ws.ping();
          const end = closed.then(([code]) => assert.fail(`closed with ${code}`));
          await Promise.race([once(ws, "pong"), end]);
          await settled();
        },
        code: async () => (await closed)[0],
        /** What it was told about its end. */
        text: async () => String((await closed)[1]),
      };
    },
  };
}

test("whoever shows no credentials is sent away when their time is over, and not before", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { connect } = await open(t);
  const { ws, roundTrip, code } = await connect();
  await roundTrip();
  t.mock.timers.tick(authWithinMs - 1);
  await roundTrip();
  assert.equal(ws.readyState, WebSocket.OPEN);
  t.mock.timers.tick(1);
  assert.equal(await code(), closeRules.auth_timeout.code);
});

test("whoever has shown credentials in time is not waited for any longer", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const scopes = new Set<never>();
  const bot: Actor = { kind: "key", id: 1, name: "bot", scopes, sourceId: undefined };
  const { connect, gateway } = await open(t, { tokens: { bot } });
  const { ws, send, frames, roundTrip } = await connect();
  send({ type: "auth", token: "bot" });
  await roundTrip();
  assert.deepEqual(
    frames.map(({ type }) => type),
    ["hello"],
  );
  const ended = t.mock.method(gateway, "end");
  t.mock.timers.tick(authWithinMs);
  await roundTrip();
  assert.deepEqual([ws.readyState, ended.mock.callCount()], [WebSocket.OPEN, 0]);
});

test("whoever goes without having shown credentials is not waited for any longer", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { connect, gateway } = await open(t);
  const forgotten = t.mock.method(gateway, "forget");
  const { ws } = await connect();
  // Without a word: the timer of a close that is answered would be mocked, too.
  ws.terminate();
  while (forgotten.mock.callCount() === 0) await settled();
  const ended = t.mock.method(gateway, "end");
  t.mock.timers.tick(authWithinMs);
  assert.equal(ended.mock.callCount(), 0);
});

for (const kind of ["ping", "pong"] as const) {
  test(`so many ${kind}s come at once, as many again, and one more ends the connection`, async (t) => {
    setNow(t, () => 1_000);
    const { connect } = await open(t, { tokens: { ann: person() }, rate: "1/5" });
    const { ws, roundTrip, code } = await connect("ann");
    for (let i = 1; i < 10; i++) ws[kind]();
    await roundTrip();
    assert.equal(ws.readyState, WebSocket.OPEN);
    ws[kind]();
    assert.equal(await code(), closeRules.rate_limited.code);
  });
}

const manager = person({ scopes: new Set(["chat:manage"]) });
const both = person({ scopes: new Set(["chat:manage", "inbox:read"]) });
const admin = person({ role: "admin", scopes: new Set(["chat:manage"]) });
const nobody = person();

/** A connection of `before` that reads a room, which nobody may from then on who is asked for anew. */
async function openRenewing(t: TestContext, before: Actor, refusal: Error = new AppError("not_found")) {
  const asked: Actor[] = [];
  let over = false;
  const tokens = { before, manager, both, admin, nobody, other: person({ id: 2 }) };
  const { connect, say } = await open(t, {
    tokens,
    authorize: (actor) => {
      asked.push(actor);
      return over ? Promise.reject(refusal) : Promise.resolve();
    },
  });
  const client = await connect("before");
  client.send({ type: "subscribe", id: 1, topics: ["room/1"] });
  await client.roundTrip();
  client.frames.length = 0;
  asked.length = 0;
  over = true;
  return {
    ...client,
    /** Whom it was asked about since. */
    asked,
    renew: async (token: keyof typeof tokens) => {
      client.send({ type: "auth", id: 2, token });
      await client.roundTrip();
      await say("words");
      await client.roundTrip();
      return client.frames.map(({ type }) => type);
    },
  };
}

test("whoever renews with as many rights or more is asked for nothing, and loses nothing", async (t) => {
  for (const [before, token] of [
    [manager, "manager"],
    [manager, "both"],
    [nobody, "manager"],
    [nobody, "nobody"],
  ] as const) {
    const { renew, asked } = await openRenewing(t, before);
    assert.deepEqual([await renew(token), asked], [["renewed", "entry"], []]);
  }
});

test("whoever renews with fewer rights loses what they may no longer read, before they are told that they go on", async (t) => {
  for (const [before, token] of [
    [manager, "nobody"],
    [both, "manager"],
    [admin, "manager"],
    [person({ scopes: new Set(["inbox:read"]) }), "manager"],
  ] as const) {
    const { renew, asked, ws, send, roundTrip } = await openRenewing(t, before);
    const now = token === "nobody" ? nobody : manager;
    assert.deepEqual([await renew(token), asked], [["removed", "renewed"], [now]]);
    assert.equal(ws.readyState, WebSocket.OPEN);
    send({ type: "subscribe", id: 3, topics: ["room/1"] });
    await roundTrip();
    assert.deepEqual(asked, [now, now], "what is asked for later is asked in the name of the newer token");
  }
});

test("where it cannot be found out what somebody may still read, they are to come back", async (t) => {
  for (const [error, reason] of [
    [new AppError("unavailable"), "unavailable"],
    [new TypeError("a mistake"), "internal"],
  ] as const) {
    const { send, code, frames } = await openRenewing(t, manager, error);
    send({ type: "auth", id: 2, token: "nobody" });
    assert.equal(await code(), closeRules[reason].code);
    assert.deepEqual(frames, []);
  }
});

test("a token of somebody else changes nothing", async (t) => {
  const { renew, asked } = await openRenewing(t, manager);
  assert.deepEqual([await renew("other"), asked], [["error", "entry"], []]);
});

test("whoever is turned away is told what is wrong with their credentials, and nothing of a mistake of the server", async (t) => {
  for (const [refusal, reason, text] of [
    [
      new AppError("unauthorized", { detail: "The token has expired" }),
      "unauthorized",
      "The token has expired",
    ],
    [new AppError("forbidden", { detail: "no place here" }), "forbidden", "no place here"],
    [new AppError("unauthorized"), "unauthorized", closeRules.unauthorized.meaning],
    [new AppError("internal", { detail: "a secret" }), "internal", closeRules.internal.meaning],
    [new TypeError("a secret"), "internal", closeRules.internal.meaning],
  ] as const) {
    const { connect } = await open(t, { refusal });
    const early = await connect("stranger");
    const late = await connect();
    late.send({ type: "auth", token: "stranger" });
    for (const one of [early, late])
      assert.deepEqual([await one.code(), await one.text()], [closeRules[reason].code, text]);
  }
});
