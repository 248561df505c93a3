import type { FrameError } from "../protocol/frames.ts";
import type { TidingsError } from "./errors.ts";

/**
 * idle            never started
 * preparing       asks for a token
 * connecting      a socket is being opened
 * authenticating  it is open, the token is sent, the server has not said hello yet
 * open            frames travel
 * draining        open, but the server is about to close it: another connection will be opened in a moment
 * waiting         there is none; the next attempt is at a set time
 * offline         the same, and the network is said to be away: its return is the next attempt
 * closed          there is none and none will be made unless it is started again
 */
export const stateNames = [
  "idle",
  "preparing",
  "connecting",
  "authenticating",
  "open",
  "draining",
  "waiting",
  "offline",
  "closed",
] as const;
export type StateName = (typeof stateNames)[number];

/** When each timer is due, unix milliseconds. A timer that a state does not have does not run. */
export type Timers = Readonly<Partial<Record<TimerName, number>>>;
export const timerNames = ["deadline", "retry", "heartbeat", "renew", "stable", "leave"] as const;
export type TimerName = (typeof timerNames)[number];

/** What every state between start and end carries. */
export type Trying = {
  /** Attempts in a row after which no connection has lasted. */
  readonly attempt: number;
  /** The token is asked for anew: the one before was refused, or is too old. */
  readonly fresh: boolean;
  /** What the network was last said to be. */
  readonly online: boolean;
  readonly timers: Timers;
};

/** What is known of an open connection. */
export type Link = {
  readonly heartbeatMs: number;
  readonly heardAt: number;
  /** When a ping was sent that nothing has come after yet. */
  readonly pingedAt?: number;
  /** How far the server's clock is ahead, milliseconds. */
  readonly aheadMs: number;
  /** A newer token is on its way. */
  readonly renewing: boolean;
};

export type ClosedReason =
  /** `stop` was called. */
  | "stopped"
  /** There is no token, or none that is good: somebody has to sign in. */
  | "signed_out"
  /** The server closed with a code that says not to come back. */
  | "refused";

export type ConnectionState =
  | { readonly name: "idle"; readonly timers: Timers }
  | (Trying & { readonly name: "preparing" | "connecting" | "authenticating" })
  | (Trying & {
      readonly name: "waiting" | "offline";
      /** The server asked to stay away until then: not even a network that comes back cuts that short. */
      readonly notBefore: number;
    })
  | (Trying & { readonly name: "open" | "draining"; readonly link: Link })
  | {
      readonly name: "closed";
      readonly reason: ClosedReason;
      readonly code?: number;
      readonly timers: Timers;
    };

export type StateOf<N extends StateName> = ConnectionState extends infer S
  ? S extends { readonly name: infer M }
    ? N extends M
      ? S & { readonly name: N }
      : never
    : never
  : never;

export type ConnectionEvent =
  /** The application wants a connection; in a pause, it wants one at once. */
  | { readonly type: "start" }
  | { readonly type: "stop" }
  | { readonly type: "online" }
  | { readonly type: "offline" }
  | { readonly type: "token_ready" }
  /** No token is to be had until somebody signs in. */
  | { readonly type: "token_refused" }
  | { readonly type: "token_failed"; readonly error: TidingsError }
  | { readonly type: "socket_opened" }
  | { readonly type: "socket_closed"; readonly code: number }
  | {
      readonly type: "hello";
      readonly heartbeatMs: number;
      /** Unix milliseconds by the server's clock. */
      readonly serverTime: number;
      readonly expiresAt: number | undefined;
    }
  /** Any other frame. */
  | { readonly type: "heard" }
  | { readonly type: "renewed"; readonly expiresAt: number }
  | { readonly type: "auth_refused"; readonly error: Pick<FrameError, "retry" | "retry_after_s"> }
  | { readonly type: "expiring" }
  | { readonly type: "server_draining"; readonly closeWithinMs: number }
  | { readonly type: `timer_${TimerName}` };
export type EventName = ConnectionEvent["type"];

export const eventNames = [
  "start",
  "stop",
  "online",
  "offline",
  "token_ready",
  "token_refused",
  "token_failed",
  "socket_opened",
  "socket_closed",
  "hello",
  "heard",
  "renewed",
  "auth_refused",
  "expiring",
  "server_draining",
  "timer_deadline",
  "timer_retry",
  "timer_heartbeat",
  "timer_renew",
  "timer_stable",
  "timer_leave",
] as const satisfies readonly EventName[];

export type EventOf<E extends EventName> = ConnectionEvent extends infer V
  ? V extends { readonly type: infer T }
    ? E extends T
      ? V & { readonly type: E }
      : never
    : never
  : never;

export type Effect =
  /** Answers with `token_ready`, `token_refused` or `token_failed`. */
  | { readonly do: "fetch_token"; readonly fresh: boolean }
  | { readonly do: "open_socket" }
  /** Nothing that comes over it later counts. */
  | { readonly do: "close_socket"; readonly code: number }
  | { readonly do: "send_auth" }
  | { readonly do: "send_ping" }
  /** Frames may be sent from now on; until `lost`. */
  | { readonly do: "opened" }
  | { readonly do: "lost" };

export type Step = readonly [ConnectionState, readonly Effect[]];

/** The moment of an event, and a number in [0, 1) drawn for it. */
export type At = { readonly now: number; readonly random: number };
