import { createHmac, createSecretKey, timingSafeEqual } from "node:crypto";
import type { JWTPayload } from "jose";
import { ownAlgorithm } from "./access-tokens.ts";
import { ownName } from "./own-name.ts";

/** The first part of every token that this server issues, to the letter. */
const ownHeader = `${Buffer.from(JSON.stringify({ alg: ownAlgorithm, typ: "JWT" })).toString("base64url")}.`;

/**
 * Recognises this server's own tokens, as it writes them, without a thread of the pool: thousands come back at once after
 * a restart. Whatever is not exactly such a token, unexpired and rightly signed, gives undefined, and is `jose`'s to
 * judge, who says what is wrong with it; nothing is accepted here that `jose` would refuse.
 */
export function createOwnTokens(secret: string): (token: string, nowMs: number) => JWTPayload | undefined {
  const key = createSecretKey(Buffer.from(secret));
  return (token, nowMs) => {
    const end = token.lastIndexOf(".");
    if (!token.startsWith(ownHeader) || end <= ownHeader.length) return undefined;
    const signature = createHmac("sha256", key).update(token.slice(0, end)).digest("base64url");
    if (!isSame(signature, token.slice(end + 1))) return undefined;
    // Other programs may have the secret, too: what they write must not end worse than refused.
    const claims = claimsIn(token.slice(ownHeader.length, end));
    if (claims === undefined) return undefined;
    const { iss, aud, sub, exp, nbf, iat } = claims;
    const isOurs = iss === ownName && aud === ownName && typeof sub === "string";
    const isPlain = nbf === undefined && (iat === undefined || typeof iat === "number");
    return isOurs && isPlain && typeof exp === "number" && nowMs < exp * 1_000 ? claims : undefined;
  };
}

function claimsIn(payload: string): JWTPayload | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, "base64url").toString());
    return typeof claims === "object" && claims !== null ? (claims as JWTPayload) : undefined;
  } catch {
    return undefined;
  }
}

function isSame(expected: string, given: string): boolean {
  const [a, b] = [Buffer.from(expected), Buffer.from(given)];
  return a.length === b.length && timingSafeEqual(a, b);
}
