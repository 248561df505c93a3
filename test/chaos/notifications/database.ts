import type { Db } from "../../../src/lib/db.ts";
import type { Told } from "./ledger.ts";

export async function addPeople(db: Db, count: number): Promise<readonly { id: number; username: string }[]> {
  const { rows } = await db.query<{ id: number; username: string }>(
    `insert into account_user (username, name) select 'chaos' || n, 'Somebody' from generate_series(1, $1::int) n
     returning id, username`,
    [count],
  );
  return rows;
}

/** What must be none of, by name. */
export async function miscounts(db: Db): Promise<Readonly<Record<string, number>>> {
  const { rows } = await db.query<Record<string, number>>(
    `select (select count(*) from notification_person p
              cross join lateral (select count(*) filter (where n.state in ('unread', 'seen')) as unread, count(*) as stored
                                    from notification n where n.user_id = p.user_id) n
              where p.unread <> n.unread or p.stored <> n.stored)::int as "people counted wrong",
            (select count(*) from (select from notification group by user_id, message having count(*) > 1) d)::int as "notifications twice",
            (select count(*) from notification n join notification_person p using (user_id)
              where (n.stream_ms, n.stream_n) > (p.stream_ms, p.stream_n))::int as "places that were not given out",
            (select count(*) from notification n where not exists (select from eventlog_entry e where e.id = n.id))::int as "notifications that the log does not tell"`,
  );
  return rows[0] ?? { "no answer": 1 };
}

/** Of what was accepted and lasts, how much is not there; how much is not read that was said to be, or read that was not. */
export async function falseStates(db: Db, told: readonly Told[]): Promise<Readonly<Record<string, number>>> {
  const lasting = told.filter((one) => one.lasting);
  const { rows } = await db.query<Record<string, number>>(
    `select (count(*) filter (where n.id is null))::int as "lost",
            (count(*) filter (where k.acked and n.state <> 'read'))::int as "acknowledged as read and not read",
            (count(*) filter (where not k.sent and n.state <> 'unread'))::int as "read by nobody and not unread"
       from unnest($1::uuid[], $2::boolean[], $3::boolean[]) k(id, acked, sent) left join notification n on n.id = k.id`,
    [
      lasting.map(({ id }) => id),
      lasting.map(({ ackedMs }) => ackedMs !== undefined),
      lasting.map(({ readSent }) => readSent),
    ],
  );
  return rows[0] ?? { "no answer": 1 };
}

/** How many of somebody's are unread and have not ended, counted one by one. */
export async function recount(db: Db): Promise<ReadonlyMap<number, number>> {
  const { rows } = await db.query<{ user_id: number; unread: number }>(
    `select user_id, count(*)::int as unread from notification
      where state in ('unread', 'seen') and expires_at > now() group by user_id`,
  );
  return new Map(rows.map(({ user_id: userId, unread }) => [userId, unread]));
}
