import type {
  Notification,
  NotificationCreatedData,
  NotificationExpiredData,
  NotificationMarkedData,
  NotificationPage,
  NotificationState,
  Unread,
} from "../protocol/notifications.ts";
import {
  type NotificationEntry,
  type NotificationsState,
  type Uncounted,
  compareStreamIds,
  emptyNotifications,
  isUnread,
  later,
  notificationsKeptMax,
} from "./notification-view.ts";

export {
  type NotificationEntry,
  type NotificationsState,
  type Uncounted,
  compareStreamIds,
  emptyNotifications,
  nextEnd,
  notificationsKeptMax,
} from "./notification-view.ts";

/** The reducer: entries, pages, marks and time in, the next state out. What it goes by stands in `notification-view.ts`. */

/** The state after one more entry. Entries that mean nothing here, or nothing new, leave it the same object. */
export function applyNotificationEntry(
  state: NotificationsState,
  { type, time, data }: NotificationEntry,
  now: number,
): NotificationsState {
  // The words of a redacted entry are gone, and with them what it has changed: the next count tells.
  if (typeof data !== "object" || data === null || "redacted" in data) return state;
  switch (type) {
    case "notification.created":
      return created(state, data as NotificationCreatedData, Date.parse(time), now);
    case "notification.marked": {
      const { state: status, notifications, ...unread } = data as NotificationMarkedData;
      const told = withTold(state, unread, Date.parse(time));
      const ids = new Set(notifications.map(({ notification_id }) => notification_id));
      const marked = withStatus(told, status, ({ notification_id }) => ids.has(notification_id));
      return counted(status === "seen" ? marked : settled(marked, (id) => ids.has(id)), now);
    }
    case "notification.expired": {
      const { notifications, ...unread } = data as NotificationExpiredData;
      const ids = new Set(notifications.map(({ notification_id }) => notification_id));
      const told = settled(withTold(state, unread, Date.parse(time)), (id) => ids.has(id));
      const left = told.notifications.filter(({ notification_id }) => !ids.has(notification_id));
      const same = left.length === told.notifications.length;
      return counted(same ? told : { ...told, notifications: left }, now);
    }
    default:
      return state;
  }
}

/** Whether more is known than the page says: it must be read again. */
export function isOutdated(state: NotificationsState, page: Pick<NotificationPage, "version">): boolean {
  return page.version < state.version;
}

/**
 * The state with a page of what is unread (`state=unread`): the newest ones, or those before `before`, the stream id with
 * which the page before it ended. What is not on it, and would have its place there, is unread no more. An outdated page
 * leaves the state the same object.
 */
export function applyNotificationPage(
  state: NotificationsState,
  page: NotificationPage,
  now: number,
  before?: string,
): NotificationsState {
  if (isOutdated(state, page)) return state;
  const { notifications: listed, next_cursor, unread, version } = page;
  const ids = new Set(listed.map(({ notification_id }) => notification_id));
  const from = next_cursor === null ? undefined : listed.at(-1)?.stream_id;
  const isGone = (id: string, streamId: string): boolean =>
    !ids.has(id) &&
    (before === undefined || compareStreamIds(streamId, before) < 0) &&
    (from === undefined || compareStreamIds(streamId, from) >= 0);
  // Whatever it lists had not ended when its count was told.
  const at = Math.min(now, ...listed.map(({ expires_at }) => Date.parse(expires_at) - 1));
  const base: NotificationsState = {
    ...state,
    version,
    heard: before === undefined ? Math.max(state.heard, version) : state.heard,
    told: { unread, at },
    uncounted: pick(state.uncounted, (id, { streamId, endsAt }) => endsAt > at && !isGone(id, streamId)),
    notifications: state.notifications.filter(
      ({ notification_id: id, stream_id, status }) => !isUnread(status) || !isGone(id, stream_id),
    ),
  };
  return counted(listed.reduce(withListed, base), now);
}

/** What has ended by the clock is dropped, and counts no more. Nothing comes back when the clock is set back. */
export function expireNotifications(state: NotificationsState, now: number): NotificationsState {
  const ended = state.notifications.filter(({ expires_at }) => Date.parse(expires_at) <= now);
  return ended.length === 0 ? state : counted(state, now);
}

/** These were seen, read or archived on this device; the server will be told. What is not known is left alone. */
export function markNotifications(
  state: NotificationsState,
  status: NotificationState,
  ids: readonly string[],
): NotificationsState {
  const named = new Set(ids);
  return counted(
    withStatus(state, status, ({ notification_id }) => named.has(notification_id)),
    undefined,
  );
}

/** All that were told so far were read on this device; the server will be told. */
export function markAllNotifications(state: NotificationsState): NotificationsState {
  const { newest } = state;
  if (newest === emptyNotifications.newest) return state;
  const marked = withStatus(state, "read", () => true);
  return counted({ ...marked, readUpTo: newest }, undefined);
}

/** The server's answer to a mark, and which of those that were read here it speaks of: ids, or all up to one. */
export function applyMarked(
  state: NotificationsState,
  told: Unread,
  marked: { readonly ids: ReadonlySet<string> } | { readonly upTo: string },
  now: number,
): NotificationsState {
  const next = settled(withTold(state, told, now), (id, { streamId }) =>
    "ids" in marked ? marked.ids.has(id) : compareStreamIds(streamId, marked.upTo) <= 0,
  );
  const done = "upTo" in marked && next.readUpTo === marked.upTo;
  return counted(done ? { ...next, readUpTo: undefined } : next, now);
}

