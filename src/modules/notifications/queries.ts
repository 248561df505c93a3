import type {
  Notification,
  NotificationPage,
  NotificationState,
  NotificationsQuery,
  Unread,
} from "../../../protocol/notifications.ts";
import { limits } from "../../../protocol/limits.ts";
import { decodeCursor, encodeCursor } from "../../lib/cursor.ts";
import { type Queryable, arrayLiteral } from "../../lib/db.ts";
import { broadcastsOf, countsAsUnread, readLiving, readWishes } from "./broadcasts/views.ts";
import { type NotificationRow, compareStreamIds, placeNumbers, toNotification } from "./notification-row.ts";
import { type Replay, replayPageRows } from "./store.ts";

const columns =
  "n.id, n.user_id, n.stream_ms, n.stream_n, n.state, n.message, n.source, n.category, n.critical, n.link, n.gathered, n.created_at, n.expires_at";

/** What is counted, without what has ended and only waits to be removed: one statement, so of one moment. */
const countedOf = (people: string): string => `
  select i.id as user_id, coalesce(p.version, 0) as version,
         coalesce(p.unread, 0) - (select count(*) from notification e
                                   where e.user_id = i.id and e.state in ('unread', 'seen') and e.expires_at <= $2)::int as unread
    from (${people}) i left join notification_person p on p.user_id = i.id`;

const countedSql = countedOf("select $1::bigint as id");

export async function countUnread(db: Queryable, userId: number, nowMs: number): Promise<Unread> {
  const { rows } = await db.query<Unread>(
    `select version, unread from (${countedSql}) c`,
    [userId, new Date(nowMs)],
    { name: "notification_count" },
  );
  const { unread = 0, version = 0 } = rows[0] ?? {};
  return { unread, version };
}

/** The numbers alone, of several people. */
export async function countUnreadOf(
  db: Queryable,
  userIds: readonly number[],
  nowMs: number,
): Promise<ReadonlyMap<number, number>> {
  const { rows } = await db.query<{ readonly user_id: number; readonly unread: number }>(
    `select user_id, unread from (${countedOf("select unnest($1::bigint[]) as id")}) c`,
    [arrayLiteral(userIds), new Date(nowMs)],
    { name: "notification_count_of" },
  );
  return new Map(rows.map(({ user_id, unread }) => [user_id, unread]));
}

const statesOf: Readonly<
  Record<NonNullable<NotificationsQuery["state"]> | "default", readonly NotificationState[]>
> = {
  default: ["unread", "seen", "read"],
  unread: ["unread", "seen"],
  seen: ["seen"],
  read: ["read"],
  archived: ["archived"],
  any: ["unread", "seen", "read", "archived"],
};

export async function listNotifications(
  db: Queryable,
  userId: number,
  { state, category, limit = limits.pageRowsDefault, cursor }: NotificationsQuery,
  nowMs: number,
): Promise<NotificationPage> {
  const list = `notifications ${userId} ${state ?? ""} ${category ?? ""}`;
  const [ms, n] =
    cursor === undefined ? [Number.MAX_SAFE_INTEGER, 0] : decodeCursor(cursor, list, ["number", "number"]);
  const { rows } = await db.query<Unread & (NotificationRow | { readonly id: null })>(
    `with counted as (${countedSql}),
          page as (select ${columns} from notification n
                    where n.user_id = $1 and n.expires_at > $2 and n.state = any($3::text[])
                      and ($4::text is null or n.category = $4)
                      and (n.stream_ms, n.stream_n) < ($5::bigint, $6::int)
                    order by n.stream_ms desc, n.stream_n desc limit $7)
     select c.version, c.unread, page.* from counted c left join page on true
      order by page.stream_ms desc, page.stream_n desc`,
    [userId, new Date(nowMs), statesOf[state ?? "default"], category ?? null, ms, n, limit + 1],
  );
  const { unread = 0, version = 0 } = rows[0] ?? {};
  const found = rows.filter((row): row is Unread & NotificationRow => row.id !== null);
  const page = found.slice(0, limit);
  const last = page.at(-1);
  return {
    notifications: page.map(toNotification),
    next_cursor:
      found.length > limit && last !== undefined ? encodeCursor(list, [last.stream_ms, last.stream_n]) : null,
    unread,
    version,
  };
}

/** Of each, what the person was told and what everybody was, in the order of their places: three statements for all. */
export async function replayUnread(
  db: Queryable,
  wishes: readonly Replay[],
  nowMs: number,
): Promise<readonly (readonly Notification[])[]> {
  const own = await readUnread(db, wishes, nowMs);
  const people = await readWishes(
    db,
    wishes.map(({ userId }) => userId),
  );
  const living = await readLiving(db, nowMs);
  if (living.broadcasts.length === 0) return own;
  return wishes.map(({ userId, after }, i) => {
    const told = broadcastsOf(living, people.get(userId), nowMs).filter(
      (one) => countsAsUnread(one) && compareStreamIds(one.stream_id, after.shared) > 0,
    );
    const all = [...(own[i] ?? []), ...told];
    return all.toSorted((a, b) => compareStreamIds(a.stream_id, b.stream_id)).slice(0, replayPageRows);
  });
}

/** Of their own ones. */
async function readUnread(
  db: Queryable,
  wishes: readonly Replay[],
  nowMs: number,
): Promise<readonly (readonly Notification[])[]> {
  const places = wishes.map(({ after }) => placeNumbers(after.own));
  const { rows } = await db.query<NotificationRow & { readonly place: number }>(
    `select w.place, n.* from unnest($1::bigint[], $2::bigint[], $3::int[]) with ordinality w(user_id, ms, n, place)
      cross join lateral (
        select ${columns} from notification n
         where n.user_id = w.user_id and n.state in ('unread', 'seen') and n.expires_at > $4
           and (n.stream_ms, n.stream_n) > (w.ms, w.n)
         order by n.stream_ms, n.stream_n limit $5) n
      order by w.place, n.stream_ms, n.stream_n`,
    [
      arrayLiteral(wishes.map(({ userId }) => userId)),
      arrayLiteral(places.map(([ms]) => ms)),
      arrayLiteral(places.map(([, n]) => n)),
      new Date(nowMs),
      replayPageRows,
    ],
    { name: "notification_replay" },
  );
  const pages: Notification[][] = wishes.map(() => []);
  for (const { place, ...row } of rows) pages[place - 1]?.push(toNotification(row));
  return pages;
}
