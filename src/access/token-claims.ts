import type { JWTPayload } from "jose";
import { type UserRole, userRoles, usernamePattern } from "../../protocol/accounts.ts";
import { isUuid } from "../../protocol/ids.ts";
import { type Scope, isScope } from "../../protocol/scopes.ts";
import { AppError } from "../lib/errors.ts";
import type { UserActor } from "./actor.ts";

/** What the claims of tokens mean. All of them are verified already: nobody but the issuer has written them. */

/** Somebody whom another program vouches for, and what it says about them. */
export type OutsideIdentity = {
  /** Empty where tokens name none. */
  readonly issuer: string;
  readonly subject: string;
  /** What follows is what the issuer has written, not yet made to fit. */
  readonly username: string | undefined;
  readonly name: string | undefined;
  /** Only an address that the issuer has verified. */
  readonly email: string | undefined;
};

/** The person of this server that an identity belongs to. */
export type KnownPerson = { readonly id: number; readonly username: string; readonly role: UserRole };

/** Longest subject and issuer, in UTF-16 units: what OpenID Connect allows a subject, and an index row holds both. */
const identityLengthMax = 255;
/** The last moment that a date can be: some issuers write "never" as a number without end. */
const lastMomentMs = 8_640_000_000_000_000;
/** Longest claim that is looked at for a name, in UTF-16 units. */
const nameLengthMax = 1_000;

/** Who the token speaks of. Throws `unauthorized` for a subject or issuer that cannot be stored. */
export function identityOf(claims: JWTPayload): OutsideIdentity {
  const { sub, iss = "" } = claims;
  if (typeof sub !== "string" || sub === "" || !isStorable(sub)) throw unusable("subject", 1);
  if (typeof iss !== "string" || !isStorable(iss)) throw unusable("issuer", 0);
  const verified = claims["email_verified"] === true || claims["email_verified"] === "true";
  return {
    issuer: iss,
    subject: sub,
    username: textOf(claims["preferred_username"]) ?? textOf(claims["username"]),
    name: textOf(claims["name"]),
    email: verified ? textOf(claims["email"]) : undefined,
  };
}

/**
 * The actor behind another program's token. Its scopes are those that the token names; those that this server does not
 * know grant nothing. Of the roles that token and server give, the higher one counts.
 */
export function actorOfOutside(claims: JWTPayload, person: KnownPerson): UserActor {
  const named = new Set([...words(claims["role"]), ...words(claims["roles"]), person.role]);
  const role = userRoles.findLast((role) => named.has(role)) ?? "user";
  const scopes = [...words(claims["scope"]), ...words(claims["scopes"])].filter(isScope);
  const { id, username } = person;
  return { id, username, ...actorOfRole(role, scopes), sessionId: undefined, expiresAt: expiryOf(claims) };
}

/** The claims that this server's own tokens carry beside who, when and for whom. */
export type OwnClaims = { readonly username: string; readonly role: UserRole; readonly sid: string };

/** The actor behind one of this server's own tokens. Throws `unauthorized` for what this version has not written. */
export function actorOfOwn(claims: JWTPayload): UserActor {
  const { sub = "", username, role, sid } = claims;
  const known = userRoles.find((name) => name === role);
  const isOwn =
    /^[1-9]\d*$/.test(sub) &&
    Number.isSafeInteger(Number(sub)) &&
    typeof username === "string" &&
    new RegExp(usernamePattern).test(username) &&
    typeof sid === "string" &&
    isUuid(sid) &&
    known !== undefined;
  if (!isOwn) throw new AppError("unauthorized", { detail: "The token's claims are not this server's" });
  const expiresAt = expiryOf(claims);
  return { id: Number(sub), username, ...actorOfRole(known), sessionId: sid, expiresAt };
}

function actorOfRole(
  role: UserRole,
  scopes: readonly Scope[] = [],
): Pick<UserActor, "kind" | "role" | "scopes"> {
  return { kind: "user", role, scopes: new Set<Scope>(role === "admin" ? [...scopes, "admin"] : scopes) };
}

/** `exp` is among the claims that every token must have. */
function expiryOf({ exp = 0 }: JWTPayload): number {
  return Math.min(exp * 1_000, lastMomentMs);
}

function isStorable(text: string): boolean {
  return text.length <= identityLengthMax && !/\p{Cc}/u.test(text) && text.isWellFormed();
}

function unusable(what: string, min: number): AppError {
  return new AppError("unauthorized", {
    detail: `The token's ${what} must be a text of ${min} to ${identityLengthMax} characters without control characters`,
  });
}

function textOf(claim: unknown): string | undefined {
  return typeof claim === "string" && claim.length <= nameLengthMax ? claim : undefined;
}

/** Issuers write such claims as one text with spaces or as a list of texts. */
function words(claim: unknown): readonly string[] {
  if (typeof claim === "string") return claim.split(" ");
  return Array.isArray(claim) ? claim.filter((item) => typeof item === "string") : [];
}
