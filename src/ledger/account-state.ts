import type { Leg } from "./wishes.ts";

/** In minor units. Money that is credited to an account is its own; what holds have set aside of it is pending. */
export type Counters = {
  readonly debitsPosted: bigint;
  readonly creditsPosted: bigint;
  readonly debitsPending: bigint;
  readonly creditsPending: bigint;
};

export type AccountState = Counters & {
  readonly currency: string;
  readonly mayOverdraw: boolean;
  readonly isClosed: boolean;
  /** It stands for the world: what is credited to it leaves the house. */
  readonly isOutside: boolean;
};

/** The most that an account may count on each side, pending or not; the database has the same bound. */
export const counterMax = 4_000_000_000_000_000_000n;

/** Legs that are posted, become pending, or with `sign` -1 are pending no longer. */
export type Movement = {
  readonly legs: readonly Leg[];
  readonly place: "posted" | "pending";
  readonly sign: 1n | -1n;
};

/** The accounts that are moved, as they are after it. */
export function afterMovements(
  before: (id: number) => AccountState,
  movements: readonly Movement[],
): ReadonlyMap<number, AccountState> {
  const after = new Map<number, AccountState>();
  for (const { legs, place, sign } of movements) {
    for (const { debit, credit, amount } of legs) {
      const from = after.get(debit) ?? before(debit);
      after.set(debit, {
        ...from,
        ...(place === "posted"
          ? { debitsPosted: from.debitsPosted + sign * amount }
          : { debitsPending: from.debitsPending + sign * amount }),
      });
      const to = after.get(credit) ?? before(credit);
      after.set(credit, {
        ...to,
        ...(place === "posted"
          ? { creditsPosted: to.creditsPosted + sign * amount }
          : { creditsPending: to.creditsPending + sign * amount }),
      });
    }
  }
  return after;
}

/** What may be spent: what others will pay does not count, what is set aside for others does. */
export function availableOf({ creditsPosted, debitsPosted, debitsPending }: Counters): bigint {
  return creditsPosted - debitsPosted - debitsPending;
}

export function isOverdrawn(account: AccountState): boolean {
  return !account.mayOverdraw && availableOf(account) < 0n;
}

export function isBeyondCounting(account: Counters): boolean {
  const { debitsPosted, creditsPosted, debitsPending, creditsPending } = account;
  return debitsPosted + debitsPending > counterMax || creditsPosted + creditsPending > counterMax;
}
