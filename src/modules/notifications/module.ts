import type { Deps, Module } from "../../deps.ts";
import { forgetRequests } from "./expire.ts";
import { followRedactions } from "./follow-redactions.ts";
import { notificationMethods } from "./methods.ts";
import { type NotifyPeople, createNotify } from "./notify.ts";
import { People } from "./people.ts";
import { createPlain } from "./plain.ts";
import { createPostgresStore } from "./postgres-store.ts";
import { createReplay } from "./replay.ts";
import { notificationRoutes } from "./routes.ts";
import { notificationTopics } from "./topics.ts";

/** What people are told, until they have read it or it ends. */
export function createNotifications(deps: Deps): Module & { readonly notify: NotifyPeople } {
  const people = new People();
  const store = createPostgresStore(deps, people);
  const notify = createNotify({ ...deps, store });
  return {
    name: "notifications",
    notify,
    routes: notificationRoutes({ store, notify }),
    consumers: [followRedactions({ ...deps, people })],
    timers: [
      {
        name: "notification expiry",
        everyMs: 60_000,
        run: async (signal) => {
          await store.expire(signal);
          await forgetRequests(deps, signal);
        },
      },
    ],
    methods: notificationMethods(store),
    topics: [notificationTopics],
    plain: createPlain(store, createReplay(store)),
  };
}
