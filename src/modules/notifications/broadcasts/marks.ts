import { hidesBroadcast, isBroadcastPlace } from "../../../../protocol/broadcast-rules.ts";
import { type Mark, type Notification, notificationStates } from "../../../../protocol/notifications.ts";
import { type Preferences, defaultPreferences } from "../../../../protocol/preferences.ts";
import { type Queryable, type Tx, arrayLiteral } from "../../../lib/db.ts";
import { placeNumbers } from "../notification-row.ts";

/** A broadcast that was not so far before. None counts for a person: how many are unread is asked for by itself. */
export type MarkedBroadcast = { readonly id: string; readonly stream_ms: number; readonly stream_n: number };

/**
 * Notes on a person's row, which is locked, what they did with broadcasts that live, and forgets those that live no more.
 * No state ever goes back. Resolves with those that were not so far, in their order. `up_to` takes in broadcasts only if it
 * is the place of one, and then those that the person is shown: a place of their own is by the clock of somebody else, and
 * says nothing of what everybody was told until then.
 */
export async function markBroadcasts(
  tx: Tx,
  userId: number,
  mark: Mark,
  { preferences, nowMs }: { readonly preferences: Preferences | null; readonly nowMs: number },
): Promise<readonly MarkedBroadcast[]> {
  const { state } = mark;
  const lower = notificationStates.slice(0, notificationStates.indexOf(state));
  const ids =
    "up_to" in mark
      ? await shownUpTo(tx, mark.up_to, preferences ?? defaultPreferences, nowMs)
      : mark.notification_ids;
  if (ids.length === 0) return [];
  const { rows } = await tx.query<MarkedBroadcast>(
    `with living as (select id, version::text as name, stream_ms, stream_n from notification_broadcast where expires_at > $2),
          before as (select p.user_id, p.broadcast_marks as marks from notification_person p where p.user_id = $1),
          fresh as (
            select l.* from living l cross join before b
             where l.id = any($5::uuid[]) and coalesce(b.marks ->> l.name, 'unread') = any($3::text[])),
          saved as (
            update notification_person p set broadcast_marks =
                   (select coalesce(jsonb_object_agg(key, value), '{}') from jsonb_each(b.marks)
                     where key in (select name from living))
                   || (select jsonb_object_agg(name, $4::text) from fresh)
              from before b where p.user_id = b.user_id and exists (select from fresh))
     select id, stream_ms, stream_n from fresh order by stream_ms, stream_n`,
    [userId, new Date(nowMs), lower, state, arrayLiteral(ids)],
  );
  return rows;
}

/** Those that live and are shown to somebody with these preferences, up to a place. None up to one that is no broadcast's. */
async function shownUpTo(
  db: Queryable,
  upTo: string,
  preferences: Preferences,
  nowMs: number,
): Promise<readonly string[]> {
  if (!isBroadcastPlace(upTo)) return [];
  const { rows } = await db.query<{ id: string } & Pick<Notification, "category" | "critical">>(
    `select id, category, critical from notification_broadcast
      where expires_at > $1 and (stream_ms, stream_n) <= ($2::bigint, $3::int)`,
    [new Date(nowMs), ...placeNumbers(upTo)],
  );
  return rows.filter((row) => !hidesBroadcast(preferences, row, nowMs)).map(({ id }) => id);
}
