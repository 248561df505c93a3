import { afterClose, closeRules } from "../protocol/close-codes.ts";
import { backoffCeilingMs, connectBackoff } from "./backoff.ts";
import type { At, ConnectionState, Effect, EventOf, StateOf, Step, Trying } from "./connection-states.ts";

/** The ways between having a connection and having none. */

/** How long a token may take, and how long a connection from the first attempt to `hello`. */
export const tokenMs = 30_000;
export const connectMs = 10_000;
/** Pauses that servers ask for are kept up to here. */
export const askedPauseMaxMs = 300_000;

export type Linked = StateOf<"open" | "draining">;
export type WithSocket = StateOf<"connecting" | "authenticating" | "open" | "draining">;

/** The beginning of an attempt. */
export function prepare({ attempt, fresh, online }: Omit<Trying, "timers">, at: At): Step {
  return [
    { name: "preparing", attempt, fresh, online, timers: { deadline: at.now + tokenMs } },
    [{ do: "fetch_token", fresh }],
  ];
}

/** What a server asks for: no attempt before `minMs`, and the attempts of its clients spread over `maxMs`. */
export type AskedPause = { readonly minMs?: number; readonly maxMs?: number };

/**
 * A pause after an attempt that failed: full jitter below the longest of what the number of attempts and the server
 * say, after what the server asked for.
 */
export function wait(state: Trying, at: At, asked?: AskedPause): Step {
  const attempt = state.attempt + 1;
  const { minMs = 0, maxMs = 0 } = asked ?? {};
  const jitterMs = Math.round(at.random * Math.max(backoffCeilingMs(attempt, connectBackoff), maxMs));
  const retry = at.now + Math.min(minMs, askedPauseMaxMs) + jitterMs;
  const next = { ...trying(state), attempt, notBefore: asked === undefined ? 0 : retry };
  return [state.online ? { ...next, name: "waiting", timers: { retry } } : offline(next, retry, at), []];
}

type Pausing = StateOf<"waiting" | "offline">;

function offline(state: Omit<Pausing, "name" | "timers">, retry: number, { now }: At): Pausing {
  // What says that the network is away is sometimes wrong, so it is tried now and then all the same.
  const timers = { retry: Math.max(retry, now + connectBackoff.maxMs) };
  return { ...state, name: "offline", online: false, timers };
}

export function networkGone(state: StateOf<"waiting">, _event: unknown, at: At): Step {
  return [offline(state, state.timers.retry ?? at.now, at), []];
}

export function networkBack(state: Pausing, _event: unknown, at: At): Step {
  const { notBefore } = state;
  if (at.now >= notBefore) return prepare({ ...state, online: true }, at);
  return [{ ...state, name: "waiting", online: true, timers: { retry: notBefore } }, []];
}

export function end(): Step {
  return [{ name: "closed", reason: "stopped", timers: {} }, []];
}

/** What leaving a state with a socket has to undo. */
function goodbye(state: WithSocket, code: number): readonly Effect[] {
  return [...lostOf(state), { do: "close_socket", code }];
}

function lostOf(state: WithSocket): readonly Effect[] {
  return state.name === "open" || state.name === "draining" ? [{ do: "lost" }] : [];
}

export function hangUp(state: WithSocket): Step {
  return [{ name: "closed", reason: "stopped", timers: {} }, goodbye(state, 1000)];
}

/** No hello came in time, or nothing comes any more. */
export function giveUp(state: WithSocket, _event: unknown, at: At): Step {
  return after(wait(state, at), goodbye(state, closeRules.dead.code));
}

/** The server is about to go: another connection, at once. */
export function leave(state: Linked, _event: unknown, at: At): Step {
  return after(prepare(state, at), goodbye(state, 1000));
}

/** The server asks to come back later, before it has let us in. */
export function turnedAway(state: WithSocket, asked: AskedPause, at: At): Step {
  return after(wait(state, at, asked), goodbye(state, 1000));
}

/** Nobody can give a token any more. */
export function signedOut(state: WithSocket): Step {
  return [{ name: "closed", reason: "signed_out", timers: {} }, goodbye(state, 1000)];
}

/** The token was refused. With one that was made for this attempt it would only be refused again. */
export function credentialsRefused(state: WithSocket, at: At): Step {
  return after(unauthorized(state, closeRules.unauthorized.code, at), goodbye(state, 1000));
}

export function closedByServer(state: WithSocket, event: EventOf<"socket_closed">, at: At): Step {
  return after(closed(state, event.code, at), lostOf(state));
}

function closed(state: WithSocket, code: number, at: At): Step {
  if (code === closeRules.unauthorized.code) return unauthorized(state, code, at);
  const rule = afterClose(code);
  if (!rule.reconnect) return [{ name: "closed", reason: "refused", code, timers: {} }, []];
  const fresh = state.fresh || code === closeRules.token_expired.code;
  // Codes below 4000 are a matter of the network: nobody has asked for anything.
  return wait({ ...state, fresh }, at, code < 4000 ? undefined : { maxMs: rule.waitMaxMs });
}

function unauthorized(state: WithSocket, code: number, at: At): Step {
  if (state.fresh) return [{ name: "closed", reason: "refused", code, timers: {} }, []];
  return prepare({ ...state, attempt: state.attempt + 1, fresh: true }, at);
}

/** A step with these effects before its own. */
function after([state, effects]: Step, first: readonly Effect[]): Step {
  return [state, [...first, ...effects]];
}

/** What the next state takes over. */
export function trying({ attempt, fresh, online }: Trying): Omit<Trying, "timers"> {
  return { attempt, fresh, online };
}

export function isLinked(state: ConnectionState): state is Linked {
  return state.name === "open" || state.name === "draining";
}
