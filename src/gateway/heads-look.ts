import type { EventLog } from "../eventlog/eventlog.ts";
import { endsWithin, pause } from "../lib/backoff.ts";

/** How long a look holds up the next one, milliseconds. */
export const lookMaxMs = 1_000;
/** From the beginning of a look to that of the next one, milliseconds at the least: those of a crowd share one. */
export const lookEveryMs = 10;

/**
 * Looks where the log ends, for many at once: who asks while a look is under way shares the next one with all others who
 * do, unless it takes long. So every answer is of after the question, and thousands that connect together cost a few looks.
 */
export function createHeadsLook(eventlog: Pick<EventLog, "heads">): () => Promise<readonly number[]> {
  let underway: Promise<unknown> = Promise.resolve();
  let begunMs = Number.NEGATIVE_INFINITY;
  let next: Promise<readonly number[]> | undefined;
  const look = async (): Promise<readonly number[]> => {
    await endsWithin(underway, lookMaxMs).catch(() => undefined);
    const restMs = begunMs + lookEveryMs - performance.now();
    if (restMs > 0) await pause(restMs);
    next = undefined;
    begunMs = performance.now();
    const found = eventlog.heads();
    underway = found;
    return found;
  };
  return () => (next ??= look());
}
