import type { IncomingMessage } from "node:http";
import { type Actor, hasScope } from "../access/actor.ts";
import { isDevelopmentKey, placeOfHeaders, requireDevelopmentPlace } from "../access/development.ts";
import type { Route } from "../deps.ts";
import { AppError, type ErrorDetails } from "../lib/errors.ts";
import type { InboundRequest } from "./inbound.ts";

/** The one credential of a request, if there is one. Other schemes of `Authorization` are not ours to read. */
export function credentialOf({ headers }: Pick<IncomingMessage, "headers">): string | undefined {
  const bearer = bearerOf(headers.authorization);
  const apiKey = headers["x-api-key"];
  // Several headers of one name arrive joined by commas, and no credential has one.
  if (bearer?.includes(",") === true) throw ambiguous();
  if (apiKey === undefined) return bearer;
  if (typeof apiKey !== "string" || apiKey.includes(",") || (bearer !== undefined && bearer !== apiKey))
    throw ambiguous();
  return apiKey;
}

/** Who may use a route. */
export type ScopeRule = {
  readonly scope: Route["scope"];
  readonly programScope?: Route["programScope"];
};

/**
 * Refuses an actor that may not use a route of this scope. A `self` route decides for itself; a `person` route is for
 * people, and for programs with its `programScope`.
 */
export function requireScope(actor: Actor, { scope, programScope }: ScopeRule): void {
  if (scope === "self" || scope === "open") return;
  if (scope !== "person") {
    if (hasScope(actor, scope)) return;
    throw new AppError("forbidden", { detail: `the scope ${scope} is needed` });
  }
  if (actor.kind === "user" || hasScope(actor, programScope ?? "admin")) return;
  throw new AppError("forbidden", {
    detail: programScope === undefined ? "this is for people" : `programs need the scope ${programScope}`,
  });
}

/** Refuses the server's own key where it is not good. */
export function requirePlace(actor: Actor, request: InboundRequest, host: string): void {
  if (!isDevelopmentKey(actor)) return;
  const { address, headers } = request;
  requireDevelopmentPlace({ host, address, ...placeOfHeaders(headers) });
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
