import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { closeRules } from "../protocol/close-codes.ts";
import { connectBackoff } from "./backoff.ts";
import { probeMs, stableMs } from "./connection-link.ts";
import { initialState, step } from "./connection-machine.ts";
import {
  type ConnectionEvent,
  type ConnectionState,
  type Effect,
  type EventName,
  type EventOf,
  type StateName,
  type StateOf,
  eventNames,
  stateNames,
  timerNames,
} from "./connection-states.ts";
import { askedPauseMaxMs, connectMs } from "./connection-steps.ts";
import { clientError } from "./errors.ts";

const now = 1_000_000;
const at = { now, random: 0.5 };
const heartbeatMs = 25_000;

const trying = { attempt: 0, fresh: false, online: true } as const;
const link = { heartbeatMs, heardAt: now, aheadMs: 0, renewing: false } as const;
const linkTimers = { heartbeat: now + heartbeatMs, renew: now + 60_000, stable: now + stableMs };

const states: { readonly [N in StateName]: StateOf<N> } = {
  idle: { name: "idle", timers: {} },
  preparing: { ...trying, name: "preparing", timers: { deadline: now + 1 } },
  connecting: { ...trying, name: "connecting", timers: { deadline: now + 1 } },
  authenticating: { ...trying, name: "authenticating", timers: { deadline: now + 1 } },
  open: { ...trying, name: "open", timers: linkTimers, link },
  draining: { ...trying, name: "draining", timers: { ...linkTimers, leave: now + 1 }, link },
  waiting: { ...trying, name: "waiting", notBefore: 0, timers: { retry: now + 1 } },
  offline: { ...trying, name: "offline", online: false, notBefore: 0, timers: { retry: now + 1 } },
  closed: { name: "closed", reason: "stopped", timers: {} },
};

const events: { readonly [E in EventName]: EventOf<E> } = {
  start: { type: "start" },
  stop: { type: "stop" },
  online: { type: "online" },
  offline: { type: "offline" },
  token_ready: { type: "token_ready" },
  token_refused: { type: "token_refused" },
  token_failed: { type: "token_failed", error: clientError("network") },
  socket_opened: { type: "socket_opened" },
  socket_closed: { type: "socket_closed", code: 1006 },
  hello: { type: "hello", heartbeatMs, serverTime: now, expiresAt: now + 900_000 },
  heard: { type: "heard" },
  renewed: { type: "renewed", expiresAt: now + 900_000 },
  auth_refused: { type: "auth_refused", error: { retry: "no" } },
  expiring: { type: "expiring" },
  server_draining: { type: "server_draining", closeWithinMs: 5_000 },
  timer_deadline: { type: "timer_deadline" },
  timer_retry: { type: "timer_retry" },
  timer_heartbeat: { type: "timer_heartbeat" },
  timer_renew: { type: "timer_renew" },
  timer_stable: { type: "timer_stable" },
  timer_leave: { type: "timer_leave" },
};

/**
 * The whole table: every state (a column) and event (a row), and the state that follows; a dot is the same one. What
 * happens without a change of the name is in the tests below.
 */
const following = `
                 idle       preparing  connecting     authenticating  open       draining   waiting    offline    closed
start            preparing  .          .              .               .          .          preparing  preparing  preparing
stop             .          closed     closed         closed          closed     closed     closed     closed     .
online           .          .          .              .               .          .          preparing  preparing  .
offline          .          .          .              .               .          .          offline    .          .
token_ready      .          connecting .              .               .          .          .          .          .
token_refused    .          closed     .              .               closed     closed     .          .          .
token_failed     .          waiting    .              .               .          .          .          .          .
socket_opened    .          .          authenticating .               .          .          .          .          .
socket_closed    .          .          waiting        waiting         waiting    waiting    .          .          .
hello            .          .          .              open            .          .          .          .          .
heard            .          .          .              .               .          .          .          .          .
renewed          .          .          .              .               .          .          .          .          .
auth_refused     .          .          .              preparing       preparing  preparing  .          .          .
expiring         .          .          .              .               .          .          .          .          .
server_draining  .          .          .              waiting         draining   .          .          .          .
timer_deadline   .          waiting    waiting        waiting         .          .          .          .          .
timer_retry      .          .          .              .               .          .          preparing  preparing  .
timer_heartbeat  .          .          .              .               .          .          .          .          .
timer_renew      .          .          .              .               .          .          .          .          .
timer_stable     .          .          .              .               .          .          .          .          .
timer_leave      .          .          .              .               .          preparing  .          .          .
`;

const [head = "", ...rows] = following.trim().split("\n");
const columns = head.trim().split(/\s+/) as StateName[];
const table = new Map(
  rows.map((row) => {
    const [event = "", ...cells] = row.trim().split(/\s+/);
    return [event, new Map(cells.map((cell, i) => [columns[i], cell]))];
  }),
);

