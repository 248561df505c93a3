import type { Deps, Module } from "../../deps.ts";
import { broadcastRoutes } from "./broadcasts/routes.ts";
import { type Broadcasts, createBroadcasts } from "./broadcasts/broadcasts.ts";
import { forgetRequests } from "./expire.ts";
import { followOccasions } from "./occasions/follow.ts";
import { followRedactions } from "./follow-redactions.ts";
import { notificationMethods } from "./methods.ts";
import { type NotifyPeople, createNotify } from "./notify.ts";
import { People } from "./people.ts";
import { createPlain } from "./plain.ts";
import { createPostgresStore } from "./postgres-store.ts";
import { createPush } from "./push/push.ts";
import { createReplay } from "./replay.ts";
import { notificationRoutes } from "./routes.ts";
import { preferenceRoutes } from "./wishes/routes.ts";
import { broadcastTopics, notificationTopics } from "./topics.ts";

/** What people are told, until they have read it or it ends. */
export function createNotifications(deps: Deps): Module & {
  readonly notify: NotifyPeople;
  readonly broadcasts: Broadcasts;
} {
  const people = new People();
  const store = createPostgresStore(deps, people);
  const notify = createNotify({ ...deps, store });
  const broadcasts = createBroadcasts(deps);
  const push = createPush(deps);
  return {
    name: "notifications",
    notify,
    broadcasts,
    routes: [
      ...notificationRoutes({ store, notify }),
      ...preferenceRoutes(store),
      ...broadcastRoutes({ ...deps, broadcasts }),
      ...push.routes,
    ],
    consumers: [
      followRedactions({ ...deps, people }),
      followOccasions({ ...deps, people }),
      ...push.consumers,
    ],
    timers: [
      {
        name: "notification release",
        everyMs: 5_000,
        // What others have to do, however much, must not put it off.
        apart: true,
        run: async (signal) => {
          await store.release(signal);
        },
      },
      {
        name: "notification expiry",
        everyMs: 60_000,
        run: async (signal) => {
          await store.expire(signal);
          await broadcasts.expire(signal);
          await forgetRequests(deps, signal);
        },
      },
      ...push.timers,
    ],
    methods: notificationMethods(store),
    topics: [notificationTopics, broadcastTopics],
    plain: createPlain(store, createReplay(store)),
  };
}
