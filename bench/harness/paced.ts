import { setTimeout as sleep } from "node:timers/promises";

export type Paced = { readonly count: number; readonly longestDelayMs: number };

/**
 * Calls `work` with 0, 1, 2, … at `perSecond`, by the clock, and with the moment at which each was due, in nanoseconds of
 * `process.hrtime`: what is overdue is made up for, until time is up. How far it fell behind at most is told, since a
 * sender that cannot keep up measures itself.
 */
export async function paced(
  { perSecond, forMs }: { readonly perSecond: number; readonly forMs: number },
  work: (index: number, dueNs: bigint) => void,
): Promise<Paced> {
  const total = Math.round((perSecond * forMs) / 1_000);
  const startedAt = performance.now();
  const startedNs = process.hrtime.bigint();
  const dueNs = (index: number): bigint => startedNs + BigInt(Math.round((index * 1e9) / perSecond));
  let count = 0;
  let longestDelayMs = 0;
  while (count < total) {
    const passedMs = performance.now() - startedAt;
    if (passedMs > forMs) break;
    const due = Math.min(total, Math.floor((passedMs * perSecond) / 1_000) + 1);
    if (due > count) longestDelayMs = Math.max(longestDelayMs, passedMs - (count * 1_000) / perSecond);
    for (; count < due; count++) work(count, dueNs(count));
    await sleep(1);
  }
  return { count, longestDelayMs };
}
