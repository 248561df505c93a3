import { isDbLimitError, isOfDatabase, isSchemaFault, isTransientDbError } from "../lib/db-faults.ts";
import { backoffMs } from "../lib/backoff.ts";
import { errorMessage } from "../lib/errors.ts";
import { FencedError } from "./checkpoints.ts";
import type { Failure } from "./parking.ts";

/**
 * Whom an error in a consumer's transaction speaks against, and so what follows:
 * `fenced`: another owner has taken over. `stopping`: the process ends and would not wait. Neither is a failure.
 * `database`: it is away or asks for a repetition; the same work is tried again without limit.
 * `schema`: this version and the database do not fit each other; the same, since no entry would be spared.
 * `overload`: it took too long or too much. That may be the database's state or one entry's weight, so the batch is
 * tried again a few times, and only then the entry is looked for.
 * `entry`: anything else. The entry is looked for at once.
 */
export type Fault = "fenced" | "stopping" | "database" | "schema" | "overload" | "entry";

/** A handler took longer than it may: its transaction was rolled back. */
export class HandlerTimeoutError extends Error {
  override readonly name = "HandlerTimeoutError";
}

/** The process ends, and a handler did not end in time. */
export class StoppingError extends Error {
  override readonly name = "StoppingError";
}

export function faultOf(error: unknown): Fault {
  if (error instanceof FencedError) return "fenced";
  if (error instanceof StoppingError) return "stopping";
  if (error instanceof HandlerTimeoutError) return "overload";
  // A handler's own network error may say the same as a database that is away: it is the entry that leads there.
  if (!isOfDatabase(error)) return "entry";
  if (isDbLimitError(error)) return "overload";
  if (isTransientDbError(error)) return "database";
  return isSchemaFault(error) ? "schema" : "entry";
}

/** Whether a failed attempt counts against an entry that was tried alone. */
export function isEntrysFault(error: unknown): boolean {
  const fault = faultOf(error);
  return fault === "entry" || fault === "overload";
}

/** Delay before attempt n + 1 of a parked entry. */
const retryRule = { baseMs: 100, factor: 4, maxMs: 60_000 } as const;
/** The same for one that took too long: should it be the database after all, it gets time to recover. */
const overloadedRetryRule = { baseMs: 2_000, factor: 4, maxMs: 60_000 } as const;

/** Noted in place of an error that the database does not take: the entry must not stop its partition. */
export const unstorable = "it failed, and what it said of that cannot be stored";

/** What is noted of an entry's failed attempt, the `attempts`th. */
export function failureOf(
  error: unknown,
  attempts: number,
  { attemptsMax }: { readonly attemptsMax: number },
): Failure {
  const rule = faultOf(error) === "overload" ? overloadedRetryRule : retryRule;
  return {
    attempts,
    // In full, unlike in the server's log: who may read it may read the entry too, and redaction takes both.
    error: errorMessage(error),
    delayMs: backoffMs(attempts, rule),
    dead: attempts >= attemptsMax,
  };
}
