import { setTimeout as sleep } from "node:timers/promises";
import { quantile } from "./spread.ts";

export type Latencies = {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly failed: number;
};

/**
 * Starts `perSecond` pieces of work a second by the clock, whether or not earlier ones have ended, and measures each
 * from the moment it was due: a side that stalls is charged for everybody who would have had to wait meanwhile.
 * Milliseconds; the timer that wakes the loop adds up to one.
 */
export async function openLoop(
  work: () => Promise<unknown>,
  { perSecond, forMs }: { readonly perSecond: number; readonly forMs: number },
): Promise<Latencies> {
  const total = Math.floor((perSecond * forMs) / 1_000);
  const latencies = new Float64Array(total);
  let failed = 0;
  const startedAt = performance.now();
  const start = async (index: number): Promise<void> => {
    const dueAt = startedAt + (index * 1_000) / perSecond;
    try {
      await work();
      latencies[index] = performance.now() - dueAt;
    } catch {
      failed++;
      latencies[index] = Number.POSITIVE_INFINITY;
    }
  };
  const running: Promise<void>[] = [];
  while (running.length < total) {
    const due = Math.min(total, Math.ceil(((performance.now() - startedAt) * perSecond) / 1_000));
    while (running.length < due) running.push(start(running.length));
    if (running.length < total) await sleep(1);
  }
  await Promise.all(running);
  const sorted = latencies.sort();
  return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), max: quantile(sorted, 1), failed };
}
