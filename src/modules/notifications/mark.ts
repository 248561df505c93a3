import { uuidv7 } from "../../../protocol/ids.ts";
import { topics } from "../../../protocol/topics.ts";
import {
  type Mark,
  type MarkedState,
  type NotificationMarkedData,
  type Place,
  type Unread,
  notificationStates,
} from "../../../protocol/notifications.ts";
import type { Deps } from "../../deps.ts";
import { type NewEntry, jsonText } from "../../eventlog/eventlog.ts";
import { type Tx } from "../../lib/db.ts";
import { type PersonState, streamIdOf } from "./person-state.ts";
import { markBroadcasts } from "./broadcasts/marks.ts";
import { placeNumbers } from "./notification-row.ts";
import { type People, savePeople } from "./people.ts";

/** Notifications that one entry tells of: some 80 bytes each. */
export const markedPerEntry = 1_000;

export type MarkDeps = Pick<Deps, "db" | "eventlog" | "clock"> & { readonly people: People };

/** `marked`: those that were not so far before, broadcasts among them. */
export type Marked = Unread & { readonly marked: readonly Place[] };

/**
 * Marks notifications of a person and broadcasts as seen, read or archived, all up to one or those that are named; up to a
 * place that is not a broadcast's, their own ones alone. No state ever goes back; what has ended, was marked before or never was is left alone. The count is that of their own ones after it.
 */
export async function markNotifications(
  { db, eventlog, clock, people }: MarkDeps,
  { userId, actor }: { readonly userId: number; readonly actor: string },
  mark: Mark,
): Promise<Marked> {
  return db.transaction(async (tx) => {
    const { people: states, nowMs } = await people.lock(tx, [userId], clock);
    const before = states.get(userId);
    if (before === undefined) throw new Error("a person whose row is locked has none");
    const own = await updateStates(tx, userId, mark, nowMs);
    // What is not among their own may be for everybody.
    const isAll = !("up_to" in mark) && own.length === new Set(mark.notification_ids).size;
    const shared = isAll ? [] : await markBroadcasts(tx, userId, mark, { ...before, nowMs });
    const rows = inOrder([...own, ...shared.map((one) => ({ ...one, was_unread: false }))]);
    if (rows.length === 0) return { marked: [], ...countOf(before) };
    const told = entriesOf({ userId, actor, state: mark.state, rows }, before);
    await savePeople(tx, new Map([[userId, told.after]]));
    await eventlog.appendIn(tx, told.entries);
    return { marked: rows.map(placeOf), ...countOf(told.after) };
  });
}

export function countOf({ unread, endedUnread, version }: PersonState): Unread {
  return { unread: unread - endedUnread, version };
}

type MarkedRow = {
  readonly id: string;
  readonly stream_ms: number;
  readonly stream_n: number;
  /** And counted for the person: broadcasts never do. */
  readonly was_unread: boolean;
};

async function updateStates(
  tx: Tx,
  userId: number,
  mark: Mark,
  nowMs: number,
): Promise<readonly MarkedRow[]> {
  const { state } = mark;
  const lower = notificationStates.slice(0, notificationStates.indexOf(state));
  const [which, values] =
    "up_to" in mark
      ? ["(n.stream_ms, n.stream_n) <= ($5::bigint, $6::int)", placeNumbers(mark.up_to)]
      : ["n.id = any($5::uuid[])", [mark.notification_ids]];
  const { rows } = await tx.query<MarkedRow>(
    `with before as (
       select n.id, n.state from notification n
        where n.user_id = $1 and n.state = any($2::text[]) and n.expires_at > $3 and ${which})
     update notification n set state = $4 from before b where n.id = b.id
     returning n.id, n.stream_ms, n.stream_n, b.state in ('unread', 'seen') as was_unread`,
    [userId, lower, new Date(nowMs), state, ...values],
  );
  return rows;
}

function inOrder(rows: readonly MarkedRow[]): readonly MarkedRow[] {
  return rows.toSorted((a, b) => a.stream_ms - b.stream_ms || a.stream_n - b.stream_n);
}

function placeOf({ id, stream_ms: streamMs, stream_n: streamN }: MarkedRow): Place {
  return { notification_id: id, stream_id: streamIdOf({ streamMs, streamN }) };
}

/** Entries that tell of them in bounded parts, each with the count after its part. */
function entriesOf(
  what: {
    readonly userId: number;
    readonly actor: string;
    readonly state: MarkedState;
    readonly rows: readonly MarkedRow[];
  },
  before: PersonState,
): { readonly entries: readonly NewEntry[]; readonly after: PersonState } {
  const { userId, actor, state, rows } = what;
  const entries: NewEntry[] = [];
  let after = before;
  for (let from = 0; from < rows.length; from += markedPerEntry) {
    const part = rows.slice(from, from + markedPerEntry);
    const read = state === "seen" ? 0 : part.filter(({ was_unread }) => was_unread).length;
    const { unread, version } = after;
    after = Object.assign({}, before, { unread: unread - read, version: version + 1 });
    const data: NotificationMarkedData = { state, notifications: part.map(placeOf), ...countOf(after) };
    entries.push({
      id: uuidv7(),
      topic: topics.user(userId),
      type: "notification.marked",
      actor,
      data: jsonText(data),
    });
  }
  return { entries, after };
}
