import type { MarkedState } from "../protocol/notifications.ts";
import { topics } from "../protocol/topics.ts";
import type { Client, PushedEntry } from "./client.ts";
import {
  type BroadcastsState,
  applyBroadcastEntry,
  applyBroadcastList,
  emptyBroadcasts,
  expireBroadcasts,
  isOutdatedList,
  markBroadcasts,
  mutedUntil,
  nextBroadcastEnd,
  together,
  unreadBroadcasts,
} from "./broadcast-state.ts";
import { EndTimer } from "./end-timer.ts";
import { Errands, isPassing } from "./errands.ts";
import { clientError } from "./errors.ts";
import { readsMax } from "./journal.ts";
import { UntoldMarks, tellUpTo } from "./untold-marks.ts";
import { readUnreadPages } from "./notification-pages.ts";
import { followPerson } from "./follow-person.ts";
import { type NotificationCalls, notificationCallsUntil } from "./notification-calls.ts";
import {
  type NotificationsState,
  applyMarked,
  applyNotificationEntry,
  applyNotificationPage,
  emptyNotifications,
  expireNotifications,
  markAllNotifications,
  markNotifications,
  nextEnd,
  withGap,
} from "./notification-state.ts";
import { later } from "./notification-view.ts";
import { type Observable, type Source, createSource } from "./observable.ts";
import { once } from "./room-topics.ts";

