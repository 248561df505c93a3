import {
  Mark,
  NotificationPage,
  NotificationsQuery,
  Notified,
  Notify,
  Unread,
} from "../../../protocol/notifications.ts";
import { type UserActor, actorName, personOf } from "../../access/actor.ts";
import type { Route, RouteRequest } from "../../deps.ts";
import { keyHeaders, keyOf } from "./idempotency-key.ts";
import type { NotifyPeople } from "./notify.ts";
import type { NotificationStore } from "./store.ts";

const tag = "notifications";

export type RouteDeps = { readonly store: NotificationStore; readonly notify: NotifyPeople };

export function notificationRoutes(deps: RouteDeps): readonly Route[] {
  return [notifyRoute(deps), ...ownRoutes(deps)];
}

function notifyRoute({ notify }: RouteDeps): Route {
  return {
    method: "POST",
    path: "/api/v1/notify",
    scope: "notify:write",
    tag,
    summary: "Tell people something until they have read it or it ends",
    description:
      "Answers when what is told is durable, with an id for each target in the order of the request. Targets that cannot be " +
      "told are named in the answer and hold up nobody. Under an `Idempotency-Key` a repetition within 24 hours gets the " +
      "same answer, with `Idempotent-Replayed: true`; without one it tells people again.",
    body: Notify,
    headers: keyHeaders,
    responses: { 202: Notified },
    errors: ["idempotency_mismatch", "request_in_flight", "overloaded", "unavailable"],
    handler: async (request) => {
      const { actor } = request;
      if (actor === undefined) throw new Error("a route with a scope has an actor");
      const { results, replayed } = await notify({
        ...(request.body as Notify),
        actor: actorName(actor),
        key: keyOf(request),
      });
      return {
        status: 202,
        body: { results },
        ...(replayed ? { headers: { "Idempotent-Replayed": "true" } } : {}),
      };
    },
  };
}

const forPeople = { scope: "person", tag } as const;

function whoOf({ actor }: Pick<RouteRequest, "actor">): { readonly userId: number; readonly actor: string } {
  const person: UserActor = personOf(actor);
  return { userId: person.id, actor: actorName(person) };
}

function ownRoutes({ store }: RouteDeps): readonly Route[] {
  return [
    {
      ...forPeople,
      method: "GET",
      path: "/api/v1/notifications",
      summary: "List your notifications, the newest first",
      description: "With how many are unread, as of the same moment. What has ended is not among them.",
      query: NotificationsQuery,
      responses: { 200: NotificationPage },
      errors: ["invalid_cursor"],
      handler: async (request) => ({
        status: 200,
        body: await store.list(whoOf(request).userId, request.query as NotificationsQuery),
      }),
    },
    {
      ...forPeople,
      method: "GET",
      path: "/api/v1/notifications/unread",
      summary: "Count your unread notifications",
      responses: { 200: Unread },
      handler: async (request) => ({ status: 200, body: await store.unread(whoOf(request).userId) }),
    },
    {
      ...forPeople,
      method: "POST",
      path: "/api/v1/notifications/mark",
      summary: "Mark notifications as seen, read or archived, or all up to one",
      description:
        "No state goes back. What has ended or was marked before is left alone, so that a repetition is harmless. Answers " +
        "with how many are unread after it.",
      body: Mark,
      responses: { 200: Unread },
      handler: async (request) => {
        const { unread, version } = await store.mark(whoOf(request), request.body as Mark);
        return { status: 200, body: { unread, version } };
      },
    },
  ];
}
