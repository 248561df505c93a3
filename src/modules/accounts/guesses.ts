import type { Clock } from "../../lib/clock.ts";
import { AppError } from "../../lib/errors.ts";
import { type BucketRate, createBuckets } from "../../lib/token-bucket.ts";

/** Wrong passwords for one name, and from one address: many attempts at once by mistake, few by trying. */
export const guessRates = {
  name: { perSecond: 1 / 12, burst: 5 },
  address: { perSecond: 1 / 3, burst: 20 },
} as const satisfies Record<string, BucketRate>;
/** Names, and addresses, whose attempts are remembered. */
const keysMax = 50_000;

export type Guesses = {
  /**
   * Runs an attempt that resolves with undefined when it was a wrong guess. Only those count; but an attempt takes its
   * place before it is made, so that a thousand at once are no more than five. Throws `rate_limited`.
   */
  attempt<T>(
    by: { readonly name: string; readonly address: string },
    work: () => Promise<T | undefined>,
  ): Promise<T | undefined>;
  /** Names and addresses that are remembered. */
  readonly size: { readonly names: number; readonly addresses: number };
};

export function createGuesses(clock: Clock, bound = keysMax): Guesses {
  const names = createBuckets({ rate: guessRates.name, keysMax: bound, clock });
  const addresses = createBuckets({ rate: guessRates.address, keysMax: bound, clock });
  return {
    attempt: async ({ name, address }, work) => {
      const byName = names.take(name);
      if (!byName.allowed) throw tooMany("for this name", byName.retryAfterS);
      const byAddress = addresses.take(address);
      if (!byAddress.allowed) {
        names.give(name);
        throw tooMany("from this address", byAddress.retryAfterS);
      }
      let wrong = false;
      try {
        const result = await work();
        wrong = result === undefined;
        return result;
      } finally {
        if (!wrong) {
          names.give(name);
          addresses.give(address);
        }
      }
    },
    get size() {
      return { names: names.size, addresses: addresses.size };
    },
  };
}

function tooMany(what: string, retryAfterS: number): AppError {
  return new AppError("rate_limited", { detail: `too many wrong passwords ${what}`, retryAfterS });
}
