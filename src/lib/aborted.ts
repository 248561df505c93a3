/** Settles as `work` does, or rejects with the signal's reason if that is aborted first. Leaves no listener behind. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(signal.reason as Error);
    const done = (): void => signal.removeEventListener("abort", giveUp);
    work.finally(done).then(resolve, reject);
    if (signal.aborted) giveUp();
    else signal.addEventListener("abort", giveUp, { once: true });
  });
}

/** Rejects with the signal's reason once it is aborted; otherwise it stays pending, for `Promise.race`. */
export function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    else signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}

/** As `work` settles, or after `ms` what `late` answers or throws. What it no longer waits for goes on. */
export async function within<T>(ms: number, work: Promise<T>, late: () => T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const elapsed = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  try {
    const first = await Promise.race([work.then((value) => ({ value })), elapsed]);
    return first === undefined ? late() : first.value;
  } finally {
    clearTimeout(timer);
  }
}

/** As `work` settles, whose signal is aborted after `ms` with what `late` makes. */
export async function withTimeLimit<T>(
  ms: number,
  late: () => Error,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(late()), ms);
  try {
    return await work(limit.signal);
  } finally {
    clearTimeout(timer);
  }
}
