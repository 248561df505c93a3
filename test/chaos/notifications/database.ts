import type { Db } from "../../../src/lib/db.ts";
import type { Ledger } from "./ledger.ts";

export async function addPeople(db: Db, count: number): Promise<readonly { id: number; username: string }[]> {
  const { rows } = await db.query<{ id: number; username: string }>(
    `insert into account_user (username, name) select 'chaos' || n, 'Somebody' from generate_series(1, $1::int) n
     returning id, username`,
    [count],
  );
  return rows;
}

/** What must be none of, by name, at any moment. */
export async function miscounts(db: Db): Promise<Readonly<Record<string, number>>> {
  const { rows } = await db.query<Record<string, number>>(
    `select (select count(*) from notification_person p
              cross join lateral (select count(*) filter (where n.state in ('unread', 'seen')) as unread, count(*) as stored
                                    from notification n where n.user_id = p.user_id) n
              cross join lateral (select count(*) as held from notification_held h where h.user_id = p.user_id) h
              where p.unread <> n.unread or p.stored <> n.stored or p.held <> h.held)::int as "people counted wrong",
            (select count(*) from notification_digest d
              where d.gathered <> (select count(*) from notification_held h where h.digest_id = d.id))::int as "digests counted wrong",
            (select count(*) from (select from (select user_id, message from notification where gathered = 1
                                                union all select user_id, message from notification_held) m
                                    group by user_id, message having count(*) > 1) d)::int as "notifications twice",
            (select count(*) from (select from notification_broadcast group by message having count(*) > 1) d)::int as "broadcasts twice",
            (select count(*) from notification n join notification_person p using (user_id)
              where (n.stream_ms, n.stream_n) > (p.stream_ms, p.stream_n))::int as "places that were not given out",
            (select count(*) from notification n where not exists (select from eventlog_entry e where e.id = n.id))::int as "notifications that the log does not tell"`,
  );
  return rows[0] ?? { "no answer": 1 };
}

/** How much is still held. */
export async function heldCount(db: Db): Promise<number> {
  const { rows } = await db.query<{ held: number }>("select count(*)::int as held from notification_held");
  return rows[0]?.held ?? 0;
}

/**
 * Of what was accepted and lasts, how much is not there; how much is not read that was said to be, or read that was not.
 * `up_to`: what comes later in the person's stream was not read with all the others.
 */
export async function falseStates(db: Db, ledger: Ledger): Promise<Readonly<Record<string, number>>> {
  const lasting = [...ledger.people.values()].flatMap(({ told, upTo }) =>
    [...told.values()]
      .filter(({ kind, dueMs, held }) => kind !== "brief" && kind !== "shared" && (dueMs < Infinity || held))
      .map((one) => ({ ...one, upTo: upTo?.place ?? ([0, 0] as const) })),
  );
  const { rows } = await db.query<Record<string, number>>(
    `select (count(*) filter (where n.id is null))::int as "lost",
            (count(*) filter (where k.acked and n.state <> 'read'))::int as "acknowledged as read and not read",
            (count(*) filter (where not k.said and n.state <> 'unread'
                                and (n.stream_ms, n.stream_n) > (k.ms, k.n)))::int as "read by nobody and not unread"
       from unnest($1::uuid[], $2::boolean[], $3::boolean[], $4::bigint[], $5::int[]) k(id, acked, said, ms, n)
       left join notification n on n.id = k.id`,
    [
      lasting.map(({ id }) => id),
      lasting.map(({ ackedMs }) => ackedMs !== undefined),
      lasting.map(({ readSaid }) => readSaid),
      lasting.map(({ upTo: [ms] }) => ms),
      lasting.map(({ upTo: [, n] }) => n),
    ],
  );
  return { ...rows[0], ...(await falseDigests(db, ledger)) };
}

/** Digests that do not stand for as many as were accepted into them. */
async function falseDigests(db: Db, ledger: Ledger): Promise<Readonly<Record<string, number>>> {
  const digests = [...ledger.people.values()].flatMap((account) => [...account.digests]);
  const { rows } = await db.query<Record<string, number>>(
    `select count(*)::int as "digests that do not stand for what was accepted"
       from unnest($1::uuid[], $2::int[]) k(id, accepted) left join notification n on n.id = k.id
      where n.gathered is distinct from k.accepted`,
    [digests.map(([id]) => id), digests.map(([, accepted]) => accepted)],
  );
  return rows[0] ?? { "no answer": 1 };
}

/** What somebody has not read and has not ended, in its order: their own, and with what everybody is told. */
export type Unread = { readonly own: readonly string[]; readonly all: readonly string[] };

/** For each person, counted one by one. Whoever has nothing is not in it. */
export async function recount(db: Db): Promise<ReadonlyMap<number, Unread>> {
  const { rows } = await db.query<{ user_id: number; id: string; shared: boolean }>(
    `select user_id, id, shared from (
       select user_id, id, stream_ms, stream_n, false as shared from notification
        where state in ('unread', 'seen') and expires_at > now()
       union all
       select u.id, b.id, b.stream_ms, b.stream_n, true from notification_broadcast b cross join account_user u
         left join notification_person p on p.user_id = u.id
        where b.expires_at > now() and coalesce(p.broadcast_marks ->> b.version::text, 'unread') in ('unread', 'seen')) n
      order by user_id, stream_ms, stream_n`,
  );
  return new Map(
    [...Map.groupBy(rows, ({ user_id: userId }) => userId)].map(([userId, unread]) => [
      userId,
      {
        own: unread.filter(({ shared }) => !shared).map(({ id }) => id),
        all: unread.map(({ id }) => id),
      },
    ]),
  );
}