function after(state: ConnectionState, ...more: readonly ConnectionEvent[]): ConnectionState {
  return more.reduce((current, event) => step(current, event, at)[0], state);
}

function effectsOf(state: ConnectionState, event: ConnectionEvent, when = at): readonly string[] {
  return step(state, event, when)[1].map((effect) => effect.do);
}

test("the table below names every state and every event", () => {
  assert.deepEqual(columns, stateNames);
  assert.deepEqual([...table.keys()], eventNames);
  assert.equal(stateNames.length * eventNames.length, 189);
});

for (const state of stateNames) {
  test(`${state}: every event leads where the table says`, () => {
    for (const event of eventNames) {
      const cell = table.get(event)?.get(state);
      assert.ok(cell !== undefined, `${state} + ${event} has no cell`);
      const [next, effects] = step(states[state], events[event], at);
      assert.equal(next.name, cell === "." ? state : cell, event);
      assertSound(states[state], next, effects);
    }
  });
}

const withSocket = new Set<StateName>(["connecting", "authenticating", "open", "draining"]);
const linkedNames = new Set<StateName>(["open", "draining"]);

/** What holds for every step. `told` when the event itself says that the socket is closed. */
function assertSound(
  before: ConnectionState,
  next: ConnectionState,
  effects: readonly Effect[],
  told = false,
): void {
  const does = effects.map((effect) => effect.do);
  const count = (name: Effect["do"]): number => does.filter((item) => item === name).length;
  assert.equal(count("open_socket"), next.name === "connecting" && before.name !== "connecting" ? 1 : 0);
  if (does.includes("open_socket")) assert.ok(!withSocket.has(before.name), "it had a socket");
  const left = withSocket.has(before.name) && !withSocket.has(next.name);
  assert.ok(count("close_socket") <= (left ? 1 : 0), "closes what is not there or not left");
  if (told) assert.equal(count("close_socket"), 0);
  assert.equal(count("lost"), linkedNames.has(before.name) && !linkedNames.has(next.name) ? 1 : 0);
  assert.equal(count("opened"), linkedNames.has(next.name) && !linkedNames.has(before.name) ? 1 : 0);
  assert.equal(count("fetch_token") > 0 && next.name !== "preparing" && !linkedNames.has(next.name), false);
  const own: Record<StateName, readonly string[]> = {
    idle: [],
    preparing: ["deadline"],
    connecting: ["deadline"],
    authenticating: ["deadline"],
    open: ["heartbeat", "renew", "stable"],
    draining: ["heartbeat", "renew", "stable", "leave"],
    waiting: ["retry"],
    offline: ["retry"],
    closed: [],
  };
  for (const name of timerNames) {
    if (next.timers[name] !== undefined) assert.ok(own[next.name].includes(name), `${name} in ${next.name}`);
  }
  // Whoever is neither connected nor at the end has something to wait for.
  if (next.name !== "idle" && next.name !== "closed") assert.ok(Object.keys(next.timers).length > 0);
}

const anyEvent: fc.Arbitrary<ConnectionEvent> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...Object.values(events)) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(1000, 1002, 1006, ...Object.values(closeRules).map(({ code }) => code))
      .map((code): ConnectionEvent => ({ type: "socket_closed", code })),
  },
  { weight: 1, arbitrary: fc.constant<ConnectionEvent>({ type: "auth_refused", error: { retry: "later" } }) },
);

test("whatever happens in whatever order, no rule of the machine is broken", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(anyEvent, fc.nat(60_000), fc.double({ min: 0, max: 0.999, noNaN: true })), {
        maxLength: 60,
        size: "max",
      }),
      (run) => {
        let state = initialState;
        let time = now;
        let sockets = 0;
        for (const [event, ms, random] of run) {
          time += ms;
          // The shell tells of a socket only while there is one.
          const fromSocket = event.type.startsWith("socket_");
          if (fromSocket && sockets === 0) continue;
          if (event.type === "socket_closed") sockets = 0;
          const [next, effects] = step(state, event, { now: time, random });
          assertSound(state, next, effects, event.type === "socket_closed");
          for (const effect of effects) {
            if (effect.do === "close_socket") sockets = 0;
            if (effect.do === "open_socket") sockets++;
          }
          assert.ok(sockets <= 1, "two sockets");
          assert.equal(sockets === 1, withSocket.has(next.name), `a socket in ${next.name}`);
          if (next.timers.retry !== undefined && state.timers.retry === undefined) {
            const wait = next.timers.retry - time;
            assert.ok(wait >= 0 && wait <= Math.max(connectBackoff.maxMs, closeRules.rate_limited.waitMaxMs));
          }
          state = next;
        }
        const [end, effects] = step(state, events.stop, { now: time, random: 0 });
        assertSound(state, end, effects);
        assert.ok(end.name === "closed" || end.name === "idle");
        assert.deepEqual(end.timers, {});
      },
    ),
    { numRuns: 300 },
  );
});

