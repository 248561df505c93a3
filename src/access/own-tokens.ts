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
    // Nobody but this server writes these: what is not as expected was written by another version of it.
    const claims = JSON.parse(
      Buffer.from(token.slice(ownHeader.length, end), "base64url").toString(),
    ) as JWTPayload;
    const { iss, aud, sub, exp, nbf } = claims;
    const isFit = iss === ownName && aud === ownName && typeof sub === "string" && nbf === undefined;
    return isFit && typeof exp === "number" && nowMs < exp * 1_000 ? claims : undefined;
  };
}

function isSame(expected: string, given: string): boolean {
  const [a, b] = [Buffer.from(expected), Buffer.from(given)];
  return a.length === b.length && timingSafeEqual(a, b);
}
