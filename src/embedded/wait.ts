import { setTimeout as sleep } from "node:timers/promises";

/** Resolves after `ms`, or at once when `signal` is aborted. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await sleep(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
}

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
