import type { Wallet } from "../../../protocol/wallet.ts";
import { balancesOf, findAccounts } from "../../ledger/accounts.ts";
import type { Queryable } from "../../lib/db.ts";
import { earningsOf, walletOf } from "./account-names.ts";
import type { OwnCurrency } from "./own-currency.ts";

/** What a person has at this moment. */
export async function readWallet(db: Queryable, currency: OwnCurrency, userId: number): Promise<Wallet> {
  const { code } = currency;
  const [wallet, earnings] = await findAccounts(db, [walletOf(userId, code), earningsOf(userId, code)]);
  const ids = [wallet, earnings].filter((id) => id !== undefined);
  const balances = await balancesOf(db, ids);
  const [own, earned] = [balances.get(wallet ?? 0), balances.get(earnings ?? 0)];
  return {
    currency: code,
    available: currency.textOf(own?.available ?? 0n),
    held: currency.textOf(own?.debitsPending ?? 0n),
    earned: currency.textOf(earned?.available ?? 0n),
  };
}
