import type { AccountName } from "../../ledger/accounts.ts";

/** What a person has. */
export function walletOf(owner: number, currency: string): AccountName {
  return { kind: "wallet", owner, currency };
}

/** What a person was given. */
export function earningsOf(owner: number, currency: string): AccountName {
  return { kind: "earnings", owner, currency };
}

/** The world that money comes from and goes to. */
export function outsideIn(currency: string): AccountName {
  return { kind: "outside", owner: null, currency };
}

/** What has come for nobody who can be found. */
export function suspenseIn(currency: string): AccountName {
  return { kind: "suspense", owner: null, currency };
}