test("pauses grow from half a second to twenty, with full jitter below", () => {
  const ceilings = Array.from({ length: 9 }, (_, attempt) => {
    const state: ConnectionState = { ...states.connecting, attempt };
    const most = step(state, events.socket_closed, { now, random: 0.999_999 })[0].timers.retry ?? 0;
    assert.equal(step(state, events.socket_closed, { now, random: 0 })[0].timers.retry, now);
    return Math.round(most - now);
  });
  assert.deepEqual(ceilings, [500, 800, 1_280, 2_048, 3_277, 5_243, 8_389, 13_422, 20_000]);
});

test("every close code is followed as its rule says", () => {
  for (const { code, reconnect, waitMaxMs } of Object.values(closeRules)) {
    const state: ConnectionState = { ...states.open, fresh: true };
    const [next] = step(state, { type: "socket_closed", code }, { now, random: 0.999_999 });
    if (!reconnect) {
      assert.deepEqual(next, { name: "closed", reason: "refused", code, timers: {} });
      continue;
    }
    assert.equal(next.name, "waiting", String(code));
    assert.equal(Math.round((next.timers.retry ?? 0) - now), Math.max(500, waitMaxMs), String(code));
  }
});

test("a pause that the server asked for is not cut short by a network that comes back, one of our own is", () => {
  const asked = after(states.open, { type: "socket_closed", code: closeRules.overloaded.code });
  const [still] = step(asked, events.online, at);
  assert.equal(still.name, "waiting");
  assert.equal(still.timers.retry, asked.timers.retry);
  const away = after(asked, events.offline);
  assert.equal(away.name, "offline");
  const back = after(away, events.online);
  assert.equal(back.name, "waiting");
  assert.equal(back.timers.retry, asked.timers.retry);

  const own = after(states.open, { type: "socket_closed", code: 1006 });
  assert.equal(after(own, events.online).name, "preparing");
  // Whoever asks for it in person gets it.
  assert.equal(after(asked, events.start).name, "preparing");
});

test("a pause that the server asks for has an end", () => {
  const error = { retry: "later", retry_after_s: 86_400 } as const;
  const [next] = step(states.authenticating, { type: "auth_refused", error }, { now, random: 0 });
  assert.equal(next.timers.retry, now + askedPauseMaxMs);
});

test("without a network it is tried now and then all the same", () => {
  const [next] = step(states.waiting, events.offline, at);
  assert.equal(next.timers.retry, now + connectBackoff.maxMs);
  assert.equal(after(next, events.timer_retry).name, "preparing");
});

test("a refused token is replaced once, and refused again it is the end", () => {
  const refused: ConnectionEvent = { type: "socket_closed", code: closeRules.unauthorized.code };
  const [again, effects] = step(states.authenticating, refused, at);
  assert.deepEqual(effects, [{ do: "fetch_token", fresh: true }]);
  const second = after(again, events.token_ready, events.socket_opened);
  assert.equal(second.name, "authenticating");
  assert.deepEqual(after(second, refused), {
    name: "closed",
    reason: "refused",
    code: closeRules.unauthorized.code,
    timers: {},
  });
  // Once a connection has lasted, a refusal is news again.
  const lasted = after(second, events.hello, events.timer_stable);
  assert.equal(after(lasted, refused).name, "preparing");
});

test("an expired token is replaced before the next attempt", () => {
  const waiting = after(states.open, { type: "socket_closed", code: closeRules.token_expired.code });
  const [, effects] = step(waiting, events.timer_retry, at);
  assert.deepEqual(effects, [{ do: "fetch_token", fresh: true }]);
});

test("attempts are counted until a connection has lasted", () => {
  const failed = after(states.connecting, events.socket_closed);
  assert.equal("attempt" in failed && failed.attempt, 1);
  const open = after(failed, events.timer_retry, events.token_ready, events.socket_opened, events.hello);
  assert.equal("attempt" in open && open.attempt, 1);
  const again = after(open, events.socket_closed);
  assert.equal("attempt" in again && again.attempt, 2);
  const lasted = after(open, events.timer_stable, events.socket_closed);
  assert.equal("attempt" in lasted && lasted.attempt, 1);
});