/** Some entries were missed. What was read before them may be archived by now, and no page says so. */
export function withGap(state: NotificationsState): NotificationsState {
  const { uncounted, notifications } = state;
  const left = notifications.filter(
    ({ notification_id: id, status }) => isUnread(status) || uncounted[id] !== undefined,
  );
  return left.length === notifications.length ? state : { ...state, notifications: left };
}

function created(
  state: NotificationsState,
  { notification, unread, version }: NotificationCreatedData,
  time: number,
  now: number,
): NotificationsState {
  if (version <= state.heard) return state;
  // The stream id is of the moment at which it was counted, or of a clock that was set back since.
  const at = Math.min(time, Number(notification.stream_id.split("-")[0]));
  const told = { ...withTold(state, { unread, version }, at), heard: version };
  return counted(withListed(told, notification), now);
}

/** A count that the server has told: of a newer version, or of the same one at a later moment. */
function withTold(state: NotificationsState, { unread, version }: Unread, at: number): NotificationsState {
  if (version < state.version || (version === state.version && at <= state.told.at)) return state;
  const uncounted = pick(state.uncounted, (_id, { endsAt }) => endsAt > at);
  return { ...state, version, told: { unread, at }, uncounted };
}

/** What is named is not in the count that was told, or is not any more. */
function settled(
  state: NotificationsState,
  isNamed: (id: string, one: Uncounted) => boolean,
): NotificationsState {
  const uncounted = pick(state.uncounted, (id, one) => !isNamed(id, one));
  return uncounted === state.uncounted ? state : { ...state, uncounted };
}

/** One that the server counts. What is known of it already stays as far as it goes. */
function withListed(state: NotificationsState, notification: Notification): NotificationsState {
  const { notification_id: id, stream_id: streamId } = notification;
  const { notifications, uncounted, readUpTo } = state;
  const newest = compareStreamIds(streamId, state.newest) > 0 ? streamId : state.newest;
  // New ones come last, so that it is sought from there.
  let place = notifications.length;
  while (place > 0 && compareStreamIds(notifications[place - 1]?.stream_id ?? "", streamId) > 0) place--;
  const last = notifications[place - 1];
  const known = last?.notification_id === id ? last : undefined;
  // It was archived here, or has ended, and is not shown again.
  if (known === undefined && uncounted[id] !== undefined) return { ...state, newest };
  const isRead = readUpTo !== undefined && compareStreamIds(streamId, readUpTo) <= 0;
  const least = later(notification.status, isRead ? "read" : "unread");
  const status = known === undefined ? least : later(known.status, least);
  const listed = [
    ...notifications.slice(0, known === undefined ? place : place - 1),
    { ...notification, status },
    ...notifications.slice(place),
  ];
  const next = { ...state, newest, notifications: listed };
  return isUnread(status) ? next : { ...next, uncounted: withUncounted(next, [notification]) };
}

/** Those that are meant have at least this state. */
function withStatus(
  state: NotificationsState,
  status: NotificationState,
  isMeant: (notification: Notification) => boolean,
): NotificationsState {
  const { notifications } = state;
  const changed = notifications.filter((one) => later(one.status, status) !== one.status && isMeant(one));
  if (changed.length === 0) return state;
  const meant = new Set(changed);
  const marked = notifications.map((one) => (meant.has(one) ? { ...one, status } : one));
  const uncounted = isUnread(status) ? state.uncounted : withUncounted(state, changed.filter(counts));
  return { ...state, uncounted, notifications: marked.filter((one) => one.status !== "archived") };
}

const counts = ({ status }: Notification): boolean => isUnread(status);

/** With these, as far as the count that was told has them. */
function withUncounted(
  { uncounted, told }: Pick<NotificationsState, "uncounted" | "told">,
  over: readonly Notification[],
): NotificationsState["uncounted"] {
  const more = over.flatMap(({ notification_id: id, stream_id: streamId, expires_at }) => {
    const endsAt = Date.parse(expires_at);
    return endsAt > told.at ? [[id, { streamId, endsAt }] as const] : [];
  });
  return more.length === 0 ? uncounted : { ...uncounted, ...Object.fromEntries(more) };
}

/** Without what has ended by now, no more than are kept, and with the count that follows. */
function counted(state: NotificationsState, now: number | undefined): NotificationsState {
  const isOver = ({ expires_at }: Notification): boolean =>
    now !== undefined && Date.parse(expires_at) <= now;
  const over = state.notifications.filter(isOver);
  const uncounted = withUncounted(state, over.filter(counts));
  const left = over.length === 0 ? state.notifications : state.notifications.filter((one) => !isOver(one));
  const notifications = left.length > notificationsKeptMax ? left.slice(-notificationsKeptMax) : left;
  const unread =
    state.readUpTo === undefined
      ? Math.max(0, state.told.unread - Object.keys(uncounted).length)
      : // Of what was read with the others without being known, only the server can tell how many it was.
        notifications.filter(counts).length;
  const same =
    unread === state.unread && uncounted === state.uncounted && notifications === state.notifications;
  return same ? state : { ...state, unread, uncounted, notifications };
}

/** The same object when all of it stays. */
function pick(
  all: NotificationsState["uncounted"],
  stays: (id: string, one: Uncounted) => boolean,
): NotificationsState["uncounted"] {
  const entries = Object.entries(all);
  const left = entries.filter(([id, one]) => stays(id, one));
  return left.length === entries.length ? all : Object.fromEntries(left);
}
