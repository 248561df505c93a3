import { withTimeLimit } from "../lib/aborted.ts";
import { isTransientDbError } from "../lib/db.ts";
import { AppError } from "../lib/errors.ts";

/** How long a look-up may take, milliseconds. Its connection is then given up, and the next attempt gets another one. */
export const lookUpMaxMs = 1_500;
const lookUpAttemptsMax = 2;

/**
 * Looks up what a credential stands for, once more when the database did not answer in time. When it is away, the
 * credential is not called wrong: `AppError` `unavailable`.
 */
export async function askDatabase<T>(
  ask: (signal: AbortSignal) => Promise<T>,
  options: { readonly maxMs?: number } = {},
): Promise<T> {
  const { maxMs = lookUpMaxMs } = options;
  for (let attempt = 1; ; attempt++) {
    try {
      return await withTimeLimit(maxMs, late, ask);
    } catch (error) {
      if (!(error instanceof AppError) && !isTransientDbError(error)) throw error;
      if (attempt >= lookUpAttemptsMax) throw new AppError("unavailable", { retryAfterS: 1, cause: error });
    }
  }
}

function late(): AppError {
  return new AppError("unavailable", { detail: "the database did not look up a credential in time" });
}
