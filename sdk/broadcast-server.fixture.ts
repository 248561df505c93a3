import { broadcastCountMin, hidesBroadcast, isBroadcastPlace } from "../protocol/broadcast-rules.ts";
import type { BroadcastList } from "../protocol/broadcasts.ts";
import {
  type Mark,
  type Notification,
  type NotificationState,
  type Place,
  notificationStates,
} from "../protocol/notifications.ts";
import { type Preferences, defaultPreferences } from "../protocol/preferences.ts";
import { type NotificationEntry, compareStreamIds } from "./notification-view.ts";

/** What everybody is told, and what one person did with it, as the server has it, in memory. */
export class BroadcastBoard {
  /** Entries of `broadcast/all`, in their order. */
  readonly log: NotificationEntry[] = [];
  preferences: Preferences = defaultPreferences;
  readonly #now: () => number;
  readonly #rows = new Map<string, Notification>();
  #version = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  tell(ttlMs = 900_000, parts: Partial<Notification> = {}): Notification {
    const n = ++this.#version;
    const broadcast: Notification = {
      notification_id: `00000000-0000-4000-a000-${String(n).padStart(12, "0")}`,
      stream_id: `${this.#now()}-${broadcastCountMin + n}`,
      message: `all ${n}`,
      created_at: new Date(this.#now()).toISOString(),
      source: "test",
      status: "unread",
      category: "general",
      critical: false,
      link: null,
      gathered: 1,
      expires_at: new Date(this.#now() + ttlMs).toISOString(),
      ...parts,
    };
    this.#rows.set(broadcast.notification_id, broadcast);
    this.#append("broadcast.created", { broadcast, version: this.#version });
    return broadcast;
  }

  /** Those that were not so far before. */
  mark(mark: Mark): readonly Place[] {
    const isUpTo = (one: Notification, upTo: string): boolean =>
      isBroadcastPlace(upTo) &&
      compareStreamIds(one.stream_id, upTo) <= 0 &&
      !hidesBroadcast(this.preferences, one, this.#now());
    const changed = this.living().filter(
      (one) =>
        rank(one.status) < rank(mark.state) &&
        ("up_to" in mark ? isUpTo(one, mark.up_to) : mark.notification_ids.includes(one.notification_id)),
    );
    for (const one of changed) this.#rows.set(one.notification_id, { ...one, status: mark.state });
    return changed.map(placeOf);
  }

  withdraw(ids: readonly string[]): void {
    const gone = ids.flatMap((id) => this.#rows.get(id) ?? []);
    if (gone.length === 0) return;
    for (const { notification_id: id } of gone) this.#rows.delete(id);
    this.#append("broadcast.expired", { broadcasts: gone.map(placeOf), version: ++this.#version });
  }

  /** Removes what has ended. */
  expire(): void {
    const ended = [...this.#rows.values()].filter(({ expires_at }) => Date.parse(expires_at) <= this.#now());
    this.withdraw(ended.map(({ notification_id: id }) => id));
  }

  /** The oldest first, also what the person has turned off or archived. */
  living(): readonly Notification[] {
    return [...this.#rows.values()].filter(({ expires_at }) => Date.parse(expires_at) > this.#now());
  }

  unreadList(): readonly Notification[] {
    return this.list()
      .broadcasts.filter(({ status }) => rank(status) < rank("read"))
      .toReversed();
  }

  list(): BroadcastList {
    const broadcasts = this.living()
      .filter((one) => one.status !== "archived" && !hidesBroadcast(this.preferences, one, this.#now()))
      .toReversed();
    const unread = broadcasts.filter(({ status }) => rank(status) < rank("read")).length;
    return { broadcasts, unread, version: this.#version, preferences: this.preferences };
  }

  #append(type: string, data: unknown): void {
    this.log.push({ type, time: new Date(this.#now()).toISOString(), data });
  }
}

function rank(state: NotificationState): number {
  return notificationStates.indexOf(state);
}

function placeOf({ notification_id, stream_id }: Notification): Place {
  return { notification_id, stream_id };
}
