import { type CryptoKey, SignJWT } from "jose";
import type { Clock } from "../lib/clock.ts";
import { ownName } from "./own-name.ts";
import type { KnownPerson, OwnClaims } from "./token-claims.ts";

/**
 * How long an access token is good, seconds, unless its session ends before. Nothing is looked up for it: what has ended
 * meanwhile, every process keeps in mind for so long (`ended-sessions.ts`).
 */
export const accessTokenS = 900;
export const ownAlgorithm = "HS256";

export type AccessTokens = {
  /** Signs that whoever shows it is this person, signed in by this session. */
  issue(person: KnownPerson, sessionId: string): Promise<string>;
};

export function createAccessTokens(secret: string, clock: Clock): AccessTokens {
  const bytes = new TextEncoder().encode(secret);
  let key: Promise<CryptoKey> | undefined;
  return {
    issue: async ({ id, username, role }, sessionId) => {
      key ??= crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
      const nowS = Math.floor(clock.now() / 1_000);
      const claims: OwnClaims = { username, role, sid: sessionId };
      return new SignJWT(claims)
        .setProtectedHeader({ alg: ownAlgorithm, typ: "JWT" })
        .setIssuer(ownName)
        .setAudience(ownName)
        .setSubject(String(id))
        .setIssuedAt(nowS)
        .setExpirationTime(nowS + accessTokenS)
        .sign(await key);
    },
  };
}
