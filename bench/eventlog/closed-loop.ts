import type { NewEntry } from "../../src/eventlog/eventlog.ts";
import { nextEntry } from "./entries.ts";

const warmUpMs = 500;

export type ClosedLoop = { readonly callers: number; readonly forMs: number };

/**
 * Callers that send the next entry as soon as the last one is durable: first to warm up, then for the measurement.
 * What is on its way at the end is waited for, so acknowledged entries can be counted against stored ones.
 */
export async function appendUntil(
  append: (entry: NewEntry) => Promise<unknown>,
  { callers, forMs }: ClosedLoop,
  prepare: () => Promise<void>,
): Promise<{ readonly rate: number; readonly acknowledged: number }> {
  let acknowledged = 0;
  const runFor = async (ms: number): Promise<number> => {
    const before = acknowledged;
    const startedAt = performance.now();
    const callUntil = async (): Promise<void> => {
      while (performance.now() - startedAt < ms) {
        await append(nextEntry());
        acknowledged++;
      }
    };
    await Promise.all(Array.from({ length: callers }, callUntil));
    return ((acknowledged - before) / (performance.now() - startedAt)) * 1_000;
  };
  await runFor(warmUpMs);
  await prepare();
  const rate = await runFor(forMs);
  return { rate, acknowledged };
}
