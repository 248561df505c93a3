import { backoffMs, connectBackoff } from "./backoff.ts";
import type { At, EventOf, StateOf, Step, Timers, TimerName } from "./connection-states.ts";
import { type Linked, giveUp, trying } from "./connection-steps.ts";

/** What happens while a connection is open: whether it lives, how long its token is good, when it has to be left. */

/** A connection that has lasted so long was a success: the next pause begins from the shortest again. */
export const stableMs = 10_000;
/** How long an answer to a ping may take when there is a reason to doubt the connection. */
export const probeMs = 5_000;
/** The token is renewed so long before its end, or in the last fifth of its time if that is shorter. */
export const renewMarginMs = 60_000;
/** Part of the time until the server closes in which its clients leave, one after the other. */
const leavePart = 0.8;

export function linked(
  state: StateOf<"authenticating">,
  { heartbeatMs, serverTime, expiresAt }: EventOf<"hello">,
  { now }: At,
): Step {
  const aheadMs = serverTime - now;
  const timers = {
    heartbeat: now + heartbeatMs,
    stable: now + stableMs,
    ...(expiresAt === undefined ? {} : { renew: renewAt(expiresAt - aheadMs, now) }),
  };
  const link = { heartbeatMs, heardAt: now, aheadMs, renewing: false };
  return [{ ...trying(state), name: "open", timers, link }, [{ do: "opened" }]];
}

function renewAt(expiresAt: number, now: number): number {
  const leftMs = Math.max(0, expiresAt - now);
  return now + leftMs - Math.min(renewMarginMs, leftMs / 5);
}

export function heard(state: Linked, _event: unknown, { now }: At): Step {
  const { heartbeatMs, aheadMs, renewing } = state.link;
  // The timer stays as it is, and looks at this when it is due: frames come too often to set it anew for each.
  return [{ ...state, link: { heartbeatMs, aheadMs, renewing, heardAt: now } }, []];
}

/**
 * Pings when nothing was heard for a heartbeat, and gives up when nothing has come after that for another. Timers may
 * be late by much, in a tab in the background or after a sleep: only an unanswered ping counts as death.
 */
export function attend(state: Linked, event: unknown, at: At): Step {
  const { heartbeatMs, heardAt, pingedAt } = state.link;
  if (pingedAt !== undefined) return giveUp(state, event, at);
  const quietMs = at.now - heardAt;
  if (quietMs < heartbeatMs) return [withTimer(state, "heartbeat", heardAt + heartbeatMs), []];
  return ping(state, quietMs >= 2 * heartbeatMs ? Math.min(probeMs, heartbeatMs) : heartbeatMs, at);
}

/** The network has come or gone, or the device has woken up: is the connection still there? */
export function probe(state: Linked, event: EventOf<"online" | "offline">, at: At): Step {
  const told = { ...state, online: event.type === "online" };
  return state.link.pingedAt === undefined
    ? ping(told, Math.min(probeMs, state.link.heartbeatMs), at)
    : [told, []];
}

function ping(state: Linked, patienceMs: number, { now }: At): Step {
  const next = withTimer(state, "heartbeat", now + patienceMs);
  return [{ ...next, link: { ...next.link, pingedAt: now } }, [{ do: "send_ping" }]];
}

/** It has lasted. */
export function settled(state: Linked): Step {
  return [{ ...state, attempt: 0, fresh: false, timers: without(state.timers, "stable") }, []];
}

export function renewNow(state: Linked): Step {
  if (state.link.renewing) return [state, []];
  const timers = without(state.timers, "renew");
  return [
    { ...state, timers, link: { ...state.link, renewing: true } },
    [{ do: "fetch_token", fresh: true }],
  ];
}

export function sendToken(state: Linked): Step {
  return [state, state.link.renewing ? [{ do: "send_auth" }] : []];
}

export function renewed(state: Linked, event: EventOf<"renewed">, { now }: At): Step {
  const next = withTimer(state, "renew", renewAt(event.expiresAt - state.link.aheadMs, now));
  return [{ ...next, link: { ...next.link, renewing: false } }, []];
}

/** No newer token this time. The one in use may still be good for a while. */
export function renewLater(state: Linked, retryAfterS: number | undefined, { now, random }: At): Step {
  const pauseMs = (retryAfterS ?? 1) * 1000 + backoffMs(4, connectBackoff, random);
  const next = withTimer(state, "renew", now + pauseMs);
  return [{ ...next, link: { ...next.link, renewing: false } }, []];
}

/** Clients of a server that goes do not all leave at the same moment. */
export function leaveLater(state: Linked, { closeWithinMs }: EventOf<"server_draining">, at: At): Step {
  const next = withTimer(state, "leave", at.now + at.random * closeWithinMs * leavePart);
  return [{ ...next, name: "draining" }, []];
}

function withTimer(state: Linked, name: TimerName, due: number): Linked {
  return { ...state, timers: { ...state.timers, [name]: due } };
}

function without(timers: Timers, name: TimerName): Timers {
  const { [name]: _gone, ...rest } = timers;
  return rest;
}
