import { notificationEntries } from "../../../protocol/notifications.ts";
import { PreferencesChangedData } from "../../../protocol/preferences.ts";
import { broadcastEntries } from "../../../protocol/broadcasts.ts";
import { personOf, requireThemselves } from "../../access/actor.ts";
import type { TopicKind } from "../../deps.ts";
import { AppError } from "../../lib/errors.ts";

/** `user/ID`: what a person is told, and what became of it on their devices. */
export const notificationTopics: TopicKind = {
  kind: "user",
  authorize: requireThemselves,
  entries: { ...notificationEntries, "notification.preferences": PreferencesChangedData },
};

/** `broadcast/all`: what everybody is told who is signed in. Programs are told nothing. */
export const broadcastTopics: TopicKind = {
  kind: "broadcast",
  authorize: async (actor, id) => {
    personOf(actor);
    if (id !== "all") throw new AppError("not_found", { detail: "there is no such topic" });
  },
  entries: broadcastEntries,
};
