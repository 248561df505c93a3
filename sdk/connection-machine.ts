import { closeRules } from "../protocol/close-codes.ts";
import {
  attend,
  heard,
  leaveLater,
  linked,
  probe,
  renewLater,
  renewNow,
  renewed,
  sendToken,
  settled,
} from "./connection-link.ts";
import type {
  At,
  ConnectionEvent,
  ConnectionState,
  EventName,
  EventOf,
  StateName,
  StateOf,
  Step,
  Trying,
} from "./connection-states.ts";
import {
  type Linked,
  closedByServer,
  connectMs,
  credentialsRefused,
  end,
  giveUp,
  hangUp,
  leave,
  networkBack,
  networkGone,
  prepare,
  signedOut,
  trying,
  turnedAway,
  wait,
} from "./connection-steps.ts";

/**
 * The life of the one connection, as a table without a gap: state x event -> next state and effects. It knows no
 * socket and no clock; `connection.ts` feeds it and does what it says. What holds in every row:
 *
 * - A socket exists in connecting, authenticating, open and draining, and nowhere else. Whoever leaves these states
 *   closes it or was told that it is closed, and `connecting` is entered from a state without one only. So there are
 *   never two.
 * - Timers are part of the state: one that the next state does not have does not run.
 * - Every way out of an open connection has the effect `lost`, once.
 */
export function step(state: ConnectionState, event: ConnectionEvent, at: At): Step {
  // The table is typed cell by cell; which cell it is, is known only now.
  const row = table[state.name][event.type] as AnyRow;
  return row(state, event, at);
}

export const initialState: ConnectionState = { name: "idle", timers: {} };

type Underway = StateOf<"preparing" | "connecting" | "authenticating">;
type AnyRow = (state: ConnectionState, event: ConnectionEvent, at: At) => Step;
type Row<N extends StateName, E extends EventName> = (state: StateOf<N>, event: EventOf<E>, at: At) => Step;

/** The event means nothing in this state: it comes too late, or is true already. */
const stay = (state: ConnectionState): Step => [state, []];
const goOnline = (state: Underway): Step => [{ ...state, online: true }, []];
const goOffline = (state: Underway): Step => [{ ...state, online: false }, []];
const begin = (_state: unknown, _event: unknown, at: At): Step =>
  prepare({ attempt: 0, fresh: false, online: true }, at);
const tryAgain = (state: Trying, _event: unknown, at: At): Step => prepare(state, at);

/** What only a socket could tell. */
const noSocket = {
  socket_opened: stay,
  socket_closed: stay,
  hello: stay,
  heard: stay,
  renewed: stay,
  auth_refused: stay,
  expiring: stay,
  server_draining: stay,
};
const noToken = { token_ready: stay, token_refused: stay, token_failed: stay };
const noTimers = {
  timer_deadline: stay,
  timer_retry: stay,
  timer_heartbeat: stay,
  timer_renew: stay,
  timer_stable: stay,
  timer_leave: stay,
};

/** What an open connection does, whether its server drains or not. */
const whileOpen = {
  ...noTimers,
  start: stay,
  stop: hangUp,
  online: probe,
  offline: probe,
  token_ready: sendToken,
  token_refused: signedOut,
  token_failed: (state: Linked, { error }: EventOf<"token_failed">, at: At): Step =>
    renewLater(state, error.retryAfterS, at),
  socket_opened: stay,
  socket_closed: closedByServer,
  hello: stay,
  heard,
  renewed,
  auth_refused: (state: Linked, { error }: EventOf<"auth_refused">, at: At): Step =>
    error.retry === "later" ? renewLater(state, error.retry_after_s, at) : credentialsRefused(state, at),
  expiring: renewNow,
  timer_heartbeat: attend,
  timer_renew: renewNow,
  timer_stable: settled,
};

const table: { readonly [N in StateName]: { readonly [E in EventName]: Row<N, E> } } = {
  idle: { ...noSocket, ...noToken, ...noTimers, start: begin, stop: stay, online: stay, offline: stay },
  preparing: {
    ...noSocket,
    ...noTimers,
    start: stay,
    stop: end,
    online: goOnline,
    offline: goOffline,
    token_ready: (state, _event, { now }) => [
      { ...trying(state), name: "connecting", timers: { deadline: now + connectMs } },
      [{ do: "open_socket" }],
    ],
    token_refused: () => [{ name: "closed", reason: "signed_out", timers: {} }, []],
    token_failed: (state, { error }, at) =>
      wait(state, at, error.retryAfterS === undefined ? undefined : { minMs: error.retryAfterS * 1000 }),
    timer_deadline: (state, _event, at) => wait(state, at),
  },
  connecting: {
    ...noSocket,
    ...noToken,
    ...noTimers,
    start: stay,
    stop: hangUp,
    online: goOnline,
    offline: goOffline,
    socket_opened: (state) => [{ ...state, name: "authenticating" }, [{ do: "send_auth" }]],
    socket_closed: closedByServer,
    timer_deadline: giveUp,
  },
  authenticating: {
    ...noSocket,
    ...noToken,
    ...noTimers,
    start: stay,
    stop: hangUp,
    online: goOnline,
    offline: goOffline,
    socket_closed: closedByServer,
    hello: linked,
    auth_refused: (state, { error }, at) =>
      error.retry === "later"
        ? turnedAway(state, { minMs: (error.retry_after_s ?? 0) * 1000 }, at)
        : credentialsRefused(state, at),
    server_draining: (state, _event, at) => turnedAway(state, { maxMs: closeRules.draining.waitMaxMs }, at),
    timer_deadline: giveUp,
  },
  open: { ...whileOpen, server_draining: leaveLater },
  draining: { ...whileOpen, server_draining: stay, timer_leave: leave },
  waiting: {
    ...noSocket,
    ...noToken,
    ...noTimers,
    start: tryAgain,
    stop: end,
    online: networkBack,
    offline: networkGone,
    timer_retry: tryAgain,
  },
  offline: {
    ...noSocket,
    ...noToken,
    ...noTimers,
    start: tryAgain,
    stop: end,
    online: networkBack,
    offline: stay,
    timer_retry: tryAgain,
  },
  closed: {
    ...noSocket,
    ...noToken,
    ...noTimers,
    start: begin,
    stop: () => [{ name: "closed", reason: "stopped", timers: {} }, []],
    online: stay,
    offline: stay,
  },
};
