import type { Notification, NotificationState } from "../../../protocol/notifications.ts";
import { streamIdOf } from "./person-state.ts";

/** A notification as it is read. */
export type NotificationRow = {
  readonly id: string;
  readonly user_id: number;
  readonly stream_ms: number;
  readonly stream_n: number;
  readonly state: NotificationState;
  readonly message: string;
  readonly source: string;
  readonly category: string;
  readonly critical: boolean;
  readonly link: string | null;
  readonly gathered: number;
  readonly created_at: Date;
  readonly expires_at: Date;
};

export function toNotification(row: Omit<NotificationRow, "user_id">): Notification {
  return {
    notification_id: row.id,
    stream_id: streamIdOf({ streamMs: row.stream_ms, streamN: row.stream_n }),
    message: row.message,
    created_at: row.created_at.toISOString(),
    source: row.source,
    status: row.state,
    category: row.category,
    critical: row.critical,
    link: row.link,
    gathered: row.gathered,
    expires_at: row.expires_at.toISOString(),
  };
}

/** The two numbers of a stream id that the schema has let through. */
export function placeNumbers(streamId: string): readonly [number, number] {
  const [ms = 0, n = 0] = streamId.split("-").map(Number);
  return [ms, n];
}

/** Less than zero when the first one comes before the second. */
export function compareStreamIds(a: string, b: string): number {
  const [aMs, aN] = placeNumbers(a);
  const [bMs, bN] = placeNumbers(b);
  return aMs - bMs || aN - bN;
}
