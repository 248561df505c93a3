import { type Actor, hasScope } from "../access/actor.ts";
import { isDevelopmentKey, placeOfHeaders, requireDevelopmentPlace } from "../access/development.ts";
import type { Route } from "../deps.ts";
import { AppError, type ErrorDetails } from "../lib/errors.ts";
import type { InboundRequest } from "./inbound.ts";

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
