import type { Db } from "../../src/lib/db.ts";
import type { Person } from "../gateway/people.ts";

/** A person's unread ones. */
export const unreadEach = 20;

/**
 * Stores unread notifications for people as the module would have: counts, places and rows agree. They lie in the table in
 * the order in which they would have come, not one person's beside each other. Each carries a marker with its number.
 */
export async function storeUnread(db: Db, people: readonly Person[]): Promise<void> {
  const ids = people.map(({ id }) => id);
  const firstMs = Date.now() - unreadEach;
  await db.query(
    `insert into notification_person (user_id, version, unread, stored, stream_ms, stream_n)
     select id, $2::int, $2::int, $2::int, $3::bigint + $2::int, 0 from unnest($1::bigint[]) i(id)`,
    [ids, unreadEach, firstMs],
  );
  // A statement for each of a person's, so that none runs into the time that statements have.
  for (let number = 1; number <= unreadEach; number++) {
    await db.query(
      `insert into notification (id, user_id, stream_ms, stream_n, message, source, category, critical, created_at, expires_at)
       select gen_random_uuid(), id, $2::bigint, 0, rpad('~' || id || ':' || $3::int || ':0~', 100, '.'), 'bench', 'general',
              false, now(), now() + interval '1 day'
         from unnest($1::bigint[]) i(id)`,
      [ids, firstMs + number, number],
    );
  }
}
