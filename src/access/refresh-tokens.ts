import { createHmac, timingSafeEqual } from "node:crypto";
import { isUuid } from "../../protocol/ids.ts";

/** What a refresh token says: the session, and the how manieth of its tokens it is. */
export type RefreshClaim = { readonly sessionId: string; readonly number: number };

export type RefreshTokens = {
  /** The token; always the same for the same claim, so that an answer that was lost can be given again. */
  write(claim: RefreshClaim): string;
  /** What the token says; undefined unless this server has written it. */
  read(token: string): RefreshClaim | undefined;
};

const prefix = "tdr_";
const form = /^tdr_([0-9a-f-]{36})\.([1-9]\d{0,8})\.([A-Za-z0-9_-]{43})$/;

/** Refresh tokens are their claim and a MAC: the database holds nothing that could be shown as one. */
export function createRefreshTokens(secret: string): RefreshTokens {
  // Not the key that signs access tokens: neither may ever be taken for the other.
  const key = createHmac("sha256", secret).update("tidings refresh tokens").digest();
  const macOf = ({ sessionId, number }: RefreshClaim): Buffer =>
    createHmac("sha256", key).update(`${sessionId}.${number}`).digest();

  return {
    write: (claim) => `${prefix}${claim.sessionId}.${claim.number}.${macOf(claim).toString("base64url")}`,
    read: (token) => {
      const match = form.exec(token);
      if (match === null) return undefined;
      const [, sessionId = "", digits = "", mac = ""] = match;
      const claim = { sessionId, number: Number(digits) };
      if (!isUuid(sessionId)) return undefined;
      return timingSafeEqual(Buffer.from(mac, "base64url"), macOf(claim)) ? claim : undefined;
    },
  };
}
