/** Milliseconds to wait before attempt `attempt` (1 is the first repetition): exponential, capped, with full jitter in its upper half. */
export function backoffMs(
  attempt: number,
  rule: { readonly baseMs: number; readonly factor: number; readonly maxMs: number },
): number {
  const ceiling = Math.min(rule.maxMs, rule.baseMs * rule.factor ** (attempt - 1));
  return ceiling * (0.5 + Math.random() / 2);
}

/** Whether it ends within `ms`. Rejects when it has failed within that time; what becomes of it later nobody learns. */
export async function endsWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  const over = new AbortController();
  try {
    return await Promise.race([work.then(() => true), pause(ms, over.signal).then(() => false)]);
  } finally {
    over.abort();
  }
}

/** Resolves after `ms`, or at once when the signal is aborted. Never rejects. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve();
      return;
    }
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal?.addEventListener("abort", finish, { once: true });
  });
}
