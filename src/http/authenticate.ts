import type { IncomingMessage } from "node:http";
import { type Actor, hasScope } from "../access/actor.ts";
import type { Route } from "../deps.ts";
import { AppError, type ErrorDetails } from "../lib/errors.ts";

/** The one credential of a request, if there is one. Other schemes of `Authorization` are not ours to read. */
export function credentialOf({ headers, rawHeaders }: IncomingMessage): string | undefined {
  const bearer = bearerOf(headers.authorization);
  const apiKey = headers["x-api-key"];
  if (bearer !== undefined && countAuthorization(rawHeaders) > 1) throw ambiguous();
  if (apiKey === undefined) return bearer;
  // Several X-Api-Key headers arrive joined by commas: one credential that nobody has.
  if (typeof apiKey !== "string" || (bearer !== undefined && bearer !== apiKey)) throw ambiguous();
  return apiKey;
}

/** Refuses an actor that may not use a route of this scope. A `self` route decides for itself. */
export function requireScope(actor: Actor, scope: Route["scope"]): void {
  if (scope === "self" || scope === "open" || hasScope(actor, scope)) return;
  throw new AppError("forbidden", { detail: `the scope ${scope} is needed` });
}

export const credentialMissing: ErrorDetails = {
  detail: "send Authorization: Bearer with an API key or token, or X-Api-Key",
};

function ambiguous(): AppError {
  return new AppError("unauthorized", { detail: "more than one credential was sent" });
}

const scheme = "bearer ";

function bearerOf(header: string | undefined): string | undefined {
  if (header === undefined || header.slice(0, scheme.length).toLowerCase() !== scheme) return undefined;
  return header.slice(scheme.length).trim();
}

/** Node keeps the first of several `Authorization` headers and drops the others without a word. */
function countAuthorization(rawHeaders: readonly string[]): number {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name?.length === 13 && name.toLowerCase() === "authorization") count++;
  }
  return count;
}