export { endTimerMsMax } from "./end-timer.ts";
export type { NotificationsState, Uncounted } from "./notification-state.ts";

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
  readonly #untold = new UntoldMarks();
  readonly #timer: EndTimer;
  /** The person's own. */
  #own: NotificationsState = emptyNotifications;
  /** What everybody is told. */
  #shared: BroadcastsState = emptyBroadcasts;
  /** How often the person's wishes have changed: a list that was asked for before that is of no use. */
  #wishes = 0;
  #mutedUntil: number | undefined;
  #resting = false;
  #stopped = false;

  constructor(client: Client, me: number) {
    const { clock, random, onError } = client.surroundings;
    this.#client = client;
    this.#me = me;
    this.#state = createSource(emptyNotifications, onError);
    this.#unread = createSource(emptyNotifications.unread, onError);
    this.#errands = new Errands({ clock, random, onError });
    this.#timer = new EndTimer(clock, () => this.#expire());
  }

  /** Their own and what everybody is told in one list, by their places; `unread` counts both. */
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
    let live = 0;
    // What is done with broadcasts is heard in the other topic.
    const bothLive = (): void => {
      if (++live === 2) this.#readShared();
    };
    const [stop, rest, hurry] = [() => this.stop(), () => this.#rest(), () => this.#hurry()];
    this.#ends.push(
      ...followPerson(this.#client, me, { stop, rest, hurry }),
      this.#client.subscribe(topics.user(me), {
        entry: this.#entry,
        live: once(() => {
          this.#readUnread();
          bothLive();
        }),
        limited: () => {
          this.#set(withGap(this.#own));
          this.#readUnread();
          // What was done with broadcasts on other devices was missed, too.
          this.#readShared();
        },
        refused: surroundings.onError,
      }),
      this.#client.subscribe(topics.everybody(), {
        entry: this.#sharedEntry,
        live: once(bothLive),
        limited: this.#readShared,
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
    this.#timer.clear();
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
    const shared = unreadBroadcasts(this.#shared).map(({ notification_id: id }) => id);
    // By name: what everybody is told may come later than one's own and have an earlier place.
    this.#mark("read", shared);
    this.#set(markAllNotifications(this.#own));
    if (this.#own.readUpTo !== undefined) this.#inBackground("mark", this.#tellMarks);
  }

  #mark(state: MarkedState, ids: readonly string[]): void {
    this.#requireRunning();
    const known = new Map(this.get().notifications.map((one) => [one.notification_id, one.status]));
    const news = ids.filter((id) => {
      const status = known.get(id);
      return status === undefined || later(status, state) !== status;
    });
    if (news.length === 0) return;
    this.#untold.add(state, news);
    this.#set(markNotifications(this.#own, state, news), markBroadcasts(this.#shared, state, news));
    this.#inBackground("mark", this.#tellMarks);
  }

  /** One after the other, so that answers come in the order of what they speak of. */
  readonly #tellMarks = async (calls: NotificationCalls, signal: AbortSignal): Promise<void> => {
    try {
      for (;;) {
        const { readUpTo } = this.#own;
        const done =
          readUpTo === undefined ? await this.#untold.tellSome(calls) : await tellUpTo(calls, readUpTo);
        if (done === undefined) return;
        this.#set(applyMarked(this.#own, done.told, done.marked, this.#client.serverNow()));
      }
    } catch (error) {
      if (!signal.aborted && !isPassing(error)) this.#forgetMarks();
      throw error;
    }
  };

  /** The server has refused for good what was marked here: what is shown is what the server says. */
  #forgetMarks(): void {
    this.#untold.clear();
    this.#set(emptyNotifications, emptyBroadcasts);
    this.#readUnread();
    this.#readShared();
  }

  readonly #entry = (entry: PushedEntry): void => {
    const now = this.#client.serverNow();
    this.#set(applyNotificationEntry(this.#own, entry, now), applyBroadcastEntry(this.#shared, entry, now));
    if (entry.type !== "notification.preferences") return;
    this.#wishes++;
    this.#readShared();
  };

  readonly #sharedEntry = (entry: PushedEntry): void => {
    this.#set(this.#own, applyBroadcastEntry(this.#shared, entry, this.#client.serverNow()));
  };

  readonly #readShared = (): void => this.#inBackground("broadcasts", this.#readList);

  /** All that lives. A list that entries have overtaken is read again. */
  readonly #readList = async (calls: NotificationCalls): Promise<void> => {
    for (let reads = 0; reads < readsMax; reads++) {
      const wishes = this.#wishes;
      const list = await calls.broadcasts();
      if (wishes !== this.#wishes || isOutdatedList(this.#shared, list)) continue;
      return this.#set(this.#own, applyBroadcastList(this.#shared, list, this.#client.serverNow()));
    }
    throw clientError("outpaced");
  };

  readonly #readUnread = (): void => this.#inBackground("read", this.#readPages);

  readonly #readPages = (calls: NotificationCalls): Promise<void> =>
    readUnreadPages(calls, {
      state: () => this.#own,
      take: (page, before) =>
        this.#set(applyNotificationPage(this.#own, page, this.#client.serverNow(), before)),
    });

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
    this.#timer.clear();
    this.#errands.pause();
  }

  #set(own: NotificationsState, shared: BroadcastsState = this.#shared): void {
    if (this.#stopped) return;
    const isNews = own !== this.#own || shared !== this.#shared;
    // Before it is told: a listener may do something with it at once.
    this.#own = own;
    this.#shared = shared;
    if (isNews) this.#state.set(together(own, shared));
    this.#unread.set(this.get().unread);
    this.#arm();
  }

  #expire(): void {
    const now = this.#client.serverNow();
    this.#set(expireNotifications(this.#own, now), expireBroadcasts(this.#shared, now));
  }

  /** One timer, for the next end, that of the peace that the person has asked for among them. */
  #arm(): void {
    const now = this.#client.serverNow();
    const muted = mutedUntil(this.#shared, now);
    const isOver = this.#mutedUntil !== undefined && this.#mutedUntil <= now;
    this.#mutedUntil = muted;
    if (isOver) this.#readShared();
    const ends = [nextEnd(this.#own), nextBroadcastEnd(this.#shared), muted].filter(
      (end) => end !== undefined,
    );
    if (ends.length === 0 || this.#resting || this.#stopped) this.#timer.clear();
    else this.#timer.arm(Math.min(...ends), now);
  }
}
