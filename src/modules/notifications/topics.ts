import { notificationEntries } from "../../../protocol/notifications.ts";
import { requireThemselves } from "../../access/actor.ts";
import type { TopicKind } from "../../deps.ts";

/** `user/ID`: what a person is told, and what became of it on their devices. */
export const notificationTopics: TopicKind = {
  kind: "user",
  authorize: requireThemselves,
  entries: notificationEntries,
};
