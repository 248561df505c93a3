import { hidesBroadcast, isBroadcastPlace } from "../protocol/broadcast-rules.ts";
import type { BroadcastCreatedData, BroadcastExpiredData, BroadcastList } from "../protocol/broadcasts.ts";
import { limits } from "../protocol/limits.ts";
import type { Notification, NotificationMarkedData, NotificationState } from "../protocol/notifications.ts";
import type { Preferences, PreferencesChangedData } from "../protocol/preferences.ts";
import {
  type NotificationEntry,
  type NotificationsState,
  compareStreamIds,
  isUnread,
  later,
} from "./notification-view.ts";

/** Marks that are remembered: twice as many as there are broadcasts at a time. */
export const broadcastMarksMax = 2 * limits.broadcasts;

/**
 * What everybody is told, as one person has it. Plain values and pure functions; `now` is always the server's clock, Unix
 * milliseconds.
 *
 * A list says all that lived as of its version, so that it takes the place of what was known, and one that is older than
 * what was heard is not taken (`isOutdatedList`). What the person did comes in another topic, and may come before what it
 * was done with: it is remembered, and only goes forward.
 */
export type BroadcastsState = {
  /** Of the newest change that is known of. */
  readonly version: number;
  /** What the person wishes; undefined until a list has come, and nothing is shown before that. */
  readonly preferences: Preferences | undefined;
  /** Those that are shown, in their order, the oldest first: neither archived nor turned off nor ended. */
  readonly broadcasts: readonly Notification[];
  /** By id, what was done here or elsewhere: the newest `broadcastMarksMax`. */
  readonly marks: Readonly<Record<string, NotificationState>>;
};

/** Nothing is known. */
export const emptyBroadcasts: BroadcastsState = {
  version: 0,
  preferences: undefined,
  broadcasts: [],
  marks: {},
};

/**
 * The state after one more entry of `broadcast/all` or `user/ID`. After `notification.preferences` the list must be read
 * again: what was turned off until now is not known here.
 */
export function applyBroadcastEntry(
  state: BroadcastsState,
  { type, data }: Pick<NotificationEntry, "type" | "data">,
  now: number,
): BroadcastsState {
  if (typeof data !== "object" || data === null || "redacted" in data) return state;
  switch (type) {
    case "broadcast.created": {
      const { broadcast, version } = data as BroadcastCreatedData;
      if (version <= state.version) return state;
      // The clock of who has told it may be another one than that of who told the last: places are sought all the same.
      const broadcasts = [...state.broadcasts, broadcast].sort(byPlace);
      return shown({ ...state, version, broadcasts }, now);
    }
    case "broadcast.expired": {
      const { broadcasts, version } = data as BroadcastExpiredData;
      if (version <= state.version) return state;
      const over = new Set(broadcasts.map(({ notification_id }) => notification_id));
      const left = state.broadcasts.filter(({ notification_id: id }) => !over.has(id));
      return { ...state, version, broadcasts: left };
    }
    case "notification.marked": {
      const { state: status, notifications } = data as NotificationMarkedData;
      const ids = notifications.filter(({ stream_id }) => isBroadcastPlace(stream_id));
      return withMarks(
        state,
        status,
        ids.map(({ notification_id: id }) => id),
      );
    }
    case "notification.preferences": {
      // Without a list they would be of no use.
      if (state.preferences === undefined) return state;
      const { preferences } = data as PreferencesChangedData;
      return shown({ ...state, preferences }, now);
    }
    default:
      return state;
  }
}

/** Whether more is known than the list says: it must be read again. */
export function isOutdatedList(state: BroadcastsState, list: Pick<BroadcastList, "version">): boolean {
  return list.version < state.version;
}

/** The state with a list. An outdated one leaves the state the same object. */
export function applyBroadcastList(
  state: BroadcastsState,
  list: BroadcastList,
  now: number,
): BroadcastsState {
  if (isOutdatedList(state, list)) return state;
  const { version, preferences } = list;
  const broadcasts = [...list.broadcasts].sort(byPlace);
  return shown({ ...state, version, preferences, broadcasts }, now);
}

