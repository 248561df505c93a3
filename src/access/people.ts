import type { Queryable } from "../lib/db.ts";

/** The names of people, by their ids; also of those who can no longer sign in. Ids that nobody has are left out. */
export async function usernamesOf(
  db: Queryable,
  ids: readonly number[],
): Promise<ReadonlyMap<number, string>> {
  return readUsernames(db, "select id, username from account_user where id = any($1::bigint[])", ids);
}

/** The same, without those who can no longer sign in. */
export async function activeUsernamesOf(
  db: Queryable,
  ids: readonly number[],
): Promise<ReadonlyMap<number, string>> {
  return readUsernames(
    db,
    "select id, username from account_user where id = any($1::bigint[]) and disabled_at is null",
    ids,
  );
}

async function readUsernames(
  db: Queryable,
  text: string,
  ids: readonly number[],
): Promise<ReadonlyMap<number, string>> {
  if (ids.length === 0) return new Map();
  const { rows } = await db.query<{ id: number; username: string }>(text, [[...new Set(ids)]]);
  return new Map(rows.map(({ id, username }) => [id, username]));
}
