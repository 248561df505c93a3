import type { Clock } from "../lib/clock.ts";
import { AppError } from "../lib/errors.ts";
import { type BucketRate, type Taken, createBuckets } from "../lib/token-bucket.ts";
import type { Actor } from "./actor.ts";

/** People whose rate is remembered. */
export const peopleMax = 50_000;

/**
 * How much a person may ask of this process, by whatever address and way they come: requests over HTTP, and what they ask
 * over all their WebSockets, are taken from one bucket. Of rates by connection a person would have as many as connections.
 */
export type PersonRate = {
  /** Undefined for programs, which have no such rate: the limits of what they bring are others. */
  take(actor: Actor): Taken | undefined;
};

export function createPersonRate(
  rate: BucketRate,
  deps: {
    readonly clock: Clock;
    /** Tests make it small. */
    readonly peopleMax?: number;
  },
): PersonRate {
  const buckets = createBuckets({ rate, keysMax: deps.peopleMax ?? peopleMax, clock: deps.clock });
  return { take: (actor) => (actor.kind === "user" ? buckets.take(String(actor.id)) : undefined) };
}

/** What somebody is told who asks for more. */
export function personLimited({ retryAfterS }: Taken): AppError {
  return new AppError("rate_limited", { detail: "too many requests of this person", retryAfterS });
}
