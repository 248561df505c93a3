/**
 * Why a WebSocket is closed, and what its client does then. 4000 to 4099: do not come back with the same request;
 * 4100 to 4199: come back after a pause, drawn at random between nothing and `waitMaxMs` (full jitter, so that many
 * clients that are sent away together do not come back together). `docs/protocol.md` shows the table; a test keeps
 * the two equal.
 */
export type CloseRule = {
  readonly code: number;
  readonly meaning: string;
  readonly reconnect: boolean;
  /** Longest pause before the first attempt, milliseconds; 0 where there is none to make. */
  readonly waitMaxMs: number;
};

export const closeRules = {
  unauthorized: {
    code: 4001,
    meaning: "The credentials are not valid: sign in again",
    reconnect: false,
    waitMaxMs: 0,
  },
  protocol_error: {
    code: 4002,
    meaning: "The client sent frames that the protocol does not have",
    reconnect: false,
    waitMaxMs: 0,
  },
  forbidden: {
    code: 4003,
    meaning: "These credentials may not open a connection",
    reconnect: false,
    waitMaxMs: 0,
  },
  session_ended: {
    code: 4004,
    meaning: "The person signed out, or was signed out",
    reconnect: false,
    waitMaxMs: 0,
  },
  too_many_connections: {
    code: 4005,
    meaning: "This person or address has too many connections",
    reconnect: false,
    waitMaxMs: 0,
  },
  internal: { code: 4100, meaning: "The server made a mistake", reconnect: true, waitMaxMs: 5_000 },
  overloaded: { code: 4101, meaning: "The server is overloaded", reconnect: true, waitMaxMs: 20_000 },
  unavailable: {
    code: 4102,
    meaning: "The server cannot reach its database",
    reconnect: true,
    waitMaxMs: 10_000,
  },
  draining: { code: 4103, meaning: "The server is shutting down", reconnect: true, waitMaxMs: 5_000 },
  slow_reader: {
    code: 4104,
    meaning: "The client has not read what was sent to it for too long",
    reconnect: true,
    waitMaxMs: 5_000,
  },
  token_expired: {
    code: 4105,
    meaning: "The token has expired: come back with a new one",
    reconnect: true,
    waitMaxMs: 1_000,
  },
  dead: { code: 4106, meaning: "The client has not answered pings", reconnect: true, waitMaxMs: 1_000 },
  auth_timeout: {
    code: 4107,
    meaning: "No credentials came in time",
    reconnect: true,
    waitMaxMs: 10_000,
  },
  rate_limited: {
    code: 4108,
    meaning: "The client sends more frames than it may",
    reconnect: true,
    waitMaxMs: 30_000,
  },
} as const satisfies Record<string, CloseRule>;

export type CloseReason = keyof typeof closeRules;

const byCode: ReadonlyMap<number, CloseRule> = new Map(
  Object.values(closeRules).map((rule): [number, CloseRule] => [rule.code, rule]),
);

/**
 * What a client does after a close with `code`. Codes of RFC 6455: 1002, 1003, 1007, 1008 and 1009 blame the client,
 * who would do the same again; all others, and 1006 (no close frame at all), are a matter of the network.
 */
export function afterClose(code: number): Pick<CloseRule, "reconnect" | "waitMaxMs"> {
  const rule = byCode.get(code);
  if (rule !== undefined) return rule;
  if (code >= 4000 && code < 4100) return { reconnect: false, waitMaxMs: 0 };
  if ([1002, 1003, 1007, 1008, 1009].includes(code)) return { reconnect: false, waitMaxMs: 0 };
  return { reconnect: true, waitMaxMs: 500 };
}
