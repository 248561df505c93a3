import { limits } from "../protocol/limits.ts";
import type { MarkedState } from "../protocol/notifications.ts";
import { topics } from "../protocol/topics.ts";
import type { Client, PushedEntry } from "./client.ts";
import { Errands, isPassing } from "./errands.ts";
import { clientError } from "./errors.ts";
import { readsMax } from "./journal.ts";
import { followPerson } from "./follow-person.ts";
import { type NotificationCalls, notificationCallsUntil } from "./notification-calls.ts";
import {
  type NotificationsState,
  applyMarked,
  applyNotificationEntry,
  applyNotificationPage,
  compareStreamIds,
  emptyNotifications,
  expireNotifications,
  isOutdated,
  markAllNotifications,
  markNotifications,
  nextEnd,
  notificationsKeptMax,
  withGap,
} from "./notification-state.ts";
import { later } from "./notification-view.ts";
import { type Observable, type Source, createSource } from "./observable.ts";
import { once } from "./room-topics.ts";

export type { NotificationsState, Uncounted } from "./notification-state.ts";

/** No timer is set for longer: beyond 2^31 ms it would ring at once, and notifications may last for months. */
export const endTimerMsMax = 86_400_000;

/**
 * The notifications of the person who is signed in, kept up to date: what is unread over HTTP, entries over the socket,
 * what is read on this device. Resolves when it is known who that is; notifications come when they are read. Starts the
 * client.
 */
export async function openNotifications(client: Client): Promise<NotificationStore> {
  const { id } = await client.whoAmI();
  const store = new NotificationStore(client, id);
  try {
    store.start();
  } catch (error) {
    store.stop();
    throw error;
  }
  return store;
}

