import { Type } from "typebox";
import { Notification, NotificationExpiredData, Notify, type Place } from "./notifications.ts";
import { Preferences } from "./preferences.ts";

/** Broadcasts: what a program tells everybody, until it ends, without a copy for each. */

const strict = { additionalProperties: false } as const;
const uuid = Notification.properties.notification_id;
const version = Type.Integer({
  minimum: 0,
  description: "grows with each broadcast that is told or ends: a smaller one is older news",
});

const { target: _nobodyInParticular, ...told } = Notify.properties;
/** Body of `POST /api/v1/broadcasts`: that of a notification, for everybody. */
export const NewBroadcast = Type.Object(told, {
  ...strict,
  examples: [{ message: "Maintenance at 22:00", source: "ops", ttl_s: 3_600 }],
});
export type NewBroadcast = Omit<Notify, "target">;

export const BroadcastAccepted = Type.Object(
  {
    broadcast_id: uuid,
    stream_id: Notification.properties.stream_id,
    expires_at: Notification.properties.expires_at,
  },
  strict,
);
export type BroadcastAccepted = { broadcast_id: string; stream_id: string; expires_at: string };

export const BroadcastParams = Type.Object({ broadcast_id: uuid }, strict);
export type BroadcastParams = { broadcast_id: string };

export const BroadcastWithdrawn = Type.Null({ description: "nothing: it lives no more" });

/**
 * What lives, as one person has it: without what they have archived or turned off. Programs have done neither. The newest
 * first; all of it, since there are never more than `limits.broadcasts`.
 */
export const BroadcastList = Type.Object(
  {
    broadcasts: Type.Array(Notification),
    unread: Type.Integer({ minimum: 0, description: "how many of these are unread or seen" }),
    version,
    preferences: Preferences,
  },
  strict,
);
export type BroadcastList = {
  broadcasts: Notification[];
  unread: number;
  version: number;
  preferences: Preferences;
};

/** Data of `broadcast.created`: what everybody is told now, unread. Each knows by their own preferences whether it is shown. */
export const BroadcastCreatedData = Type.Object({ broadcast: Notification, version }, strict);
export type BroadcastCreatedData = { broadcast: Notification; version: number };

/** Data of `broadcast.expired`: these have ended, or were withdrawn. */
export const BroadcastExpiredData = Type.Object(
  { broadcasts: NotificationExpiredData.properties.notifications, version },
  strict,
);
export type BroadcastExpiredData = { broadcasts: Place[]; version: number };

/** What travels in `broadcast/all`. */
export const broadcastEntries = {
  "broadcast.created": BroadcastCreatedData,
  "broadcast.expired": BroadcastExpiredData,
} as const;
