import {
  BroadcastAccepted,
  BroadcastList,
  BroadcastParams,
  BroadcastWithdrawn,
  NewBroadcast,
} from "../../../../protocol/broadcasts.ts";
import { type Actor, actorName, byWhom } from "../../../access/actor.ts";
import type { Deps, Route, RouteRequest } from "../../../deps.ts";
import type { Broadcasts } from "./broadcasts.ts";
import { keyHeaders, keyOf } from "../idempotency-key.ts";

const tag = "notifications";
const path = "/api/v1/broadcasts";
const scope = "notify:write";

type BroadcastRouteDeps = Pick<Deps, "log"> & { readonly broadcasts: Broadcasts };

/** What everybody is told. */
export function broadcastRoutes(deps: BroadcastRouteDeps): readonly Route[] {
  return [tellRoute(deps), listRoute(deps), withdrawRoute(deps)];
}

function actorOf({ actor }: Pick<RouteRequest, "actor">): Actor {
  if (actor === undefined) throw new Error("a route with a scope has an actor");
  return actor;
}

function tellRoute({ broadcasts, log }: BroadcastRouteDeps): Route {
  return {
    method: "POST",
    path,
    scope,
    tag,
    summary: "Tell everybody something until it ends",
    description:
      "Also those who come later, as long as it lives; what each has read of it is their own. Answers when it is durable. " +
      "Under an `Idempotency-Key` a repetition within 24 hours gets the same answer, with `Idempotent-Replayed: true`.",
    body: NewBroadcast,
    headers: keyHeaders,
    responses: { 202: BroadcastAccepted },
    errors: ["conflict", "idempotency_mismatch", "request_in_flight", "unavailable"],
    handler: async (request) => {
      const { accepted, replayed } = await broadcasts.tell({
        ...(request.body as NewBroadcast),
        actor: actorName(actorOf(request)),
        key: keyOf(request),
      });
      if (!replayed) log.info({ ...byWhom(request), broadcast: accepted.broadcast_id }, "everybody is told");
      return {
        status: 202,
        body: accepted,
        ...(replayed ? { headers: { "Idempotent-Replayed": "true" } } : {}),
      };
    },
  };
}

function listRoute({ broadcasts }: BroadcastRouteDeps): Route {
  return {
    method: "GET",
    path,
    scope: "person",
    programScope: scope,
    tag,
    summary: "List what everybody is told, as you have it, the newest first",
    description:
      "With how many of these you have not read. What you have archived, or do not want to be told, is not among them. " +
      "Programs have read nothing, and turned nothing off.",
    responses: { 200: BroadcastList },
    errors: ["overloaded"],
    handler: async (request) => {
      const actor = actorOf(request);
      const list = actor.kind === "user" ? broadcasts.list(actor.id) : broadcasts.listAll();
      return { status: 200, body: await list };
    },
  };
}

function withdrawRoute({ broadcasts, log }: BroadcastRouteDeps): Route {
  return {
    method: "DELETE",
    path: `${path}/:broadcast_id`,
    scope,
    tag,
    summary: "Withdraw what everybody is told",
    description: "From then on nobody is told of it any more. One that has ended, or never was, is no fault.",
    params: BroadcastParams,
    responses: { 204: BroadcastWithdrawn },
    handler: async (request) => {
      const { broadcast_id: id } = request.params as BroadcastParams;
      const wasThere = await broadcasts.withdraw(id, actorName(actorOf(request)));
      if (wasThere) log.info({ ...byWhom(request), broadcast: id }, "a broadcast is withdrawn");
      return { status: 204 };
    },
  };
}
