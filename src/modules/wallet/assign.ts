import type { Payment } from "../../../protocol/wallet.ts";
import { findUser } from "../../access/users.ts";
import type { Deps } from "../../deps.ts";
import { derivedId } from "../../eventlog/derived-id.ts";
import { openAccounts } from "../../ledger/accounts.ts";
import { settling } from "../../ledger/again.ts";
import { holdOwnCurrency } from "../../ledger/own-currency.ts";
import { settle } from "../../ledger/settle.ts";
import type { Tx } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";
import { suspenseIn, walletOf } from "./account-names.ts";
import { lockPayment, toPayment } from "./payment-rows.ts";
import { countedOutError, nobodyFault, refusalError } from "./refusals.ts";

export type Assignment = {
  readonly paymentId: string;
  readonly userId: number;
  /** Who says so. */
  readonly actor: string;
};

/**
 * Moves money out of suspense to whose it is, once: a repetition is answered with what is stored. Rejects with `not_found`,
 * `invalid_body` for nobody's id, `conflict` when it is somebody else's already, `account_closed`; then nothing has changed, and
 * it may be assigned to another person.
 */
export function assignPayment(
  { db, clock, log }: Pick<Deps, "db" | "clock" | "log">,
  assignment: Assignment,
): Promise<Payment> {
  return settling(db, (tx) => assignIn(tx, assignment, { log, nowMs: clock.now() }));
}

async function assignIn(
  tx: Tx,
  assignment: Assignment,
  { log, nowMs }: Pick<Deps, "log"> & { readonly nowMs: number },
): Promise<Payment> {
  const { paymentId, userId, actor } = assignment;
  const payment = await lockPayment(tx, paymentId);
  if (payment === undefined) throw new AppError("not_found", { detail: "there is no such payment" });
  if (payment.credited_to === userId) return toPayment(payment);
  if (payment.credited_to !== null)
    throw new AppError("conflict", { detail: `this was credited to person ${payment.credited_to} already` });
  if ((await findUser(tx, userId)) === undefined) throw nobodyFault();
  const { currency } = payment;
  await holdOwnCurrency(tx, currency, log);
  const [suspense = 0, wallet = 0] = await openAccounts(tx, [
    suspenseIn(currency),
    walletOf(userId, currency),
  ]);
  const id = derivedId("wallet.assignment", paymentId);
  const legs = [{ debit: suspense, credit: wallet, amount: BigInt(payment.amount) }];
  const wish = { id, kind: "transfer", purpose: "assignment", actor, currency, legs } as const;
  const [answer] = await settle(tx, [wish], nowMs);
  // It rolls back, so that the id is not refused for ever: another person may be the right one.
  if (answer === "account_closed") throw refusalError(answer, "payment");
  if (answer === "amount_out_of_range") throw countedOutError(log, currency);
  // Such as a suspense account that was emptied by hand: it is no fault of who asks.
  if (answer !== "done") throw new Error(`the ledger did not assign a payment: ${answer}`);
  await tx.query(
    "update wallet_payment set credited_to = $2, assignment = $3, assigned_at = $4, assigned_by = $5 where id = $1",
    [paymentId, userId, id, new Date(nowMs), actor],
  );
  return toPayment({
    ...payment,
    credited_to: userId,
    assigned_at: new Date(nowMs),
    assigned_by: actor,
  });
}
