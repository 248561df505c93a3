import { type Actor, hasScope } from "../../access/actor.ts";
import type { Clock } from "../../lib/clock.ts";
import { AppError } from "../../lib/errors.ts";
import { type BucketRate, createBuckets } from "../../lib/token-bucket.ts";

/** People whom one person may put into rooms: so many at once, and as many an hour. */
export const addingRate = { perSecond: 200 / 3_600, burst: 200 } as const satisfies BucketRate;
/** People whose rate is remembered. */
export const addersMax = 50_000;

export type Added<T> = { readonly value: T; readonly added: number };

/**
 * Runs what puts so many others into rooms at the most, since nobody is asked whether they want to be in one. Those count
 * whom it has really put there; but they take their places before, so that many requests at once are no more than the
 * rate. Throws `rate_limited`. Who has `chat:manage` is not counted.
 */
export type Adding = <T>(actor: Actor, people: number, work: () => Promise<Added<T>>) => Promise<T>;

export function createAdding(clock: Clock): Adding {
  const buckets = createBuckets({ rate: addingRate, keysMax: addersMax, clock });
  return async (actor, people, work) => {
    if (people === 0 || hasScope(actor, "chat:manage")) return (await work()).value;
    const key = String(actor.id);
    const { allowed, retryAfterS } = buckets.take(key, people);
    if (!allowed) {
      const detail = `you may put ${addingRate.burst} people into rooms at once, and as many an hour`;
      throw new AppError("rate_limited", { detail, retryAfterS });
    }
    let added = 0;
    try {
      const done = await work();
      added = done.added;
      return done.value;
    } finally {
      buckets.give(key, people - added);
    }
  };
}
