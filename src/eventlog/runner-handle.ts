import { whenAborted } from "../lib/aborted.ts";
import type { Row, Tx } from "../lib/db.ts";
import type { Consumer } from "./consumer.ts";
import type { Entry } from "./eventlog.ts";
import { HandlerTimeoutError, StoppingError } from "./runner-faults.ts";

/** How long one call of a handler may take unless its consumer says otherwise, milliseconds. */
export const handleMaxMs = 60_000;
/** How long a call that is under way may go on when the process is to end, milliseconds. */
export const stopGraceMs = 5_000;

/**
 * Calls a consumer's handler, and gives it up when it takes too long or the process ends: rejects with
 * `HandlerTimeoutError` or `StoppingError`, so that the transaction rolls back. Code cannot be stopped from outside, so
 * the handler may still be running then: its signal asks it to end, and its transaction takes no more statements.
 */
export async function handleInTime(
  consumer: Consumer,
  entries: readonly Entry[],
  { tx, stopping }: { readonly tx: Tx; readonly stopping: AbortSignal },
): Promise<void> {
  const limitMs = consumer.handleMaxMs ?? handleMaxMs;
  const given = new AbortController();
  const giveUp = (error: Error): void => given.abort(error);
  const stop = (): void => giveUp(new StoppingError(`group ${consumer.group}: given up to stop`));
  const timer = setTimeout(() => {
    giveUp(new HandlerTimeoutError(`the handler took longer than ${limitMs} ms`));
  }, limitMs);
  if (stopping.aborted) stop();
  stopping.addEventListener("abort", stop, { once: true });
  try {
    await Promise.race([
      consumer.handle(entries, whileWanted(tx, given.signal), given.signal),
      whenAborted(given.signal),
    ]);
  } finally {
    clearTimeout(timer);
    stopping.removeEventListener("abort", stop);
  }
}

/** A transaction that refuses statements once the signal is aborted: its connection may serve others by then. */
function whileWanted(tx: Tx, signal: AbortSignal): Tx {
  return {
    query: <R extends Row>(...statement: Parameters<Tx["query"]>) =>
      signal.aborted ? Promise.reject(signal.reason as Error) : tx.query<R>(...statement),
    afterCommit: (callback) => {
      if (!signal.aborted) tx.afterCommit(callback);
    },
  };
}
