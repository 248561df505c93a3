import { isPassingDbError } from "../lib/db-faults.ts";
import { AppError } from "../lib/errors.ts";

/** What a client is told about anything that was thrown. */
export function asRefusal(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (isPassingDbError(error)) {
    return new AppError("unavailable", { retryAfterS: 1, cause: error });
  }
  return new AppError("internal", { cause: error });
}
