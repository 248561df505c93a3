import type { BroadcastCreatedData } from "../../../protocol/broadcasts.ts";
import type {
  Notification,
  NotificationCreatedData,
  NotificationMarkedData,
  Place,
} from "../../../protocol/notifications.ts";

/** What the entry tells of for the first time; nothing when it tells of something else, or was redacted. */
export function createdIn(type: string, data: unknown): Notification | undefined {
  if (type === "notification.created") return (data as Partial<NotificationCreatedData>).notification;
  // All who listen are told the same: who has turned it off hears it now, and never again.
  if (type === "broadcast.created") return (data as Partial<BroadcastCreatedData>).broadcast;
  return undefined;
}

/** The places of what the entry says is read. */
export function readIn(data: unknown): readonly Place[] {
  const { state, notifications = [] } = data as Partial<NotificationMarkedData>;
  return state === undefined || state === "seen" ? [] : notifications;
}

/** The seed's frame: nothing but its own fields. */
export function pushText({
  notification_id,
  stream_id,
  message,
  created_at,
  source,
  status,
}: Notification): string {
  // As the seed writes times: no more of the fraction than there is.
  const time = created_at.replace(/\.(\d*?)0+Z$/, (_, digits: string) =>
    digits === "" ? "Z" : `.${digits}Z`,
  );
  const data = { notification_id, stream_id, message, created_at: time, source, status };
  return JSON.stringify({ type: "notification.push", data });
}

export function ackText({ notification_id, stream_id }: Place): string {
  return JSON.stringify({ type: "notification.read.ack", data: { notification_id, stream_id } });
}
