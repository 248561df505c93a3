import type { NewPayout, Payout } from "../../../protocol/wallet.ts";
import { findUser } from "../../access/users.ts";
import type { Deps } from "../../deps.ts";
import { derivedId } from "../../eventlog/derived-id.ts";
import { openAccounts } from "../../ledger/accounts.ts";
import { settling } from "../../ledger/again.ts";
import { holdOwnCurrency } from "../../ledger/own-currency.ts";
import { settle } from "../../ledger/settle.ts";
import { type Answer, payoutPurpose } from "../../ledger/wishes.ts";
import type { Tx } from "../../lib/db.ts";
import { earningsOf, outsideIn } from "./account-names.ts";
import type { OwnCurrency } from "./own-currency.ts";
import { countedOutError, nobodyFault, refusalError } from "./refusals.ts";

export type PayOutDeps = Pick<Deps, "db" | "clock" | "log"> & { readonly currency: OwnCurrency };

/**
 * Notes that what somebody has earned leaves the house, once for each `payout_id`. Rejects with `insufficient_funds`, which stays
 * so under this id, with `payouts_halted`, which does not, with `idempotency_mismatch` and `account_closed`.
 */
export async function payOut(
  { db, clock, log, currency }: PayOutDeps,
  { payout_id, user_id, amount: sent }: NewPayout,
  actor: string,
): Promise<Payout> {
  const wanted = { id: payout_id, userId: user_id, amount: currency.amountOf(sent), actor };
  const answer = await settling(db, async (tx) => {
    await holdOwnCurrency(tx, currency.code, log);
    const answer = await payOutIn(tx, wanted, currency.code, clock.now());
    if (answer === "amount_out_of_range") throw countedOutError(log, currency.code);
    return answer;
  });
  if (answer !== "done") throw refusalError(answer, "payout_id");
  return { payout_id, user_id, amount: currency.textOf(wanted.amount), currency: currency.code };
}

type Wanted = {
  readonly id: string;
  readonly userId: number;
  readonly amount: bigint;
  readonly actor: string;
};

async function payOutIn(
  tx: Tx,
  { id, userId, amount, actor }: Wanted,
  currency: string,
  nowMs: number,
): Promise<Answer> {
  if ((await findUser(tx, userId)) === undefined) throw nobodyFault();
  const [earnings = 0, outside = 0] = await openAccounts(tx, [
    earningsOf(userId, currency),
    outsideIn(currency),
  ]);
  const legs = [{ debit: earnings, credit: outside, amount }];
  // Ids are the ledger's for ever, whoever makes them: nobody else's is to be in the way of this one.
  const own = derivedId("wallet.payout", id);
  const wish = { id: own, kind: "transfer", purpose: payoutPurpose, actor, currency, legs } as const;
  const [answer = "unknown_transfer"] = await settle(tx, [wish], nowMs);
  // The payout is not at fault: it rolls back, so that it can be made under the same id once the halt is lifted.
  if (answer === "payouts_halted") throw refusalError(answer, "payout_id");
  return answer;
}
