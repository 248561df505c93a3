import {
  type Mark,
  type Notification,
  type NotificationPage,
  type NotificationState,
  type Place,
  type Unread,
  notificationStates,
} from "../protocol/notifications.ts";
import type { Preferences } from "../protocol/preferences.ts";
import { BroadcastBoard } from "./broadcast-server.fixture.ts";
import { type NotificationEntry, compareStreamIds } from "./notification-view.ts";
import type { Asked, Told } from "./world.fixture.ts";

/** Notifications of one person as the server has them, in memory. Its clock is moved by hand, and only goes forward. */
export class NotificationServer {
  now = 1_700_000_000_000;
  /** Entries of `user/ID`, in their order. */
  readonly log: NotificationEntry[] = [];
  /** What everybody is told; what the person did with it is told in `user/ID`. */
  readonly board: BroadcastBoard = new BroadcastBoard(() => this.now);
  readonly #rows = new Map<string, Notification>();
  #version = 0;
  #made = 0;

  /** Tells something that ends after so long. */
  tell(ttlMs = 900_000, message = `m${this.#made}`): Notification {
    const n = this.#made++;
    const notification: Notification = {
      notification_id: `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`,
      stream_id: `${this.now}-${n}`,
      message,
      created_at: new Date(this.now).toISOString(),
      source: "test",
      status: "unread",
      category: "general",
      critical: false,
      link: null,
      gathered: 1,
      expires_at: new Date(this.now + ttlMs).toISOString(),
    };
    this.#rows.set(notification.notification_id, notification);
    this.#version++;
    this.#append("notification.created", { notification, ...this.unread() });
    return notification;
  }

  mark(mark: Mark): Unread {
    const changed = this.#live().filter(
      ({ notification_id: id, stream_id, status }) =>
        rank(status) < rank(mark.state) &&
        ("up_to" in mark ? compareStreamIds(stream_id, mark.up_to) <= 0 : mark.notification_ids.includes(id)),
    );
    const shared = this.board.mark(mark);
    if (changed.length + shared.length === 0) return this.unread();
    for (const one of changed) this.#rows.set(one.notification_id, { ...one, status: mark.state });
    this.#version++;
    this.#append("notification.marked", {
      state: mark.state,
      notifications: [...changed.map(placeOf), ...shared],
      ...this.unread(),
    });
    return this.unread();
  }

  /** Removes what has ended. */
  expire(): void {
    const ended = [...this.#rows.values()].filter(({ expires_at }) => Date.parse(expires_at) <= this.now);
    for (const { notification_id: id } of ended) this.#rows.delete(id);
    const unread = ended.filter(({ status }) => rank(status) < rank("read"));
    if (unread.length === 0) return;
    this.#version++;
    this.#append("notification.expired", { notifications: unread.map(placeOf), ...this.unread() });
  }

  /** The person has other wishes from now on. */
  wish(preferences: Partial<Preferences>): void {
    this.board.preferences = { ...this.board.preferences, ...preferences };
    this.#append("notification.preferences", { preferences: this.board.preferences });
  }

  unread(): Unread {
    return { unread: this.unreadList().length, version: this.#version };
  }

  /** The oldest first. */
  unreadList(): readonly Notification[] {
    return this.#live().filter(({ status }) => rank(status) < rank("read"));
  }

  /** A page of what is unread. */
  page(limit: number, cursor?: string): NotificationPage {
    const found = this.unreadList()
      .filter(({ stream_id }) => cursor === undefined || compareStreamIds(stream_id, cursor) < 0)
      .toReversed();
    const notifications = found.slice(0, limit);
    const next_cursor = found.length > limit ? (notifications.at(-1)?.stream_id ?? null) : null;
    return { notifications, next_cursor, ...this.unread() };
  }

  /** HTTP of these routes. */
  answer({ method, path, body }: Asked): Told {
    const url = new URL(path, "http://server");
    const route = `${method} ${url.pathname}`;
    if (route === "GET /api/v1/me") return { status: 200, body: { id: 7, username: "ann" } };
    if (route === "POST /api/v1/notifications/mark") return { status: 200, body: this.mark(body as Mark) };
    if (route === "GET /api/v1/broadcasts") return { status: 200, body: this.board.list() };
    if (route !== "GET /api/v1/notifications" || url.searchParams.get("state") !== "unread")
      throw new Error(`nobody answers ${route}`);
    const cursor = url.searchParams.get("cursor") ?? undefined;
    return { status: 200, body: this.page(Number(url.searchParams.get("limit")), cursor) };
  }

  #live(): readonly Notification[] {
    return [...this.#rows.values()].filter(({ expires_at }) => Date.parse(expires_at) > this.now);
  }

  #append(type: string, data: unknown): void {
    this.log.push({ type, time: new Date(this.now).toISOString(), data });
  }
}

function rank(state: NotificationState): number {
  return notificationStates.indexOf(state);
}

function placeOf({ notification_id, stream_id }: Notification): Place {
  return { notification_id, stream_id };
}
