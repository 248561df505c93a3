import { pause } from "../lib/backoff.ts";

/** Whether `promise` settles within `ms`. Leaves no timer behind. */
export async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const timer = new AbortController();
  const settled = promise.then(
    () => true,
    () => true,
  );
  const elapsed = pause(ms, timer.signal).then(() => false);
  try {
    return await Promise.race([settled, elapsed]);
  } finally {
    timer.abort();
  }
}
