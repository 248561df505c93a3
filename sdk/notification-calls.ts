import type {
  Mark,
  NotificationPage,
  NotificationsQuery,
  Notified,
  Notify,
  Unread,
} from "../protocol/notifications.ts";
import type { Http } from "./http.ts";

/** Notifications over HTTP. */
export type NotificationCalls = {
  /** A page of the caller's notifications, the newest first, with how many are unread. */
  list(query?: NotificationsQuery): Promise<NotificationPage>;
  unread(): Promise<Unread>;
  /** Marks some, or all up to one; resolves with how many are unread after it. Repeating it is harmless. */
  mark(mark: Mark): Promise<Unread>;
  /** For programs: tells people something. Only with a key it is sent again when nobody knows whether it was done. */
  notify(notify: Notify, options?: NotifyOptions): Promise<Notified>;
};

export type NotifyOptions = {
  /** Names this request, and no other one, for 24 hours: 1 to 255 visible ASCII characters. */
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
};

/** The calls, as whoever the credentials belong to. */
export function notificationCalls(http: Http): NotificationCalls {
  const path = "/api/v1/notifications";
  return {
    list: (query) => http.call({ method: "GET", path, query, repeatable: true }),
    unread: () => http.call({ method: "GET", path: `${path}/unread`, repeatable: true }),
    mark: (body) => http.call({ method: "POST", path: `${path}/mark`, body, repeatable: true }),
    notify: (body, options = {}) =>
      http.call({
        method: "POST",
        path: "/api/v1/notify",
        body,
        repeatable: options.idempotencyKey !== undefined,
        ...options,
      }),
  };
}

/** The same, until the signal is aborted. */
export function notificationCallsUntil(signal: AbortSignal, http: Http): NotificationCalls {
  return notificationCalls({ call: (item) => http.call({ ...item, signal }) });
}
