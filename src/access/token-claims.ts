import type { JWTPayload } from "jose";
import { limits } from "../../protocol/limits.ts";
import { type Scope, isScope } from "../../protocol/scopes.ts";
import { AppError } from "../lib/errors.ts";
import type { UserActor } from "./actor.ts";

/** Entries name their actor `user:SUBJECT`, and what they name is bounded like a topic, in UTF-16 units. */
const subjectLengthMax = limits.topicLength - "user:".length;

/** The person whom the claims of a verified token describe. Scopes that this server does not know grant nothing. */
export function actorOfClaims(claims: JWTPayload): UserActor {
  const { sub } = claims;
  if (typeof sub !== "string" || !isSubject(sub)) {
    throw new AppError("unauthorized", {
      detail: `The token's subject must be a text of 1 to ${subjectLengthMax} characters without control characters`,
    });
  }
  const scopes = new Set<Scope>([...words(claims["scope"]), ...words(claims["scopes"])].filter(isScope));
  if ([...words(claims["role"]), ...words(claims["roles"])].includes("admin")) scopes.add("admin");
  return { kind: "user", id: sub, scopes };
}

/** Whatever else a subject is could append nothing: the log would refuse the entry for its actor. */
function isSubject(sub: string): boolean {
  return sub !== "" && sub.length <= subjectLengthMax && !/\p{Cc}/u.test(sub) && sub.isWellFormed();
}

/** Issuers write such claims as one text with spaces or as a list of texts. */
function words(claim: unknown): readonly string[] {
  if (typeof claim === "string") return claim.split(" ");
  return Array.isArray(claim) ? claim.filter((item) => typeof item === "string") : [];
}
