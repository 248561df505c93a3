import type { Clock } from "./clock.ts";

/** Tokens that come back per second, and how many may be taken at once after a pause. */
export type BucketRate = { readonly perSecond: number; readonly burst: number };

export type Taken = {
  readonly allowed: boolean;
  /** Whole tokens that are left. */
  readonly remaining: number;
  /** Tokens of a full bucket. */
  readonly limit: number;
  /** Seconds until the bucket is full again if nobody takes from it. */
  readonly resetS: number;
  /** Seconds after which the same call is allowed; 0 when it was. */
  readonly retryAfterS: number;
};

export type Buckets = {
  /** Takes `n` tokens from the key's bucket, or none when there are fewer. More than `burst` is never allowed. */
  take(key: string, n?: number): Taken;
  /** Gives tokens back that were taken for what then did not count. A bucket never holds more than `burst`. */
  give(key: string, n?: number): void;
  /** Keys that are remembered right now, never more than `keysMax`. */
  readonly size: number;
};

/**
 * Token buckets by key. Memory is bounded: beyond `keysMax` the bucket that was used longest ago is forgotten, and its
 * key starts full when it comes back. Every call is O(1).
 */
export function createBuckets(options: {
  readonly rate: BucketRate;
  readonly keysMax: number;
  readonly clock: Clock;
}): Buckets {
  const { rate, clock } = options;
  const recent = new RecentBuckets(options.keysMax, rate.burst);

  return {
    take(key, n = 1) {
      const nowMs = clock.now();
      const bucket = recent.use(key, nowMs);
      // A clock that was set back refills nothing, and goes on from its new reading.
      const elapsedMs = Math.max(0, nowMs - bucket.atMs);
      bucket.atMs = nowMs;
      bucket.tokens = Math.min(rate.burst, bucket.tokens + (elapsedMs * rate.perSecond) / 1_000);
      const allowed = bucket.tokens >= n - roundingTokens;
      if (allowed) bucket.tokens = Math.max(0, bucket.tokens - n);
      return {
        allowed,
        remaining: Math.floor(bucket.tokens),
        limit: rate.burst,
        resetS: Math.ceil((rate.burst - bucket.tokens) / rate.perSecond),
        retryAfterS: allowed ? 0 : Math.max(1, Math.ceil((n - bucket.tokens) / rate.perSecond)),
      };
    },
    give(key, n = 1) {
      const bucket = recent.find(key);
      if (bucket !== undefined) bucket.tokens = Math.min(rate.burst, bucket.tokens + n);
    },
    get size() {
      return recent.size;
    },
  };
}

/** What sums of fractions may fall short by: a caller who waited as long as it was told must not be refused again. */
const roundingTokens = 1e-9;

/** The `RateLimit` fields of an answer (IETF draft httpapi-ratelimit-headers). */
export type RateHeaders = { readonly "RateLimit-Policy": string; readonly RateLimit: string };

/** Makes the function that writes the headers of one policy, `name` being what the limit is counted by. */
export function createRateHeaders(name: string, rate: BucketRate): (taken: Taken) => RateHeaders {
  const windowS = Math.max(1, Math.ceil(rate.burst / rate.perSecond));
  const policy = `"${name}";q=${rate.burst};w=${windowS}`;
  const prefix = `"${name}";r=`;
  // Most answers say the same as the one before: the bucket is as good as full.
  let remaining = -1;
  let resetS = -1;
  let headers: RateHeaders = { "RateLimit-Policy": policy, RateLimit: "" };
  return (taken) => {
    if (taken.remaining !== remaining || taken.resetS !== resetS) {
      ({ remaining, resetS } = taken);
      headers = { "RateLimit-Policy": policy, RateLimit: `${prefix}${remaining};t=${resetS}` };
    }
    return headers;
  };
}

type Bucket = {
  readonly key: string;
  tokens: number;
  atMs: number;
  older: Bucket | undefined;
  newer: Bucket | undefined;
};

/** Buckets in order of use: a map for the look-up, a linked list for the order, so that a hit allocates nothing. */
class RecentBuckets {
  readonly #byKey = new Map<string, Bucket>();
  readonly #keysMax: number;
  readonly #tokens: number;
  #newest: Bucket | undefined;
  #oldest: Bucket | undefined;

  constructor(keysMax: number, tokens: number) {
    this.#keysMax = keysMax;
    this.#tokens = tokens;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** The bucket of the key, if it is remembered: a forgotten one is full. */
  find(key: string): Bucket | undefined {
    return this.#byKey.get(key);
  }

  /** The bucket of the key, now the most recently used; a new one is full. */
  use(key: string, nowMs: number): Bucket {
    let bucket = this.#byKey.get(key);
    if (bucket !== undefined && bucket === this.#newest) return bucket;
    if (bucket === undefined) {
      if (this.#byKey.size >= this.#keysMax) this.#forgetOldest();
      bucket = { key, tokens: this.#tokens, atMs: nowMs, older: undefined, newer: undefined };
      this.#byKey.set(key, bucket);
    } else {
      this.#unlink(bucket);
    }
    bucket.older = this.#newest;
    bucket.newer = undefined;
    if (this.#newest !== undefined) this.#newest.newer = bucket;
    this.#newest = bucket;
    this.#oldest ??= bucket;
    return bucket;
  }

  #forgetOldest(): void {
    const oldest = this.#oldest;
    if (oldest === undefined) return;
    this.#unlink(oldest);
    this.#byKey.delete(oldest.key);
  }

  #unlink(bucket: Bucket): void {
    if (bucket.newer === undefined) this.#newest = bucket.older;
    else bucket.newer.older = bucket.older;
    if (bucket.older === undefined) this.#oldest = bucket.newer;
    else bucket.older.newer = bucket.newer;
  }
}
