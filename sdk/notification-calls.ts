import type { BroadcastAccepted, BroadcastList, NewBroadcast } from "../protocol/broadcasts.ts";
import type {
  Mark,
  NotificationPage,
  NotificationsQuery,
  Notified,
  Notify,
  Unread,
} from "../protocol/notifications.ts";
import type { NewPreferences, Preferences } from "../protocol/preferences.ts";
import type { Http } from "./http.ts";

/** Notifications over HTTP. */
export type NotificationCalls = {
  /** A page of the caller's notifications, the newest first, with how many are unread. */
  list(query?: NotificationsQuery): Promise<NotificationPage>;
  unread(): Promise<Unread>;
  /** What everybody is told, as the caller has it, the newest first, with how many of these are unread. For programs, too: all of it, unread. */
  broadcasts(): Promise<BroadcastList>;
  /**
   * Marks some, or all up to one, broadcasts among them only if it is the place of one; resolves with how many are unread
   * after it. Repeating it is harmless.
   */
  mark(mark: Mark): Promise<Unread>;
  /** What the caller wishes of their notifications. */
  preferences(): Promise<Preferences>;
  /** Says the whole of it; what is left out is as it is for everybody. Resolves with what holds now. */
  setPreferences(preferences: NewPreferences): Promise<Preferences>;
  /** For programs: tells people something. Only with a key it is sent again when nobody knows whether it was done. */
  notify(notify: Notify, options?: NotifyOptions): Promise<Notified>;
  /** For programs: tells everybody something. As `notify` else. */
  broadcast(broadcast: NewBroadcast, options?: NotifyOptions): Promise<BroadcastAccepted>;
  /** For programs: ends what everybody is told. Repeating it is harmless. */
  withdrawBroadcast(broadcastId: string): Promise<void>;
};

export type NotifyOptions = {
  /** Names this request, and no other one, for 24 hours: 1 to 255 visible ASCII characters. */
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
};

/** The calls, as whoever the credentials belong to. */
export function notificationCalls(http: Http): NotificationCalls {
  const path = "/api/v1/notifications";
  const broadcasts = "/api/v1/broadcasts";
  const tell = <Answer>(where: string, body: unknown, options: NotifyOptions = {}): Promise<Answer> =>
    http.call({
      method: "POST",
      path: where,
      body,
      repeatable: options.idempotencyKey !== undefined,
      ...options,
    });
  return {
    list: (query) => http.call({ method: "GET", path, query, repeatable: true }),
    unread: () => http.call({ method: "GET", path: `${path}/unread`, repeatable: true }),
    mark: (body) => http.call({ method: "POST", path: `${path}/mark`, body, repeatable: true }),
    broadcasts: () => http.call({ method: "GET", path: broadcasts, repeatable: true }),
    preferences: () => http.call({ method: "GET", path: `${path}/preferences`, repeatable: true }),
    setPreferences: (body) =>
      http.call({ method: "PUT", path: `${path}/preferences`, body, repeatable: true }),
    notify: (body, options) => tell("/api/v1/notify", body, options),
    broadcast: (body, options) => tell(broadcasts, body, options),
    withdrawBroadcast: (id) =>
      http.call({ method: "DELETE", path: `${broadcasts}/${encodeURIComponent(id)}`, repeatable: true }),
  };
}

/** The same, until the signal is aborted. */
export function notificationCallsUntil(signal: AbortSignal, http: Http): NotificationCalls {
  return notificationCalls({ call: (item) => http.call({ ...item, signal }) });
}
