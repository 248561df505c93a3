/** How long clients wait between attempts: the longest pause grows from the first to the last bound. */
export type BackoffRule = { readonly baseMs: number; readonly maxMs: number };

/** Attempts to connect. */
export const connectBackoff: BackoffRule = { baseMs: 500, maxMs: 20_000 };
/** Repetitions of what was refused for now: sends, subscriptions, reads of a state. */
export const repeatBackoff: BackoffRule = { baseMs: 500, maxMs: 20_000 };

/** Doublings that count: more of them only overflow. */
const doublingsMax = 30;

/** The longest pause before attempt `attempt`; 1 is the first repetition. */
export function backoffCeilingMs(attempt: number, { baseMs, maxMs }: BackoffRule): number {
  return Math.min(maxMs, baseMs * 2 ** Math.min(Math.max(attempt, 1) - 1, doublingsMax));
}

/**
 * A pause with full jitter: anything between nothing and the ceiling, so that clients that failed together do not come
 * back together. `random` is in [0, 1).
 */
export function backoffMs(attempt: number, rule: BackoffRule, random: number): number {
  return random * backoffCeilingMs(attempt, rule);
}
