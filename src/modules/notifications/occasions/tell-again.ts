import type { NewEntry } from "../../../eventlog/eventlog.ts";
import { type Tx, arrayLiteral } from "../../../lib/db.ts";
import { type NotificationRow, toNotification } from "../notification-row.ts";
import type { Locked } from "../people.ts";
import { type FreshNotification, type PersonState, nextStreamId, nobodyYet } from "../person-state.ts";
import { saveFresh } from "../save-fresh.ts";

/**
 * Tells people, whose rows are locked, what they were told before, in other words: each at the end of theirs, as far read
 * as it was, until the same end. Resolves with the entries, to be appended last: what was read already comes back to
 * lists alone, and nobody hears of it.
 */
export async function tellAgain(
  tx: Tx,
  rows: readonly NotificationRow[],
  { people, nowMs }: Locked,
): Promise<readonly NewEntry[]> {
  const after = new Map<number, PersonState>();
  const fresh = rows.map((row): FreshNotification => {
    const { user_id: userId } = row;
    const before = after.get(userId) ?? people.get(userId) ?? nobodyYet;
    const place = nextStreamId(before, nowMs);
    const one = isUnread(row) ? 1 : 0;
    const { unread, version, stored, endedUnread } = before;
    const endsMs = Math.min(before.endsMs, row.expires_at.getTime());
    const next = { unread: unread + one, version: version + one, stored: stored + 1, endsMs };
    after.set(userId, { ...before, ...place, ...next });
    const notification = toNotification({ ...row, stream_ms: place.streamMs, stream_n: place.streamN });
    const counted = { unread: next.unread - endedUnread, version: next.version };
    return { userId, actor: "system", notification, again: true, ...place, ...counted };
  });
  const entries = await saveFresh(tx, { fresh, people: after, nowMs });
  await tx.query(
    `update notification n set state = k.state from unnest($1::uuid[], $2::text[]) k(id, state)
      where n.id = any($1::uuid[]) and n.id = k.id and k.state <> 'unread'`,
    [arrayLiteral(rows.map(({ id }) => id)), rows.map(({ state }) => state)],
  );
  const heard = new Set(rows.filter(isUnread).map(({ id }) => id));
  return entries.filter(({ id }) => heard.has(id));
}

function isUnread({ state }: Pick<NotificationRow, "state">): boolean {
  return state === "unread" || state === "seen";
}
