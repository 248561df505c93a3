import { Type } from "typebox";
import {
  NewPushSubscription,
  PushKey,
  PushSubscribed,
  PushSubscriptionList,
  PushSubscriptionParams,
} from "../../../../protocol/push.ts";
import { personOf } from "../../../access/actor.ts";
import type { Deps, Route } from "../../../deps.ts";
import type { PushHosts } from "./hosts.ts";
import { listPushSubscriptions, subscribePush, unsubscribePush } from "./subscriptions.ts";
import type { Vapid } from "./vapid.ts";

export type PushRouteDeps = Pick<Deps, "db" | "clock"> & {
  readonly hosts: PushHosts;
  readonly vapid: () => Promise<Vapid>;
};

const forPeople = { scope: "person", tag: "web push" } as const;
const path = "/api/v1/push/subscriptions";

export function pushRoutes(deps: PushRouteDeps): readonly Route[] {
  return [
    {
      ...forPeople,
      method: "GET",
      path: "/api/v1/push/key",
      summary: "The key that browsers subscribe to web push with",
      responses: { 200: PushKey },
      handler: async ({ actor }) => {
        personOf(actor);
        return { status: 200, body: { public_key: (await deps.vapid()).publicKey } };
      },
    },
    {
      ...forPeople,
      method: "GET",
      path,
      summary: "List the browsers that you have subscribed to web push",
      description: "Addresses are secrets: of each only its host is shown.",
      responses: { 200: PushSubscriptionList },
      handler: async ({ actor }) => ({
        status: 200,
        body: { subscriptions: await listPushSubscriptions(deps.db, personOf(actor).id, deps.clock.now()) },
      }),
    },
    {
      ...forPeople,
      method: "POST",
      path,
      summary: "Subscribe a browser to web push",
      description:
        "With what the browser's `pushManager.subscribe` resolved with. `200` for a browser that was known: it is yours " +
        "from now on. It ends with your sign-in, at the latest.",
      body: NewPushSubscription,
      responses: { 200: PushSubscribed, 201: PushSubscribed },
      handler: async (request) => {
        const { id: userId, sessionId } = personOf(request.actor);
        const wanted = request.body as NewPushSubscription;
        const { id, isNew } = await subscribePush(deps, { userId, sessionId }, wanted);
        return { status: isNew ? 201 : 200, body: { id } };
      },
    },
    {
      ...forPeople,
      method: "DELETE",
      path: `${path}/:id`,
      summary: "End a subscription",
      description: "One that is gone already is no fault.",
      params: PushSubscriptionParams,
      responses: { 204: Type.Null({ description: "Nothing is pushed there any more" }) },
      handler: async ({ actor, params }) => {
        await unsubscribePush(deps.db, personOf(actor).id, (params as { id: number }).id);
        return { status: 204 };
      },
    },
  ];
}
