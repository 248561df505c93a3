import { DatabaseError } from "pg";
import type { Db, Queryable, Tx } from "../lib/db.ts";
import { errorCodeOf } from "../lib/errors.ts";

/** How often a transaction is run before its conflicts are the caller's. */
export const attemptsMax = 10;

const serializationFailure = "40001";

/**
 * Another transaction has made, meanwhile, a transfer that this one was about to make or had looked for in vain. Run the
 * transaction again: it will find it. To everybody who knows the database's errors it is a failed serialisation, so that the
 * runner of a consumer does so by itself.
 */
export class TransferTakenError extends DatabaseError {
  override readonly code = serializationFailure;

  constructor() {
    super("a transfer of this batch was made meanwhile: run the transaction again", 0, "error");
  }
}

/**
 * Throws it, and sees to it that the transaction cannot commit whoever catches that: what it has written already would be done for
 * ever without having moved anything.
 */
export async function throwTaken(tx: Queryable): Promise<never> {
  await tx
    .query(
      "do $$ begin raise 'a transfer was made meanwhile' using errcode = 'serialization_failure'; end $$",
    )
    .catch(() => undefined);
  throw new TransferTakenError();
}

/** Runs a transaction that settles, and runs it again while others are quicker. */
export async function settling<T>(
  db: Pick<Db, "transaction">,
  work: (tx: Tx) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.transaction(work, signal);
    } catch (error) {
      // Also by its code alone: somebody may have caught it, and met the database's own at the commit.
      if (errorCodeOf(error) !== serializationFailure || attempt >= attemptsMax) throw error;
    }
  }
}
