import { randomUUID } from "node:crypto";
import { createAccessTokens } from "../../src/access/access-tokens.ts";
import { systemClock } from "../../src/lib/clock.ts";
import type { Db } from "../../src/lib/db.ts";

/** The secret that the servers of a bench sign with, and the bench itself, too: signing in is not what it measures. */
export const jwtSecret = "a secret of the benches, known to all who read this";

export type Person = { readonly id: number; readonly username: string; readonly role: "user" };

export async function addPeople(db: Db, count: number): Promise<readonly Person[]> {
  const { rows } = await db.query<{ id: number; username: string }>(
    `insert into account_user (username, name) select 'bench' || n, 'Somebody' from generate_series(1, $1::int) n
     returning id, username`,
    [count],
  );
  return rows.map(({ id, username }) => ({ id, username, role: "user" as const }));
}

/** Public rooms; `members` are in all of them. */
export async function addRooms(
  db: Db,
  count: number,
  members: readonly Person[] = [],
): Promise<readonly number[]> {
  const { rows } = await db.query<{ id: number }>(
    `insert into chat_room (kind, name, members) select 'public', 'bench ' || n, $2::int from generate_series(1, $1::int) n
     returning id`,
    [count, members.length],
  );
  const roomIds = rows.map(({ id }) => id);
  await db.query(
    `insert into room_member (room_id, user_id, role, joined_at, last_read_seq)
     select r.id, u.id, 'member', now(), 0 from unnest($1::bigint[]) r(id) cross join unnest($2::bigint[]) u(id)`,
    [roomIds, members.map(({ id }) => id)],
  );
  return roomIds;
}

/** An access token for each, as the server makes them, good for its usual time from now on. */
export function signIn(people: readonly Person[]): Promise<readonly string[]> {
  const tokens = createAccessTokens(jwtSecret, systemClock);
  return Promise.all(people.map((person) => tokens.issue(person, randomUUID())));
}
