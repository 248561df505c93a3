/** How long clients wait between attempts: the longest pause grows by the factor, from the first to the last bound. */
export type BackoffRule = { readonly baseMs: number; readonly factor: number; readonly maxMs: number };

/**
 * Attempts to connect. The factor is that of gRPC's connection back-off: a server that is started again is back within a
 * second, by which time doubled pauses would let the last clients wait for five.
 */
export const connectBackoff: BackoffRule = { baseMs: 500, factor: 1.6, maxMs: 20_000 };
/** Repetitions of what was refused for now: sends, subscriptions, reads of a state. */
export const repeatBackoff: BackoffRule = { baseMs: 500, factor: 2, maxMs: 20_000 };

/** Attempts that count: the pauses of later ones are no longer. */
const attemptsMax = 30;

/** The longest pause before attempt `attempt`; 1 is the first repetition. */
export function backoffCeilingMs(attempt: number, { baseMs, factor, maxMs }: BackoffRule): number {
  return Math.min(maxMs, baseMs * factor ** (Math.min(Math.max(attempt, 1), attemptsMax) - 1));
}

/**
 * A pause with full jitter: anything between nothing and the ceiling, so that clients that failed together do not come
 * back together. `random` is in [0, 1).
 */
export function backoffMs(attempt: number, rule: BackoffRule, random: number): number {
  return random * backoffCeilingMs(attempt, rule);
}
