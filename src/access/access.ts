import type { Clock } from "../lib/clock.ts";
import { AppError } from "../lib/errors.ts";
import { type BucketRate, type Buckets, createBuckets } from "../lib/token-bucket.ts";
import type { Actor } from "./actor.ts";
import { addressKey } from "./address.ts";
import { type ApiKeys, apiKeyPrefix } from "./api-keys.ts";
import type { EndedSessions } from "./ended-sessions.ts";
import type { SessionEndsFollower } from "./follow-ended-sessions.ts";
import type { Identities } from "./identities.ts";
import type { Passwords } from "./passwords.ts";
import type { Sessions } from "./sessions.ts";
import type { Tokens } from "./tokens.ts";

/** Who is this, may they: the only way for HTTP, gateway and modules to learn it. */
export type Access = {
  readonly apiKeys: ApiKeys;
  readonly passwords: Passwords;
  readonly sessions: Sessions;
  readonly identities: Identities;
  /**
   * The sign-ins that have ended while their access tokens had not. Roles that let people in start it and stop it; whoever
   * hears of an end in the log tells it there.
   */
  readonly endedSessions: Pick<EndedSessions, "ended"> & SessionEndsFollower;
  /**
   * The actor that a credential stands for: an API key (`tdk_…`) or a JWT. With the address that it came from, those
   * that are not good are counted: beyond the rate nobody looks for unknown keys, and the answer is `rate_limited`.
   * Good ones never count.
   * Throws `AppError` `unauthorized` when it is neither, expired or revoked; `forbidden` when the person is disabled;
   * `unavailable` when it cannot be checked.
   */
  authenticate(credential: string, address?: string): Promise<Actor>;
};

export type AccessParts = Omit<Access, "authenticate"> & {
  readonly tokens: Tokens;
  readonly clock: Clock;
  /** Credentials of one address that may be wrong. */
  readonly rateRefused: BucketRate;
  /** Tests make it small. */
  readonly addressesMax?: number;
};

/** Addresses whose wrong credentials are remembered. */
const addressesMax = 50_000;

export function createAccess(parts: AccessParts): Access {
  const { apiKeys, passwords, sessions, identities, endedSessions, tokens } = parts;
  const wrong = createBuckets({
    rate: parts.rateRefused,
    keysMax: parts.addressesMax ?? addressesMax,
    clock: parts.clock,
  });

  const check = async (credential: string, beforeAsking?: () => void): Promise<Actor> => {
    if (!credential.startsWith(apiKeyPrefix)) return tokens.verify(credential);
    const actor = await apiKeys.verify(credential, beforeAsking);
    if (actor === undefined) {
      throw new AppError("unauthorized", { detail: "The API key is unknown, expired or revoked" });
    }
    return actor;
  };

  return {
    apiKeys,
    passwords,
    sessions,
    identities,
    endedSessions,
    authenticate: async (credential, address) => {
      if (address === undefined) return check(credential);
      const attempt = createAttempt(wrong, addressKey(address));
      try {
        const actor = await check(credential, attempt.charge);
        attempt.refund();
        return actor;
      } catch (error) {
        // What cannot be judged right now is not wrong.
        if (error instanceof AppError && error.code === "unauthorized") attempt.charge();
        else attempt.refund();
        throw error;
      }
    },
  };
}

/** What one credential costs its address: a token or, once it has proved good, none. */
function createAttempt(
  wrong: Buckets,
  key: string,
): { readonly charge: () => void; readonly refund: () => void } {
  let charged = false;
  return {
    charge: () => {
      if (charged) return;
      const { allowed, retryAfterS } = wrong.take(key);
      if (!allowed) {
        throw new AppError("rate_limited", {
          detail: "too many wrong credentials from this address",
          retryAfterS,
        });
      }
      charged = true;
    },
    refund: () => {
      if (charged) wrong.give(key);
      charged = false;
    },
  };
}
