import type { Actor } from "../../access/actor.ts";
import { actorName, hasScope } from "../../access/actor.ts";
import { sourceNamePattern, sourceNameRule } from "../../../protocol/inbox.ts";
import type { Deps, Proof, UnreadRequest } from "../../deps.ts";
import { AppError } from "../../lib/errors.ts";
import { requireSignature } from "../../access/signature.ts";
import type { SigningSource } from "./source-cache.ts";
import type { Sources } from "./sources.ts";

/** Who sent a webhook, and how entries name them. */
export type Sender = { readonly source: SigningSource; readonly actor: string };

type AuthenticateDeps = Pick<Deps, "config" | "clock"> & { readonly sources: Pick<Sources, "find"> };

/**
 * Finds the source of a webhook and makes sure that it really is its sender, from the headers alone as far as they
 * tell: nobody's body is read who cannot be its sender. The source is named by `?source=` or by the API key that is
 * bound to it; its scheme decides what proves it.
 */
export function authenticateSender(
  deps: AuthenticateDeps,
  request: UnreadRequest,
): Proof<Sender> | Promise<Proof<Sender>> {
  const { source: name } = request.query;
  if (name !== undefined && !isSourceName(name)) {
    throw new AppError("invalid_query", {
      fields: [{ pointer: "source", code: "pattern", detail: sourceNameRule }],
    });
  }
  const found = findSource(deps.sources, request.actor, name);
  return found instanceof Promise
    ? found.then((source) => prove(deps, request, source))
    : prove(deps, request, found);
}

const namePattern = new RegExp(sourceNamePattern);

/** The query is not validated yet when this is asked. */
function isSourceName(name: unknown): name is string {
  return typeof name === "string" && namePattern.test(name);
}

function prove(
  deps: AuthenticateDeps,
  { actor, headers }: UnreadRequest,
  source: SigningSource,
): Proof<Sender> {
  if (source.scheme === "api_key") {
    requireKey(actor, source);
    return { sender: { source, actor: actorName(actor) } };
  }
  const verifyBody = requireSignature(headers, {
    scheme: source.scheme,
    secrets: source.secrets,
    toleranceS: deps.config.webhookToleranceS,
    nowS: Math.floor(deps.clock.now() / 1000),
  });
  return { sender: { source, actor: `source:${source.name}` }, verifyBody };
}

function findSource(
  sources: Pick<Sources, "find">,
  actor: Actor | undefined,
  name: string | undefined,
): SigningSource | Promise<SigningSource> {
  if (name !== undefined) return sources.find({ name });
  if (actor === undefined) {
    throw new AppError("unauthorized", {
      detail:
        "send an API key that is bound to a source, or name the source by ?source= and sign the webhook",
    });
  }
  if (actor.kind !== "key" || actor.sourceId === undefined) {
    throw new AppError("invalid_query", {
      detail: "these credentials are not bound to a source: name it by ?source=",
      fields: [{ pointer: "source", code: "required", detail: "is required" }],
    });
  }
  return sources.find({ id: actor.sourceId });
}

function requireKey(actor: Actor | undefined, source: SigningSource): asserts actor is Actor {
  if (actor === undefined) {
    throw new AppError("unauthorized", { detail: `the source "${source.name}" needs an API key` });
  }
  const bound = actor.kind === "key" ? actor.sourceId : undefined;
  if (!hasScope(actor, "webhook:write") || (bound !== undefined && bound !== source.id)) {
    throw new AppError("forbidden", {
      detail: `these credentials may not send webhooks of the source "${source.name}"`,
    });
  }
}
