import type { Clock } from "../../lib/clock.ts";
import { AppError } from "../../lib/errors.ts";
import { Lru } from "../../lib/lru.ts";
import { type BucketRate, type Buckets, createBuckets } from "../../lib/token-bucket.ts";

/**
 * Wrong passwords from one address; for one name, or one account by whatever name, from one address; and for one account
 * from wherever they come: many attempts at once by mistake, few by trying. Of the account's own limit a stranger at one
 * address uses up no more than comes back, and it does not hold for addresses from which the password was right before:
 * so strangers, few or many, do not keep the owner out where they are at home.
 */
export const guessRates = {
  address: { perSecond: 1 / 3, burst: 20 },
  name: { perSecond: 1 / 12, burst: 5 },
  account: { perSecond: 1 / 12, burst: 50 },
} as const satisfies Record<string, BucketRate>;
/** Addresses, accounts, and the pairs of names or accounts with addresses, whose attempts are remembered. */
const keysMax = 50_000;

export type Guesses = {
  /**
   * Runs an attempt that resolves with undefined when it was a wrong guess. Only those count; but an attempt takes its
   * places before a password is looked at, so that a thousand at once are no more than five. Whose account it is the
   * attempt finds out itself, since that may take a look-up, which has its price: it calls `of` then, once and before
   * it looks at the password. Throws `rate_limited`.
   */
  attempt<T>(
    by: { readonly name: string; readonly address: string },
    work: (of: (account: string) => void) => Promise<T | undefined>,
  ): Promise<T | undefined>;
  /** Keys that are remembered. */
  readonly size: Readonly<Record<"addresses" | "pairs" | "accounts" | "homes", number>>;
};

export function createGuesses(clock: Clock, bound = keysMax): Guesses {
  const bucketsOf = (rate: BucketRate): Buckets => createBuckets({ rate, keysMax: bound, clock });
  const addresses = bucketsOf(guessRates.address);
  const pairs = bucketsOf(guessRates.name);
  const accounts = bucketsOf(guessRates.account);
  /** Accounts with addresses from which their password was right. */
  const homes = new Lru<string, true>(bound);
  return {
    attempt: async ({ name, address }, work) => {
      const places = new Places();
      let kept = false;
      let home: string | undefined;
      try {
        // The address first: nobody comes to have more names, or accounts, remembered than it lets them try.
        places.take(addresses, address, "from this address");
        places.take(pairs, JSON.stringify(["name", name, address]), pairRefused);
        const result = await work((account) => {
          // The look-up has been made: who asks on where nothing is allowed any more comes to wait without one.
          kept = true;
          home = JSON.stringify(["account", account, address]);
          places.take(pairs, home, pairRefused);
          if (homes.get(home) === undefined) places.take(accounts, account, "for this account");
          kept = false;
        });
        kept = result === undefined;
        if (result !== undefined && home !== undefined) homes.set(home, true);
        return result;
      } finally {
        if (!kept) places.giveBack();
      }
    },
    get size() {
      return {
        addresses: addresses.size,
        pairs: pairs.size,
        accounts: accounts.size,
        homes: homes.size,
      };
    },
  };
}

const pairRefused = "for this name from this address";

/** The places that one attempt has taken. */
class Places {
  readonly #taken: (() => void)[] = [];

  /** Throws `rate_limited` when there is none. */
  take(buckets: Buckets, key: string, what: string): void {
    const { allowed, retryAfterS } = buckets.take(key);
    if (!allowed) {
      throw new AppError("rate_limited", { detail: `too many wrong passwords ${what}`, retryAfterS });
    }
    this.#taken.push(() => buckets.give(key));
  }

  giveBack(): void {
    for (const give of this.#taken) give();
  }
}
