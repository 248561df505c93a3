import { limits } from "../../../protocol/limits.ts";
import { topics } from "../../../protocol/topics.ts";
import type { NotificationCreatedData } from "../../../protocol/notifications.ts";
import { type NewEntry, jsonText } from "../../eventlog/eventlog.ts";
import { type Queryable, type Tx, arrayLiteral } from "../../lib/db.ts";
import { savePeople } from "./people.ts";
import type { FreshNotification, PersonState } from "./person-state.ts";

/** What has been decided under the locks of its people. */
export type Fresh = {
  readonly fresh: readonly FreshNotification[];
  readonly people: ReadonlyMap<number, PersonState>;
  readonly nowMs: number;
};

/** Writes notifications and what is counted for their people; resolves with the entries that tell of them, to be appended last. */
export async function saveFresh(tx: Tx, { fresh, people, nowMs }: Fresh): Promise<readonly NewEntry[]> {
  await insertNotifications(tx, fresh);
  await savePeople(tx, await makeRoom(tx, people, nowMs));
  return fresh.map(createdEntry);
}

/** Who has more than are kept loses the oldest of what they have read: what is unread is never given up for it. */
async function makeRoom(
  tx: Tx,
  people: ReadonlyMap<number, PersonState>,
  nowMs: number,
): Promise<ReadonlyMap<number, PersonState>> {
  // What has ended takes no place: it is removed within a minute.
  const surpluses = [...people].map(([userId, { stored, endedStored }]): [number, number] => {
    return [userId, stored - endedStored - limits.notificationsPerPerson];
  });
  const full = surpluses.filter(([, surplus]) => surplus > 0);
  if (full.length === 0) return people;
  const { rows } = await tx.query<{ user_id: number; removed: number }>(
    `with gone as (
       delete from notification where id in (
         select n.id from unnest($1::bigint[], $2::int[]) k(user_id, surplus) cross join lateral (
           select id from notification where user_id = k.user_id and state in ('read', 'archived') and expires_at > $3
            order by stream_ms, stream_n limit k.surplus) n)
       returning user_id)
     select user_id, count(*)::int as removed from gone group by user_id`,
    [
      arrayLiteral(full.map(([userId]) => userId)),
      arrayLiteral(full.map(([, surplus]) => surplus)),
      new Date(nowMs),
    ],
  );
  const after = new Map(people);
  for (const { user_id: userId, removed } of rows) {
    const state = after.get(userId);
    if (state !== undefined) after.set(userId, { ...state, stored: state.stored - removed });
  }
  return after;
}

async function insertNotifications(db: Queryable, fresh: readonly FreshNotification[]): Promise<void> {
  if (fresh.length === 0) return;
  const all = fresh.map(({ notification }) => notification);
  await db.query(
    `insert into notification (id, user_id, stream_ms, stream_n, message, source, category, critical, link,
                               gathered, created_at, expires_at)
     select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::int[], $5::text[], $6::text[], $7::text[],
                          $8::boolean[], $9::text[], $10::int[], $11::timestamptz[], $12::timestamptz[])`,
    [
      arrayLiteral(all.map(({ notification_id }) => notification_id)),
      arrayLiteral(fresh.map(({ userId }) => userId)),
      arrayLiteral(fresh.map(({ streamMs }) => streamMs)),
      arrayLiteral(fresh.map(({ streamN }) => streamN)),
      all.map(({ message }) => message),
      all.map(({ source }) => source),
      all.map(({ category }) => category),
      arrayLiteral(all.map(({ critical }) => (critical ? "t" : "f"))),
      all.map(({ link }) => link),
      arrayLiteral(all.map(({ gathered }) => gathered)),
      all.map(({ created_at }) => created_at),
      all.map(({ expires_at }) => expires_at),
    ],
    { name: "notification_insert" },
  );
}

function createdEntry({ userId, actor, notification, again, unread, version }: FreshNotification): NewEntry {
  const data: NotificationCreatedData = { notification, ...(again && { again }), unread, version };
  return {
    id: notification.notification_id,
    topic: topics.user(userId),
    type: "notification.created",
    actor,
    data: jsonText(data),
  };
}
