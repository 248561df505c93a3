import {
  type CryptoKey,
  type FlattenedJWSInput,
  type JWSHeaderParameters,
  createRemoteJWKSet,
  customFetch,
  errors,
} from "jose";
import type { Clock } from "../lib/clock.ts";
import { AppError, errorMessage } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";

export type KeySet = (header?: JWSHeaderParameters, token?: FlattenedJWSInput) => Promise<CryptoKey>;

const fetchTimeoutMs = 5_000;
/** Largest key set that is read, bytes. */
export const keySetBytesMax = 1_048_576;
/** A token with an unknown key may cause one fetch in this time: issuers rotate keys, strangers invent key ids. */
const unknownKeyCooldownMs = 30_000;
/** After a failed fetch nothing is asked for this long: a dead issuer costs one time-out, not one per request. */
const failureCooldownMs = 5_000;
/** A set of this age is fetched anew in the background; from `waitAfterMs` on, requests wait for that. */
const refreshAfterMs = 10 * 60_000;
const waitAfterMs = 60 * 60_000;
const refreshEveryMs = 60_000;
/** Keys of an issuer that has not answered for this long are no longer believed. */
const keepAtMostMs = 24 * 3_600_000;

/**
 * The key set of an outside issuer. Fetched on first use, again when it grows old or when a token names a key that
 * it does not hold. While the issuer does not answer, the last set serves on, for a day.
 * Throws `AppError` `unavailable` when there is none to judge by; what jose says about the token itself passes.
 */
export function createKeySet(url: URL, clock: Clock, log: Logger): KeySet {
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let failedAt = Number.NEGATIVE_INFINITY;
  let refreshedAt = Number.NEGATIVE_INFINITY;

  const remote = createRemoteJWKSet(url, {
    timeoutDuration: fetchTimeoutMs,
    cooldownDuration: unknownKeyCooldownMs,
    cacheMaxAge: keepAtMostMs,
    [customFetch]: async (address, options) => {
      if (isWithin(failureCooldownMs, failedAt, clock.now())) {
        throw new Error("the last fetch failed a moment ago");
      }
      try {
        const keys = await fetchKeys(address, options);
        fetchedAt = clock.now();
        return keys;
      } catch (error) {
        failedAt = clock.now();
        log.warn({ host: url.host, reason: reasonOf(error) }, "key set of the token issuer not fetched");
        throw error;
      }
    },
  });

  async function refresh(): Promise<void> {
    const now = clock.now();
    if (isWithin(refreshAfterMs, fetchedAt, now) || isWithin(refreshEveryMs, refreshedAt, now)) return;
    refreshedAt = now;
    const done = remote.reload().catch(() => undefined);
    if (!isWithin(waitAfterMs, fetchedAt, now)) await done;
  }

  return async (header, token) => {
    if (remote.jwks() !== undefined) await refresh();
    try {
      return await remote(header, token);
    } catch (error) {
      if (isAboutToken(error)) throw error;
      throw new AppError("unavailable", {
        detail: "The keys of the token issuer cannot be fetched right now",
        retryAfterS: failureCooldownMs / 1_000,
        cause: error,
      });
    }
  };
}

/** Reads the whole answer, so that a broken body counts as a failed fetch too. */
async function fetchKeys(address: string, options: RequestInit): Promise<Response> {
  const response = await fetch(address, options);
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`status ${response.status}`);
  }
  const text = await readBounded(response);
  JSON.parse(text);
  return new Response(text);
}

async function readBounded({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    // Leaving the loop closes the connection.
    if (bytes > keySetBytesMax) throw new Error(`more than ${keySetBytesMax} bytes`);
    chunks.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}

function isAboutToken(error: unknown): boolean {
  return (
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys ||
    error instanceof errors.JOSENotSupported
  );
}

/** A clock that was set back ends every wait rather than prolonging it. */
function isWithin(durationMs: number, since: number, now: number): boolean {
  const age = now - since;
  return age >= 0 && age < durationMs;
}

/** `fetch` says only "fetch failed" and keeps the reason in its cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? `: ${errorMessage(error.cause)}` : "";
  return `${errorMessage(error)}${cause}`;
}
