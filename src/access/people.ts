import type { Queryable } from "../lib/db.ts";

/** The names of people, by their ids; also of those who can no longer sign in. Ids that nobody has are left out. */
export async function usernamesOf(
  db: Queryable,
  ids: readonly number[],
): Promise<ReadonlyMap<number, string>> {
  const names = await namesOf(db, ids);
  return new Map([...names].map(([id, { username }]) => [id, username]));
}

/** What somebody is called: by the server, and as they want it. */
export type Names = { readonly username: string; readonly name: string };

/** Both names of people, by their ids; also of those who can no longer sign in. */
export async function namesOf(db: Queryable, ids: readonly number[]): Promise<ReadonlyMap<number, Names>> {
  if (ids.length === 0) return new Map();
  const { rows } = await db.query<Names & { readonly id: number }>(
    "select id, username, name from account_user where id = any($1::bigint[])",
    [[...new Set(ids)]],
  );
  return new Map(rows.map(({ id, username, name }) => [id, { username, name }]));
}

/** Those of these people who can still sign in. */
export async function activeAmong(db: Queryable, ids: readonly number[]): Promise<ReadonlySet<number>> {
  if (ids.length === 0) return new Set();
  const { rows } = await db.query<{ id: number }>(
    "select id from account_user where id = any($1::bigint[]) and disabled_at is null",
    [[...new Set(ids)]],
  );
  return new Set(rows.map(({ id }) => id));
}
