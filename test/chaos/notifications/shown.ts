import type { Notification } from "../../../protocol/notifications.ts";
import type { NotificationsState } from "../../../sdk/notification-view.ts";
import { comparePlaces, placeOf } from "./place.ts";

const order: Readonly<Record<Notification["status"], number>> = { unread: 0, seen: 1, read: 2, archived: 3 };

export function isUnread({ status }: Pick<Notification, "status">): boolean {
  return status === "unread" || status === "seen";
}

/** What one store of the client showed from its beginning on, and what it may never show. */
export class Shown {
  #before: ReadonlyMap<string, Notification> = new Map();
  readonly #gone = new Set<string>();

  /** The next state that it shows: what is new in it, and what is broken. */
  look({ notifications, unread }: Pick<NotificationsState, "notifications" | "unread">): {
    readonly fresh: readonly Notification[];
    readonly faults: readonly string[];
  } {
    const faults: string[] = [];
    const now = new Map(notifications.map((one) => [one.notification_id, one]));
    if (now.size < notifications.length) faults.push("shows something twice");
    if (notifications.some((one, i) => i > 0 && !isAfter(one, notifications[i - 1])))
      faults.push("shows something out of order");
    if (!Number.isInteger(unread) || unread < 0) faults.push(`counts ${unread}`);
    const fresh: Notification[] = [];
    for (const [id, one] of now) {
      const before = this.#before.get(id);
      if (before === undefined) fresh.push(one);
      else if (order[one.status] < order[before.status]) faults.push(`shows ${id} as ${one.status} again`);
      if (this.#gone.has(id)) faults.push(`shows ${id} again, which had gone`);
    }
    for (const id of this.#before.keys()) if (!now.has(id)) this.#gone.add(id);
    this.#before = now;
    return { fresh, faults };
  }
}

function isAfter(one: Notification, before: Notification | undefined): boolean {
  return before === undefined || comparePlaces(placeOf(before.stream_id), placeOf(one.stream_id)) < 0;
}
