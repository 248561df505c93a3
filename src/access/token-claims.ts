import type { JWTPayload } from "jose";
import { type Scope, isScope } from "../../protocol/scopes.ts";
import { AppError } from "../lib/errors.ts";
import type { UserActor } from "./actor.ts";

/** Longest subject, as OpenID Connect bounds it. */
const subjectLengthMax = 255;

/** The person whom the claims of a verified token describe. Scopes that this server does not know grant nothing. */
export function actorOfClaims(claims: JWTPayload): UserActor {
  const { sub } = claims;
  if (typeof sub !== "string" || sub === "" || sub.length > subjectLengthMax) {
    throw new AppError("unauthorized", {
      detail: `The token's subject must be a text of 1 to ${subjectLengthMax} characters`,
    });
  }
  const scopes = new Set<Scope>([...words(claims["scope"]), ...words(claims["scopes"])].filter(isScope));
  if ([...words(claims["role"]), ...words(claims["roles"])].includes("admin")) scopes.add("admin");
  return { kind: "user", id: sub, scopes };
}

/** Issuers write such claims as one text with spaces or as a list of texts. */
function words(claim: unknown): readonly string[] {
  if (typeof claim === "string") return claim.split(" ");
  return Array.isArray(claim) ? claim.filter((item) => typeof item === "string") : [];
}
