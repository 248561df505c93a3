import { type Mark, notificationStates } from "../../../../protocol/notifications.ts";
import type { Tx } from "../../../lib/db.ts";
import { placeNumbers } from "../notification-row.ts";

/** A broadcast that was not so far before. None counts for a person: how many are unread is asked for by itself. */
export type MarkedBroadcast = { readonly id: string; readonly stream_ms: number; readonly stream_n: number };

/**
 * Notes on a person's row, which is locked, what they did with broadcasts that live, and forgets those that live no more.
 * No state ever goes back. Resolves with those that were not so far, in their order.
 */
export async function markBroadcasts(
  tx: Tx,
  userId: number,
  mark: Mark,
  nowMs: number,
): Promise<readonly MarkedBroadcast[]> {
  const { state } = mark;
  const lower = notificationStates.slice(0, notificationStates.indexOf(state));
  const [which, values] =
    "up_to" in mark
      ? ["(l.stream_ms, l.stream_n) <= ($5::bigint, $6::int)", placeNumbers(mark.up_to)]
      : ["l.id = any($5::uuid[])", [mark.notification_ids]];
  const { rows } = await tx.query<MarkedBroadcast>(
    `with living as (select id, version::text as name, stream_ms, stream_n from notification_broadcast where expires_at > $2),
          before as (select p.user_id, p.broadcast_marks as marks from notification_person p where p.user_id = $1),
          fresh as (
            select l.* from living l cross join before b
             where ${which} and coalesce(b.marks ->> l.name, 'unread') = any($3::text[])),
          saved as (
            update notification_person p set broadcast_marks =
                   (select coalesce(jsonb_object_agg(key, value), '{}') from jsonb_each(b.marks)
                     where key in (select name from living))
                   || (select jsonb_object_agg(name, $4::text) from fresh)
              from before b where p.user_id = b.user_id and exists (select from fresh))
     select id, stream_ms, stream_n from fresh order by stream_ms, stream_n`,
    [userId, new Date(nowMs), lower, state, ...values],
  );
  return rows;
}
