import type { Tx } from "../lib/db.ts";
import { decideSettle } from "./decide-settle.ts";
import { readFacts } from "./read-facts.ts";
import { saveSettled } from "./save-settled.ts";
import { enterStage } from "./stages.ts";
import { type AnyWish, type Answer, type Wish, checkWishes, isMoment } from "./wishes.ts";

/**
 * Grants or refuses each wish of a batch, in order, in the caller's transaction and with a handful of statements whatever the
 * batch's size: locks all accounts, reads what decides, decides, writes. Answers each on its own; the same id with the same
 * contents gets the same answer at every time, also within a batch.
 *
 * At most once in a transaction, after all locks of the caller's own and before the log's. Throws `TransferTakenError` when
 * the transaction is to be run again.
 */
export function settle(tx: Tx, wishes: readonly Wish[], nowMs: number): Promise<readonly Answer[]> {
  return settleAll(tx, wishes, nowMs);
}

/** The same, also for what time alone may wish. */
export async function settleAll(
  tx: Tx,
  unchecked: readonly AnyWish[],
  nowMs: number,
): Promise<readonly Answer[]> {
  if (!isMoment(nowMs)) throw new RangeError(`${nowMs} is no moment`);
  const wishes = checkWishes(unchecked);
  enterStage(tx, "lock accounts");
  if (wishes.length === 0) return [];
  const facts = await readFacts(tx, wishes, nowMs);
  const { answers, written, accounts } = decideSettle(wishes, facts);
  await saveSettled(tx, { written, before: facts.accounts, after: accounts, nowMs });
  return answers;
}
