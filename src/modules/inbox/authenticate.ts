import type { Actor } from "../../access/actor.ts";
import { actorName, hasScope } from "../../access/actor.ts";
import type { Deps, RouteRequest } from "../../deps.ts";
import { AppError } from "../../lib/errors.ts";
import { requireSignature } from "./signature.ts";
import type { SigningSource, Sources } from "./sources.ts";

/** Who sent a webhook, and how entries name them. */
export type Sender = { readonly source: SigningSource; readonly actor: string };

/**
 * Finds the source of a webhook and makes sure that it really is its sender. The source is named by `?source=` or by
 * the API key that is bound to it; its scheme decides what proves it.
 */
export async function authenticateSender(
  deps: Pick<Deps, "config" | "clock"> & { readonly sources: Pick<Sources, "find"> },
  request: Pick<RouteRequest, "actor" | "headers" | "rawBody">,
  name: string | undefined,
): Promise<Sender> {
  const { actor } = request;
  const source = await findSource(deps.sources, actor, name);
  if (source.scheme === "api_key") {
    requireKey(actor, source);
    return { source, actor: actorName(actor) };
  }
  if (request.rawBody === undefined) throw new Error("the webhook route keeps the raw body");
  requireSignature(
    { headers: request.headers, body: request.rawBody },
    {
      scheme: source.scheme,
      secrets: source.secrets,
      toleranceS: deps.config.webhookToleranceS,
      nowS: Math.floor(deps.clock.now() / 1000),
    },
  );
  return { source, actor: `source:${source.name}` };
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
