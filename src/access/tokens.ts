import {
  type CryptoKey,
  type JWTPayload,
  type JWTVerifyOptions,
  type JWTVerifyResult,
  decodeProtectedHeader,
  errors,
  jwtVerify,
} from "jose";
import type { Clock } from "../lib/clock.ts";
import { AppError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { UserActor } from "./actor.ts";
import { createKeySet } from "./jwks.ts";
import { actorOfClaims } from "./token-claims.ts";

export type TokenRules = {
  /** Secret of HS256 tokens. */
  readonly secret?: string | undefined;
  /** Where the public keys of an outside issuer are. Both may be given: the token's algorithm decides. */
  readonly jwksUrl?: URL | undefined;
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
};

export type Tokens = {
  /**
   * The person behind a JWT. Throws `AppError`: `unauthorized` with the reason when it is not valid here,
   * `unavailable` when the issuer's keys cannot be fetched.
   */
  verify(token: string): Promise<UserActor>;
};

const secretAlgorithm = "HS256";
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
/** Longest token that is looked at, in characters. */
const tokenLengthMax = 8_192;

type Verify = (token: string, options: JWTVerifyOptions) => Promise<JWTVerifyResult>;

/** JWT verification by the rules of the configuration. Expiry and subject are always required. */
export function createTokens(
  rules: TokenRules,
  deps: { readonly clock: Clock; readonly log: Logger },
): Tokens {
  const bySecret = rules.secret === undefined ? undefined : verifyBySecret(rules.secret);
  const byKeySet = rules.jwksUrl === undefined ? undefined : verifyByKeySet(rules.jwksUrl, deps);
  const common: JWTVerifyOptions = {
    requiredClaims: ["exp", "sub"],
    clockTolerance: clockToleranceS,
    ...(rules.issuer === undefined ? {} : { issuer: rules.issuer }),
    ...(rules.audience === undefined ? {} : { audience: rules.audience }),
  };

  return {
    verify: async (token) => {
      const algorithm = algorithmOf(token);
      const verify = algorithm === secretAlgorithm ? bySecret : byKeySet;
      if (verify === undefined) throw refuse("The token's algorithm is not accepted here");
      let claims: JWTPayload;
      try {
        ({ payload: claims } = await verify(token, { ...common, currentDate: new Date(deps.clock.now()) }));
      } catch (error) {
        throw error instanceof AppError ? error : refuse(refusalOf(error), error);
      }
      return actorOfClaims(claims);
    },
  };
}

function verifyBySecret(secret: string): Verify {
  const bytes = new TextEncoder().encode(secret);
  let key: Promise<CryptoKey> | undefined;
  return async (token, options) => {
    key ??= crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
    return jwtVerify(token, await key, { ...options, algorithms: [secretAlgorithm] });
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

function algorithmOf(token: string): string | undefined {
  if (token.length > tokenLengthMax) throw refuse("The token is too long");
  try {
    return decodeProtectedHeader(token).alg;
  } catch (error) {
    throw refuse(notAToken, error);
  }
}

const notAToken = "The credential is neither an API key nor a JWT";

function refuse(detail: string, cause?: unknown): AppError {
  return new AppError("unauthorized", cause === undefined ? { detail } : { detail, cause });
}

/** Says what is wrong with a token, never what would be right: expected issuers and key ids stay inside. */
function refusalOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return "The token has expired";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "The token's signature does not match";
  if (error instanceof errors.JWKSNoMatchingKey)
    return "The token is signed by a key that its issuer does not publish";
  if (error instanceof errors.JOSEAlgNotAllowed) return "The token's algorithm is not accepted here";
  if (error instanceof errors.JWTClaimValidationFailed) return claimRefusalOf(error);
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) return notAToken;
  return "The token cannot be verified";
}

function claimRefusalOf({ claim, reason }: errors.JWTClaimValidationFailed): string {
  if (reason === "missing") return `The token lacks the claim "${claim}"`;
  if (claim === "nbf") return "The token is not valid yet";
  if (claim === "iss") return "The token comes from another issuer";
  if (claim === "aud") return "The token is meant for another audience";
  return `The token's claim "${claim}" is not valid`;
}
