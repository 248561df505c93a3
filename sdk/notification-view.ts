import type { Notification, NotificationState } from "../protocol/notifications.ts";

/** Notifications that are kept, the newest ones. Those beyond count as unread, too, and are left to pages. */
export const notificationsKeptMax = 1_000;

/**
 * What a person has not read yet, and what they have read since: what was read over HTTP, and every entry that came
 * after. Plain values and pure functions; `now` is always the server's clock, unix milliseconds.
 *
 * The server's versions are what everything goes by. A page says what was unread in a part of the stream as of its
 * version, so that one which is older than what is known is not taken (`isOutdated`): it is asked for again. An entry
 * may be older than a page that came before it: then it says nothing new of the count, and of states, which only go
 * forward, at most something that is known.
 *
 * The count that the server tells with a version leaves out what had ended at that moment, and what ends later no version
 * says until it is removed. So `told` is kept beside those that it still counts and that are over here (`uncounted`).
 */
export type NotificationsState = {
  /** How many are unread or seen, have not ended, and were not read here. */
  readonly unread: number;
  /** Of the newest count that the server has told; 0 before the first one. */
  readonly version: number;
  /** Those that are known, in their order, the oldest first: neither archived nor ended, each one once. */
  readonly notifications: readonly Notification[];
  /** The count of that version, and until when it leaves out what has ended. */
  readonly told: { readonly unread: number; readonly at: number };
  /** By id, what `told` counts and what has ended here, or was read on this device, of which the server has not told yet. */
  readonly uncounted: Readonly<Record<string, Uncounted>>;
  /** Everything up to here was read on this device, and the server has not told so yet. */
  readonly readUpTo: string | undefined;
  /** The greatest stream id that is known. */
  readonly newest: string;
  /** Up to this version every notification that was made is known, or over. */
  readonly heard: number;
};
export type Uncounted = { readonly streamId: string; readonly endsAt: number };

/** What came in `user/ID`; `PushedEntry` is one. */
export type NotificationEntry = { readonly type: string; readonly time: string; readonly data: unknown };

/** Nothing is known. */
export const emptyNotifications: NotificationsState = {
  unread: 0,
  version: 0,
  notifications: [],
  told: { unread: 0, at: 0 },
  uncounted: {},
  readUpTo: undefined,
  newest: "0-0",
  heard: 0,
};

/** When the next one ends, unix milliseconds of the server's clock; undefined when none is there. */
export function nextEnd({ notifications }: NotificationsState): number | undefined {
  let next: number | undefined;
  for (const { expires_at } of notifications) {
    const end = Date.parse(expires_at);
    if (next === undefined || end < next) next = end;
  }
  return next;
}

/** Less than zero when the first one comes before the second. */
export function compareStreamIds(a: string, b: string): number {
  const [aMs = 0, aN = 0] = a.split("-").map(Number);
  const [bMs = 0, bN = 0] = b.split("-").map(Number);
  return aMs - bMs || aN - bN;
}

// The protocol's list of them stands among schemas, which a browser should not load.
const order: Readonly<Record<NotificationState, number>> = { unread: 0, seen: 1, read: 2, archived: 3 };

/** Whether it counts. */
export function isUnread(status: NotificationState): boolean {
  return order[status] < order.read;
}

/** The one that includes the other. */
export function later(a: NotificationState, b: NotificationState): NotificationState {
  return order[a] < order[b] ? b : a;
}
