import { uuidv7 } from "../../../protocol/ids.ts";
import { topics } from "../../../protocol/topics.ts";
import type { NotificationExpiredData, Place } from "../../../protocol/notifications.ts";
import type { Deps } from "../../deps.ts";
import { type NewEntry, jsonText } from "../../eventlog/eventlog.ts";
import type { Tx } from "../../lib/db.ts";
import { type PersonState, streamIdOf } from "./person-state.ts";
import { countOf } from "./mark.ts";
import { type People, savePeople } from "./people.ts";

/** Notifications that one transaction removes. */
export const expireBatchMax = 1_000;
/** Requests whose keys one transaction forgets, and after how long, milliseconds. */
export const forgetBatchMax = 1_000;
export const keyKeptMs = 86_400_000;

export type ExpireDeps = Pick<Deps, "db" | "eventlog" | "clock"> & { readonly people: People };

type EndedRow = {
  readonly id: string;
  readonly user_id: number;
  readonly stream_ms: number;
  readonly stream_n: number;
  readonly was_unread: boolean;
  readonly ended: boolean;
};

/** Removes notifications that have ended, and tells whoever had not read them. Resolves with how many. */
export async function expireNotifications(deps: ExpireDeps, signal: AbortSignal): Promise<number> {
  let removed = 0;
  for (;;) {
    signal.throwIfAborted();
    const part = await expireBatch(deps, signal);
    removed += part;
    if (part < expireBatchMax) return removed;
  }
}

async function expireBatch(
  { db, eventlog, clock, people }: ExpireDeps,
  signal: AbortSignal,
): Promise<number> {
  return db.transaction(async (tx) => {
    const ids = await findEnded(tx, clock.now());
    const entries = await removeNotifications(tx, { clock, people }, ids);
    if (entries.length > 0) await eventlog.appendIn(tx, entries);
    return ids.length;
  }, signal);
}

/**
 * Removes notifications; those that are gone already are no fault. Resolves with the entries that tell whoever is to know of
 * it, to be appended last: one for each person, and so of no more than `expireBatchMax` notifications.
 */
export async function removeNotifications(
  tx: Tx,
  { clock, people }: Pick<ExpireDeps, "clock" | "people">,
  ids: readonly { readonly id: string; readonly user_id: number }[],
): Promise<readonly NewEntry[]> {
  if (ids.length === 0) return [];
  const owners = ids.map(({ user_id: userId }) => userId);
  const { people: before, nowMs } = await people.lock(tx, owners, clock);
  const rows = await removeRows(
    tx,
    ids.map(({ id }) => id),
    nowMs,
  );
  const { after, entries } = settle(before, rows);
  await savePeople(tx, after);
  return entries;
}

async function findEnded(tx: Tx, nowMs: number): Promise<readonly { id: string; user_id: number }[]> {
  const { rows } = await tx.query<{ id: string; user_id: number }>(
    "select id, user_id from notification where expires_at <= $1 order by expires_at limit $2",
    [new Date(nowMs), expireBatchMax],
  );
  return rows;
}

/** Those that are still there: another process may have been at it before it led no longer. */
async function removeRows(tx: Tx, ids: readonly string[], nowMs: number): Promise<readonly EndedRow[]> {
  const { rows } = await tx.query<EndedRow>(
    `delete from notification where id = any($1::uuid[])
     returning id, user_id, stream_ms, stream_n, state in ('unread', 'seen') as was_unread, expires_at <= $2 as ended`,
    [ids, new Date(nowMs)],
  );
  return rows;
}

/** What is counted after the removal, and one entry for each person who had not read something of it. */
function settle(
  before: ReadonlyMap<number, PersonState>,
  rows: readonly EndedRow[],
): { readonly after: ReadonlyMap<number, PersonState>; readonly entries: readonly NewEntry[] } {
  const after = new Map<number, PersonState>();
  const entries: NewEntry[] = [];
  for (const [userId, own] of Map.groupBy(rows, ({ user_id }) => user_id)) {
    const state = before.get(userId);
    if (state === undefined) continue;
    const unread = own.filter(({ was_unread }) => was_unread);
    // What is erased before its end was counted until now.
    const isOver = ({ ended }: EndedRow): boolean => ended;
    const next: PersonState = {
      ...state,
      stored: state.stored - own.length,
      endedStored: state.endedStored - own.filter(isOver).length,
      unread: state.unread - unread.length,
      endedUnread: state.endedUnread - unread.filter(isOver).length,
      version: state.version + (unread.length > 0 ? 1 : 0),
    };
    after.set(userId, next);
    if (unread.length > 0) entries.push(expiredEntry(userId, unread, next));
  }
  return { after, entries };
}

function expiredEntry(userId: number, rows: readonly EndedRow[], state: PersonState): NewEntry {
  const notifications = rows.map(({ id, stream_ms: streamMs, stream_n: streamN }): Place => {
    return { notification_id: id, stream_id: streamIdOf({ streamMs, streamN }) };
  });
  const data: NotificationExpiredData = { notifications, ...countOf(state) };
  return {
    id: uuidv7(),
    topic: topics.user(userId),
    type: "notification.expired",
    actor: "system",
    data: jsonText(data),
  };
}

/** Forgets what was answered to requests so long ago that nobody repeats them any more. */
export async function forgetRequests(
  { db, clock }: Pick<Deps, "db" | "clock">,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const { rowCount } = await db.query(
      `delete from notification_request where (actor, key) in (
         select actor, key from notification_request where created_at < $1 order by created_at limit $2)`,
      [new Date(clock.now() - keyKeptMs), forgetBatchMax],
      { signal },
    );
    if (rowCount < forgetBatchMax) return;
  }
}
