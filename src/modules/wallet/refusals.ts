import type { Refusal } from "../../ledger/wishes.ts";
import { AppError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/logger.ts";

/** What is wrong with one field of a body; `detail` is the rest of a sentence that begins with its name. */
export function fieldFault(pointer: string, code: string, detail: string): AppError {
  return new AppError("invalid_body", {
    detail: `${pointer} ${detail}`,
    fields: [{ pointer, code, detail }],
  });
}

export function nobodyFault(): AppError {
  return fieldFault("/user_id", "unknown_person", "is nobody's id");
}

/**
 * An account has moved as much as the ledger can count of it, most likely that of the world outside. Nobody's wish is at fault: it
 * rolls back, and is good again once somebody has seen to it.
 */
export function countedOutError(log: Pick<Logger, "error">, currency: string): AppError {
  log.error(
    { currency },
    "an account has moved as much as the ledger can count: nothing more goes through it",
  );
  return new AppError("unavailable", {
    detail: "an account has moved as much as the ledger can count: nothing more goes through it",
  });
}

/** Seconds after which somebody may have looked into what stopped payouts. */
const haltedRetryS = 60;

/** What somebody is told whose wish the ledger has refused; `id` is the field that must not be used again. */
export function refusalError(refusal: Refusal, id: string): Error {
  if (refusal === "different_contents")
    return new AppError("idempotency_mismatch", { detail: `this ${id} was used for something else` });
  if (refusal === "insufficient_funds") {
    return new AppError("insufficient_funds", {
      detail: `there is not so much on the account; this ${id} stays refused, whatever comes later`,
    });
  }
  if (refusal === "account_closed") {
    return new AppError("account_closed", {
      detail: "an account of this person's is closed: it takes no transfers any more",
    });
  }
  if (refusal === "payouts_halted") {
    return new AppError("payouts_halted", {
      detail: "the ledger does not add up, and payouts wait until somebody has looked into it",
      retryAfterS: haltedRetryS,
    });
  }
  return new Error(`the ledger has refused what it never should: ${refusal}`);
}