export class NotificationStore {
  readonly #client: Client;
  readonly #me: number;
  readonly #state: Source<NotificationsState>;
  readonly #unread: Source<number>;
  readonly #errands: Errands;
  readonly #ends: (() => void)[] = [];
  /** What was marked on this device, of which the server is not known to know. */
  readonly #marked: Readonly<Record<MarkedState, Set<string>>> = {
    seen: new Set(),
    read: new Set(),
    archived: new Set(),
  };
  #timer: unknown;
  #resting = false;
  #stopped = false;

  constructor(client: Client, me: number) {
    const { clock, random, onError } = client.surroundings;
    this.#client = client;
    this.#me = me;
    this.#state = createSource(emptyNotifications, onError);
    this.#unread = createSource(emptyNotifications.unread, onError);
    this.#errands = new Errands({ clock, random, onError });
  }

  readonly get = (): NotificationsState => this.#state.get();
  readonly subscribe = (listener: (state: NotificationsState) => void): (() => void) =>
    this.#state.subscribe(listener);
  /** How many are unread: listeners hear of it when it is another number, and of nothing else. */
  get unread(): Observable<number> {
    return this.#unread;
  }

  start(): void {
    const { surroundings } = this.#client;
    const me = this.#me;
    const [stop, rest, hurry] = [() => this.stop(), () => this.#rest(), () => this.#hurry()];
    this.#ends.push(
      ...followPerson(this.#client, me, { stop, rest, hurry }),
      this.#client.subscribe(topics.user(me), {
        entry: this.#entry,
        live: once(this.#readUnread),
        limited: () => {
          this.#set(withGap(this.get()));
          this.#readUnread();
        },
        refused: surroundings.onError,
      }),
    );
    this.#client.start();
  }

  /**
   * Ends everything of this store for good, as happens when somebody else signs in, in whichever tab: what is asked of it
   * then, it refuses (`stopped`). The client stays as it is. While the client is stopped, the store rests, and goes on
   * with it.
   */
  stop(): void {
    this.#stopped = true;
    this.#errands.stop();
    this.#clearTimer();
    for (const end of this.#ends.splice(0)) end();
  }

  /** These were read: here at once, on the server as soon as it can be told. Throws `stopped`. */
  markRead(ids: readonly string[]): void {
    this.#mark("read", ids);
  }

  /** These were on a screen. They still count as unread. As `markRead` else. */
  markSeen(ids: readonly string[]): void {
    this.#mark("seen", ids);
  }

  /** Nobody wants to see these any more. As `markRead` else. */
  archive(ids: readonly string[]): void {
    this.#mark("archived", ids);
  }

  /** All that are known, and all before them, were read: not what comes in this very moment. As `markRead` else. */
  markAllRead(): void {
    this.#requireRunning();
    this.#set(markAllNotifications(this.get()));
    if (this.get().readUpTo !== undefined) this.#inBackground("mark", this.#tellMarks);
  }

  #mark(state: MarkedState, ids: readonly string[]): void {
    this.#requireRunning();
    const known = new Map(this.get().notifications.map((one) => [one.notification_id, one.status]));
    const news = ids.filter((id) => {
      const status = known.get(id);
      return status === undefined || later(status, state) !== status;
    });
    if (news.length === 0) return;
    for (const id of news) this.#marked[state].add(id);
    this.#set(markNotifications(this.get(), state, news));
    this.#inBackground("mark", this.#tellMarks);
  }

  /** One after the other, so that answers come in the order of what they speak of. */
  readonly #tellMarks = async (calls: NotificationCalls, signal: AbortSignal): Promise<void> => {
    try {
      for (;;) {
        const { readUpTo } = this.get();
        if (readUpTo !== undefined) await this.#tellUpTo(calls, readUpTo);
        else if (!(await this.#tellSome(calls))) return;
      }
    } catch (error) {
      if (!signal.aborted && !isPassing(error)) this.#forgetMarks();
      throw error;
    }
  };

  async #tellUpTo(calls: NotificationCalls, upTo: string): Promise<void> {
    const told = await calls.mark({ state: "read", up_to: upTo });
    this.#set(applyMarked(this.get(), told, { upTo }, this.#client.serverNow()));
  }

  /** False when nothing is left to tell. */
  async #tellSome(calls: NotificationCalls): Promise<boolean> {
    const state = (["read", "archived", "seen"] as const).find((one) => this.#marked[one].size > 0);
    if (state === undefined) return false;
    const waiting = this.#marked[state];
    const ids = new Set([...waiting].slice(0, limits.pageRows));
    const told = await calls.mark({ state, notification_ids: [...ids] });
    for (const id of ids) waiting.delete(id);
    this.#set(applyMarked(this.get(), told, { ids }, this.#client.serverNow()));
    return true;
  }

  /** The server has refused for good what was marked here: what is shown is what the server says. */
  #forgetMarks(): void {
    for (const waiting of Object.values(this.#marked)) waiting.clear();
    this.#set(emptyNotifications);
    this.#readUnread();
  }

  readonly #entry = (entry: PushedEntry): void => {
    this.#set(applyNotificationEntry(this.get(), entry, this.#client.serverNow()));
  };

  readonly #readUnread = (): void => this.#inBackground("read", this.#readPages);

  /** As many as are kept, the newest first. A page that entries have overtaken is read again. */
  readonly #readPages = async (calls: NotificationCalls): Promise<void> => {
    let cursor: string | undefined;
    let before: string | undefined;
    for (let outdated = 0; ;) {
      const query = { state: "unread", limit: limits.pageRows } as const;
      const page = await calls.list(cursor === undefined ? query : { ...query, cursor });
      if (isOutdated(this.get(), page)) {
        if (++outdated >= readsMax) throw clientError("outpaced");
        continue;
      }
      this.#set(applyNotificationPage(this.get(), page, this.#client.serverNow(), before));
      const last = page.notifications.at(-1);
      if (page.next_cursor === null || last === undefined || this.#isCovered(last.stream_id)) return;
      cursor = page.next_cursor;
      before = last.stream_id;
      outdated = 0;
    }
  };

  /** Whether as many as are kept come after this place. */
  #isCovered(from: string): boolean {
    const { notifications } = this.get();
    const [oldest] = notifications;
    if (oldest === undefined || notifications.length < notificationsKeptMax) return false;
    return compareStreamIds(from, oldest.stream_id) <= 0;
  }

  #inBackground(key: string, work: (calls: NotificationCalls, signal: AbortSignal) => Promise<void>): void {
    this.#errands.run(key, (signal) => work(notificationCallsUntil(signal, this.#client.http), signal));
  }

  #requireRunning(): void {
    if (this.#stopped) throw clientError("stopped");
  }

  #hurry(): void {
    this.#resting = false;
    // The server's clock may be another one than it was thought to be, and the device may have slept.
    this.#expire();
    this.#errands.hurry();
  }

  /** The client was stopped: nothing is read or told until it is started. */
  #rest(): void {
    this.#resting = true;
    this.#clearTimer();
    this.#errands.pause();
  }

  #set(next: NotificationsState): void {
    if (this.#stopped) return;
    this.#state.set(next);
    this.#unread.set(this.get().unread);
    this.#arm();
  }

  #expire(): void {
    this.#set(expireNotifications(this.get(), this.#client.serverNow()));
  }

  /** One timer, for the next end. */
  #arm(): void {
    this.#clearTimer();
    const end = nextEnd(this.get());
    if (end === undefined || this.#resting || this.#stopped) return;
    const ms = Math.min(endTimerMsMax, Math.max(0, end - this.#client.serverNow()));
    this.#timer = this.#client.surroundings.clock.setTimeout(() => {
      this.#timer = undefined;
      this.#expire();
    }, ms);
  }

  #clearTimer(): void {
    if (this.#timer !== undefined) this.#client.surroundings.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