/** These were seen, read or archived on this device; the server will be told. What is not known is left alone. */
export function markBroadcasts(
  state: BroadcastsState,
  status: NotificationState,
  ids: readonly string[],
): BroadcastsState {
  const known = new Set(state.broadcasts.map(({ notification_id }) => notification_id));
  return withMarks(
    state,
    status,
    ids.filter((id) => known.has(id)),
  );
}

/** What has ended by the clock is dropped. */
export function expireBroadcasts(state: BroadcastsState, now: number): BroadcastsState {
  return shown(state, now);
}

/** When the next one ends, Unix milliseconds of the server's clock; undefined when none is there. */
export function nextBroadcastEnd({ broadcasts }: BroadcastsState): number | undefined {
  const ends = broadcasts.map(({ expires_at }) => Date.parse(expires_at));
  return ends.length === 0 ? undefined : Math.min(...ends);
}

/** Until when everything is muted; undefined when nothing is. What it hides must be read then. */
export function mutedUntil({ preferences }: BroadcastsState, now: number): number | undefined {
  const until = preferences?.muted_until ?? undefined;
  const end = until === undefined ? Number.NEGATIVE_INFINITY : Date.parse(until);
  return end > now ? end : undefined;
}

/** Those that were neither read nor archived. */
export function unreadBroadcasts({ broadcasts }: BroadcastsState): readonly Notification[] {
  return broadcasts.filter(({ status }) => isUnread(status));
}

/** A person's own and what everybody is told, as one: in one list by their places, with one count. */
export function together(own: NotificationsState, shared: BroadcastsState): NotificationsState {
  if (shared.broadcasts.length === 0) return own;
  return {
    ...own,
    unread: own.unread + unreadBroadcasts(shared).length,
    notifications: [...own.notifications, ...shared.broadcasts].sort(byPlace),
  };
}

function byPlace(a: Notification, b: Notification): number {
  return compareStreamIds(a.stream_id, b.stream_id);
}

/** With these marks, the newest of all of them, and what they mean for what is shown. */
function withMarks(
  state: BroadcastsState,
  status: NotificationState,
  ids: readonly string[],
): BroadcastsState {
  const news = ids.filter((id) => later(state.marks[id] ?? "unread", status) !== state.marks[id]);
  if (news.length === 0) return state;
  const named = new Set(news);
  const old = Object.entries(state.marks).filter(([id]) => !named.has(id));
  const fresh = news.map((id) => [id, later(state.marks[id] ?? "unread", status)] as const);
  const marks = Object.fromEntries([...old, ...fresh].slice(-broadcastMarksMax));
  return { ...state, marks, broadcasts: withStates(state.broadcasts, marks) };
}

/** Each as far as it was marked, without those that were archived. */
function withStates(
  broadcasts: readonly Notification[],
  marks: BroadcastsState["marks"],
): readonly Notification[] {
  return broadcasts.flatMap((one) => {
    const status = later(one.status, marks[one.notification_id] ?? "unread");
    if (status === "archived") return [];
    return [status === one.status ? one : { ...one, status }];
  });
}

/** Only what is to be shown at this moment: nothing before the person's wishes are known. The same object if that is all. */
function shown(state: BroadcastsState, now: number): BroadcastsState {
  const { preferences } = state;
  const isShown = (one: Notification): boolean =>
    preferences !== undefined && Date.parse(one.expires_at) > now && !hidesBroadcast(preferences, one, now);
  const marked = withStates(state.broadcasts, state.marks);
  const broadcasts = marked.filter(isShown);
  const same =
    broadcasts.length === state.broadcasts.length &&
    broadcasts.every((one, i) => one === state.broadcasts[i]);
  return same ? state : { ...state, broadcasts };
}
