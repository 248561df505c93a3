import { Mark, Unread } from "../../../protocol/notifications.ts";
import { actorName, personOf } from "../../access/actor.ts";
import type { SocketMethod } from "../../deps.ts";
import type { NotificationStore } from "./store.ts";

/** What clients do over the socket rather than over HTTP. */
export function notificationMethods(store: NotificationStore): readonly SocketMethod[] {
  return [
    {
      name: "notifications.mark",
      summary: "Mark notifications as seen, read or archived, or all up to one",
      params: Mark,
      answer: Unread,
      handler: async ({ actor, params }) => {
        const { unread, version } = await store.mark(
          { userId: personOf(actor).id, actor: actorName(actor) },
          params as Mark,
        );
        return { unread, version };
      },
    },
  ];
}
