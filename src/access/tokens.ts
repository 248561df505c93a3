import {
  type CryptoKey,
  type JWTPayload,
  type JWTVerifyOptions,
  type JWTVerifyResult,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  jwtVerify,
} from "jose";
import type { Clock } from "../lib/clock.ts";
import { AppError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import { Lru } from "../lib/lru.ts";
import { ownAlgorithm } from "./access-tokens.ts";
import type { UserActor } from "./actor.ts";
import type { EndedSessions } from "./ended-sessions.ts";
import { createKeySet } from "./jwks.ts";
import { ownName } from "./own-name.ts";
import { createOwnTokens } from "./own-tokens.ts";
import {
  type KnownPerson,
  type OutsideIdentity,
  actorOfOutside,
  actorOfOwn,
  identityOf,
} from "./token-claims.ts";
import { notAToken, refusalOf, refuse } from "./token-refusals.ts";

export type TokenRules = {
  /** Secret of HS256 tokens, this server's own and those of programs that share it. */
  readonly secret?: string | undefined;
  /** Where the public keys of an outside issuer are. Both may be given: the token's algorithm decides. */
  readonly jwksUrl?: URL | undefined;
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
};

export type Tokens = {
  /**
   * The person behind a JWT. Throws `AppError`: `unauthorized` with the reason when it is not valid here, or when it is
   * of a sign-in that has ended; `forbidden` when the person behind another program's is disabled; `unavailable` when
   * the issuer's keys or the database cannot be asked.
   */
  verify(token: string): Promise<UserActor>;
};

/** Signatures only. A public key must never be taken for the secret of an HMAC, so the two lists do not meet. */
const keySetAlgorithms = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];
const clockToleranceS = 5;
/** Own tokens that are remembered as good ones until they end. */
export const goodTokensMax = 10_000;
/** Longest token that is looked at, in characters. */
export const tokenLengthMax = 8_192;

type Verify = (token: string, options: JWTVerifyOptions) => Promise<JWTVerifyResult>;

/**
 * JWT verification by the rules of the configuration. Expiry and subject are always required. A token that says it is
 * this server's own is judged by nothing but the secret; any other one by issuer and audience of the configuration too,
 * and `personOf` says whom its subject is.
 */
export function createTokens(
  rules: TokenRules,
  deps: {
    readonly clock: Clock;
    readonly log: Logger;
    readonly personOf: (identity: OutsideIdentity) => Promise<KnownPerson>;
    readonly ended: Pick<EndedSessions, "has">;
  },
): Tokens {
  const ownTokens = rules.secret === undefined ? undefined : createOwnTokens(rules.secret);
  const bySecret = rules.secret === undefined ? undefined : verifyBySecret(rules.secret);
  const byKeySet = rules.jwksUrl === undefined ? undefined : verifyByKeySet(rules.jwksUrl, deps);
  const always: JWTVerifyOptions = { requiredClaims: ["exp", "sub"], clockTolerance: clockToleranceS };
  const own: JWTVerifyOptions = { ...always, issuer: ownName, audience: ownName };
  const outside: JWTVerifyOptions = {
    ...always,
    ...(rules.issuer === undefined ? {} : { issuer: rules.issuer }),
    ...(rules.audience === undefined ? {} : { audience: rules.audience }),
  };
  const check = async (verify: Verify, token: string, rule: JWTVerifyOptions): Promise<JWTPayload> => {
    try {
      return (await verify(token, { ...rule, currentDate: new Date(deps.clock.now()) })).payload;
    } catch (error) {
      throw error instanceof AppError ? error : refuse(refusalOf(error), error);
    }
  };

  /** Own tokens that were good: the same one comes with every request, and to check it costs more than most of those. */
  const good = new Lru<string, UserActor>(goodTokensMax);
  const remember = (token: string, actor: UserActor): UserActor => {
    good.set(token, actor);
    return actor;
  };
  const unlessEnded = (actor: UserActor): UserActor => {
    const { id: userId, sessionId } = actor;
    if (sessionId === undefined || !deps.ended.has({ userId, sessionId })) return actor;
    throw refuse("The sign-in that the token is of has ended: sign in again");
  };

  return {
    verify: async (token) => {
      const known = good.get(token);
      if (known !== undefined && deps.clock.now() < known.expiresAt) return unlessEnded(known);
      if (token.length > tokenLengthMax) throw refuse("The token is too long");
      const ownClaims = ownTokens?.(token, deps.clock.now());
      if (ownClaims !== undefined) return unlessEnded(remember(token, actorOfOwn(ownClaims)));
      const { algorithm, issuer } = glance(token);
      const verify = algorithm === ownAlgorithm ? bySecret : byKeySet;
      if (verify === undefined) throw refuse("The token's algorithm is not accepted here");
      if (algorithm === ownAlgorithm && issuer === ownName) {
        return unlessEnded(remember(token, actorOfOwn(await check(verify, token, own))));
      }
      const claims = await check(verify, token, outside);
      return actorOfOutside(claims, await deps.personOf(identityOf(claims)));
    },
  };
}

function verifyBySecret(secret: string): Verify {
  const bytes = new TextEncoder().encode(secret);
  let key: Promise<CryptoKey> | undefined;
  return async (token, options) => {
    key ??= crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
    return jwtVerify(token, await key, { ...options, algorithms: [ownAlgorithm] });
  };
}

function verifyByKeySet(url: URL, deps: { readonly clock: Clock; readonly log: Logger }): Verify {
  const keySet = createKeySet(url, deps.clock, deps.log);
  return async (token, options) => {
    const pinned = { ...options, algorithms: keySetAlgorithms };
    try {
      return await jwtVerify(token, keySet, pinned);
    } catch (error) {
      if (error instanceof errors.JWKSMultipleMatchingKeys) return verifyByAny(error, token, pinned);
      throw error;
    }
  };
}

/** A token without a key id may fit several keys of the set; the one that verifies is the right one. */
async function verifyByAny(
  keys: AsyncIterable<CryptoKey>,
  token: string,
  options: JWTVerifyOptions,
): Promise<JWTVerifyResult> {
  for await (const key of keys) {
    try {
      return await jwtVerify(token, key, options);
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    }
  }
  throw new errors.JWSSignatureVerificationFailed();
}

/** What decides how the token is judged. Nothing of it is verified yet. */
function glance(token: string): { readonly algorithm: string | undefined; readonly issuer: unknown } {
  try {
    return { algorithm: decodeProtectedHeader(token).alg, issuer: decodeJwt(token).iss };
  } catch (error) {
    throw refuse(notAToken, error);
  }
}
