import type { Notification } from "../../../protocol/notifications.ts";
import type { Preferences } from "../../../protocol/preferences.ts";

/** What is counted for a person, the last stream id that was given to them, and what they wish. */
export type PersonState = {
  readonly version: number;
  readonly unread: number;
  readonly stored: number;
  readonly streamMs: number;
  readonly streamN: number;
  /** What was accepted for them, and is not told yet. */
  readonly held: number;
  /** Null for who has wished nothing. */
  readonly preferences: Preferences | null;
  /** Nothing that is stored for them ends before, Unix milliseconds; minus infinity where nobody knows. */
  readonly endsMs: number;
  /** Of those counted, how many have ended and only wait to be removed. */
  readonly endedUnread: number;
  readonly endedStored: number;
};

/** What is counted for somebody who was never told anything. */
export const nobodyYet: PersonState = {
  version: 0,
  unread: 0,
  stored: 0,
  streamMs: 0,
  streamN: 0,
  held: 0,
  preferences: null,
  endsMs: Number.POSITIVE_INFINITY,
  endedUnread: 0,
  endedStored: 0,
};

type Place = Pick<PersonState, "streamMs" | "streamN">;

/** Later than any other of the person, and no earlier than now: a clock that was set back changes nothing in the order. */
export function nextStreamId({ streamMs, streamN }: Place, nowMs: number): Place {
  return nowMs > streamMs ? { streamMs: nowMs, streamN: 0 } : { streamMs, streamN: streamN + 1 };
}

export function streamIdOf({ streamMs, streamN }: Place): string {
  return `${streamMs}-${streamN}`;
}

/** A notification that comes to be, and what its entry tells beside it. */
export type FreshNotification = {
  readonly userId: number;
  readonly actor: string;
  readonly notification: Notification;
  readonly streamMs: number;
  readonly streamN: number;
  readonly unread: number;
  readonly version: number;
  /** It says what was told before. */
  readonly again?: true;
};

/** What a notification says, before it has a place among those of its person. */
export type Told = Pick<
  Notification,
  "notification_id" | "message" | "source" | "category" | "critical" | "link"
> & {
  readonly actor: string;
  /** As the sender says, RFC 3339; this moment unless they do. */
  readonly createdAt: string | undefined;
  /** Counted from this moment, seconds. */
  readonly ttlS: number;
  /** How many it stands for. */
  readonly gathered: number;
};

/** Gives it the next place, and counts it. */
export function tellPerson(
  userId: number,
  before: PersonState,
  { actor, createdAt, ttlS, ...told }: Told,
  nowMs: number,
): { readonly after: PersonState; readonly fresh: FreshNotification } {
  const place = nextStreamId(before, nowMs);
  const endsMs = nowMs + ttlS * 1_000;
  const after: PersonState = {
    ...before,
    ...place,
    version: before.version + 1,
    unread: before.unread + 1,
    stored: before.stored + 1,
    endsMs: Math.min(before.endsMs, endsMs),
  };
  const notification: Notification = {
    notification_id: told.notification_id,
    stream_id: streamIdOf(place),
    message: told.message,
    created_at: createdAt ?? new Date(nowMs).toISOString(),
    source: told.source,
    status: "unread",
    category: told.category,
    critical: told.critical,
    link: told.link,
    gathered: told.gathered,
    expires_at: new Date(endsMs).toISOString(),
  };
  const counted = { unread: after.unread - after.endedUnread, version: after.version };
  return { after, fresh: { userId, actor, notification, ...place, ...counted } };
}
