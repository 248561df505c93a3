import type {
  Mark,
  Notification,
  NotificationPage,
  NotificationsQuery,
  Unread,
} from "../../../protocol/notifications.ts";
import { isBroadcastPlace } from "../../../protocol/broadcast-rules.ts";
import type { NewPreferences, Preferences } from "../../../protocol/preferences.ts";
import type { AppError } from "../../lib/errors.ts";
import type { NotifyAnswer, NotifyRequest } from "./decide-notify.ts";
import type { Marked } from "./mark.ts";

/**
 * Where notifications lie until they are read or end: what every store promises. `store.contract.ts` is the suite that
 * each passes: it knows this type, the log and the clock, and of the store's own tables or streams nothing.
 *
 * 1. What `notify` and `mark` resolve with is durable, and so is the entry in the log that tells devices of it: both or
 *    neither.
 * 2. Of one person, stream ids and versions grow in the order in which entries tell of them. Within one version notifications
 *    only end: of two counts with the same version the smaller one is the newer.
 * 3. `unread`, wherever it is told, is the number of notifications in state unread or seen that had not ended by the
 *    server's clock when it was told.
 * 4. What has ended is neither listed nor replayed nor marked, whether it has been removed yet or not.
 * 5. A request that is repeated under its key within 24 hours has no effect and gets the same answer.
 * 6. What was accepted and not told because of what the person wishes is held, and `release` tells it when it is due: of
 *    one person in the order in which it was accepted, but for what cannot be told at that moment. Of one person and category
 *    one digest gathers at most.
 *
 * The only store so far is that of PostgreSQL (`postgres-store.ts`). A second one keeps for each person their notifications,
 * counts, last stream id and what is held, decides with the functions that need no SQL (`decide-notify.ts`, `person-state.ts`,
 * `wishes/decide-release.ts`, `wishes/when-to-tell.ts`), and passes the suite. That is not all there is to it: these stay in
 * PostgreSQL whatever the store is, and reach past this type today.
 *
 * - People: `notify` asks `account_user` who exists (`people.ts`).
 * - The log's `appendIn` takes a transaction of PostgreSQL. A store outside it keeps what it is to tell beside its effect, and
 *   appends that under the same entry ids until it is there, before it answers; so promise 1 holds again.
 * - Idempotency keys (`requests.ts`): written in the transaction of their effect, and forgotten by the module's own timer
 *   (`forgetRequests`), not by `expire`. A store outside it takes the key in a row with the request's id first, has its effect
 *   under that id, of which all notification ids are made, and then writes the answer; whoever finds a key without one does the same
 *   again under the id that is kept.
 * - Wishes, and what people did with broadcasts: columns of `notification_person`, which broadcasts and web push read.
 * - Broadcasts (`broadcasts/`): rows of their own. `replay` gives them among a person's own, and `mark` marks those that are
 *   named: a second store calls the same functions for it.
 * - Occasions (`occasions/`) tell with `saveNotifyIn` in the transaction of their checkpoint, and take back, or write anew, what is
 *   held and told by SQL. With another store they have to `notify` under ids made of the entry's, as an attempt that is repeated does,
 *   and what they take back needs methods here that do not exist yet.
 * - `follow-redactions.ts` removes rows of notifications in the transaction of its checkpoint: it needs such a method, too.
 * - Web push (`push/`): what is due is a row that is joined with the notification when it is pushed. With another store it has to ask
 *   for the words, the state and the count.
 */
export type NotificationStore = {
  /**
   * Answers each request on its own, in order; an `AppError` among the answers refuses that one only (`idempotency_mismatch`,
   * `request_in_flight`). Rejects when nothing of all that was done, or nobody knows: then the same requests, with `again`,
   * have their effect once.
   */
  notify(
    requests: readonly NotifyRequest[],
    options?: { readonly again?: boolean },
  ): Promise<readonly (NotifyAnswer | AppError)[]>;
  /** Marks some of a person's, or all up to one. Resolves with those that were not so far, and with the count after it. */
  mark(who: { readonly userId: number; readonly actor: string }, mark: Mark): Promise<Marked>;
  /** The newest first. The page and its count are of one moment. Throws `invalid_cursor`. */
  list(userId: number, query: NotificationsQuery): Promise<NotificationPage>;
  unread(userId: number): Promise<Unread>;
  /**
   * For each wish the next `replayPageRows` notifications that count as unread, in the order of their places; of all
   * wishes with one look.
   */
  replay(wishes: readonly Replay[]): Promise<readonly (readonly Notification[])[]>;
  /** What somebody wishes. */
  preferences(userId: number): Promise<Preferences>;
  /** Puts new wishes in the place of the old ones, also for what is held. Throws `invalid_body`. */
  setPreferences(
    who: { readonly userId: number; readonly actor: string },
    preferences: NewPreferences,
  ): Promise<Preferences>;
  /** Tells what was held and is due, a bounded part at a time. Resolves with how many are not held any more. */
  release(signal: AbortSignal): Promise<number>;
  /** Removes what has ended, a bounded part at a time, and tells of it. Resolves with how many. */
  expire(signal: AbortSignal): Promise<number>;
};

/** Notifications of one replay's page. */
export const replayPageRows = 50;

/** How far somebody was told: up to which stream id of their own, and of broadcasts. The places of the two are of different clocks. */
export type ToldUpTo = { readonly own: string; readonly shared: string };
export const toldNothing: ToldUpTo = { own: "0-0", shared: "0-0" };

/** The same when they were told this page, too. */
export function toldWith(before: ToldUpTo, page: readonly Pick<Notification, "stream_id">[]): ToldUpTo {
  const last = { ...before };
  for (const { stream_id: streamId } of page) last[kindOfPlace(streamId)] = streamId;
  return last;
}

export function kindOfPlace(streamId: string): keyof ToldUpTo {
  return isBroadcastPlace(streamId) ? "shared" : "own";
}

/** Whose unread notifications, after which places. */
export type Replay = { readonly userId: number; readonly after: ToldUpTo };