test("a silent connection is asked, and given up when it does not answer", () => {
  const heardLately: ConnectionState = { ...states.open, link: { ...link, heardAt: now - 10_000 } };
  const [later, none] = step(heardLately, events.timer_heartbeat, at);
  assert.deepEqual(none, []);
  assert.equal(later.timers.heartbeat, now + 15_000);

  const silent: ConnectionState = { ...states.open, link: { ...link, heardAt: now - heartbeatMs } };
  const [asked, ping] = step(silent, events.timer_heartbeat, at);
  assert.deepEqual(ping, [{ do: "send_ping" }]);
  assert.equal(asked.timers.heartbeat, now + heartbeatMs);

  const answered = after(asked, events.heard);
  assert.deepEqual(effectsOf(answered, events.timer_heartbeat, { now: now + heartbeatMs, random: 0 }), [
    "send_ping",
  ]);
  const [dead, effects] = step(asked, events.timer_heartbeat, { now: now + heartbeatMs, random: 0 });
  assert.equal(dead.name, "waiting");
  assert.deepEqual(
    effects.map((effect) => effect.do),
    ["lost", "close_socket"],
  );
});

test("after a sleep the connection is asked, with less patience, before it is given up", () => {
  const slept: ConnectionState = { ...states.open, link: { ...link, heardAt: now - 3_600_000 } };
  const [next, effects] = step(slept, events.timer_heartbeat, at);
  assert.deepEqual(effects, [{ do: "send_ping" }]);
  assert.equal(next.timers.heartbeat, now + probeMs);
});

test("a network that comes or goes while the connection is open makes it prove itself", () => {
  for (const event of [events.online, events.offline]) {
    const [next, effects] = step(states.open, event, at);
    assert.deepEqual(effects, [{ do: "send_ping" }]);
    assert.equal(next.timers.heartbeat, now + probeMs);
    // One question at a time.
    assert.deepEqual(step(next, event, at)[1], []);
  }
});

test("the token is renewed over the open connection, once at a time, by the server's clock", () => {
  const aheadMs = 3_600_000;
  const hello = { ...events.hello, serverTime: now + aheadMs, expiresAt: now + aheadMs + 900_000 };
  const [open] = step(states.authenticating, hello, at);
  assert.equal(open.timers.renew, now + 900_000 - 60_000);
  for (const cause of [events.timer_renew, events.expiring]) {
    const [renewing, effects] = step(open, cause, at);
    assert.deepEqual(effects, [{ do: "fetch_token", fresh: true }]);
    assert.deepEqual(step(renewing, events.expiring, at)[1], []);
    assert.deepEqual(effectsOf(renewing, events.token_ready), ["send_auth"]);
    const renewed = after(renewing, { type: "renewed", expiresAt: now + aheadMs + 1_800_000 });
    assert.equal(renewed.timers.renew, now + 1_800_000 - 60_000);
    assert.deepEqual(effectsOf(renewed, events.expiring), ["fetch_token"]);
  }
  // Of a short token the last fifth is left.
  const [short] = step(states.authenticating, { ...events.hello, expiresAt: now + 50_000 }, at);
  assert.equal(short.timers.renew, now + 40_000);
  // A credential without an end is not renewed.
  const [endless] = step(states.authenticating, { ...events.hello, expiresAt: undefined }, at);
  assert.equal(endless.timers.renew, undefined);
});

test("a renewal that fails is tried again while the connection goes on", () => {
  const renewing = after(states.open, events.expiring);
  const [next, effects] = step(renewing, events.token_failed, at);
  assert.deepEqual(effects, []);
  assert.equal(next.name, "open");
  assert.ok((next.timers.renew ?? 0) > now);
  assert.deepEqual(effectsOf(next, events.timer_renew), ["fetch_token"]);
});

test("a token that nobody asked for any more is not sent", () => {
  assert.deepEqual(effectsOf(states.open, events.token_ready), []);
});

test("before a server goes its clients leave, spread over the time it gives", () => {
  for (const [random, dueMs] of [
    [0, 0],
    [0.5, 2_000],
    [0.999_999, 4_000],
  ] as const) {
    const [draining] = step(states.open, events.server_draining, { now, random });
    assert.equal(Math.round((draining.timers.leave ?? 0) - now), dueMs);
    const [next, effects] = step(draining, events.timer_leave, at);
    assert.equal(next.name, "preparing");
    assert.deepEqual(
      effects.map((effect) => effect.do),
      ["lost", "close_socket", "fetch_token"],
    );
  }
});

test("an attempt has an end", () => {
  const connecting = after(states.preparing, events.token_ready);
  assert.equal(connecting.timers.deadline, now + connectMs);
  // It counts from the beginning: opening the socket gives no more time.
  const authenticating = step(connecting, events.socket_opened, { now: now + 5_000, random: 0 })[0];
  assert.equal(authenticating.timers.deadline, now + connectMs);
});
