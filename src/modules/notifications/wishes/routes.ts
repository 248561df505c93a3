import { NewPreferences, Preferences } from "../../../../protocol/preferences.ts";
import { actorName, personOf } from "../../../access/actor.ts";
import type { Route } from "../../../deps.ts";
import type { NotificationStore } from "../store.ts";

const path = "/api/v1/notifications/preferences";
const common = { scope: "person", tag: "notifications", path } as const;

/** What people wish of their notifications. */
export function preferenceRoutes(
  store: Pick<NotificationStore, "preferences" | "setPreferences">,
): readonly Route[] {
  return [
    {
      ...common,
      method: "GET",
      summary: "Show what you wish of your notifications",
      responses: { 200: Preferences },
      handler: async ({ actor }) => ({ status: 200, body: await store.preferences(personOf(actor).id) }),
    },
    {
      ...common,
      method: "PUT",
      summary: "Say what you wish of your notifications",
      description:
        "The whole of it: what is left out is as it is for everybody, and of a category's wish as in `default`. It holds for " +
        "what is held as well: what may be told by it is told within seconds. What is critical is told at once, whatever anybody wishes.",
      body: NewPreferences,
      responses: { 200: Preferences },
      handler: async ({ actor, body }) => {
        const person = personOf(actor);
        const who = { userId: person.id, actor: actorName(person) };
        return { status: 200, body: await store.setPreferences(who, body as NewPreferences) };
      },
    },
  ];
}
