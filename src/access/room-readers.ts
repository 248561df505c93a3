import { generalRoomId } from "../../protocol/chat.ts";
import { type Queryable, arrayLiteral } from "../lib/db.ts";

/** Somebody by id, or by what may be a username; of a room's readers only, if it names one. */
export type Wanted = { readonly who: number | string; readonly roomId: number | null };

/** Names what is wanted in a map. */
export function wantedKey({ who, roomId }: Wanted): string {
  return `${roomId ?? ""} ${typeof who === "number" ? "#" : "@"}${who}`;
}

/**
 * The ids of those of these people who can still sign in and, where a room is named, are members of it, by `wantedKey`.
 * The room that is everybody's needs no membership. One statement, however many there are.
 */
export async function readersAmong(
  db: Queryable,
  wanted: readonly Wanted[],
): Promise<ReadonlyMap<string, number>> {
  if (wanted.length === 0) return new Map();
  const ids = wanted.flatMap(({ who, roomId }) => (typeof who === "number" ? [{ who, roomId }] : []));
  const names = wanted.flatMap(({ who, roomId }) => (typeof who === "string" ? [{ who, roomId }] : []));
  // Not prepared: a plan made for small tables would read all of them when they have grown.
  const { rows } = await db.query<{ id: number; username: string | null; room_id: number | null }>(
    `select k.id, k.username, k.room_id
       from (select u.id, u.disabled_at, null as username, n.room_id
               from unnest($1::bigint[], $2::bigint[]) n(id, room_id) join account_user u on u.id = n.id
              union all
             select u.id, u.disabled_at, n.username, n.room_id
               from unnest($3::text[], $4::bigint[]) n(username, room_id)
               join account_user u on u.username = n.username) k
      where k.disabled_at is null
        and (k.room_id is null or k.room_id = $5
             or exists (select from room_member m where m.room_id = k.room_id and m.user_id = k.id))`,
    [
      arrayLiteral(ids.map(({ who }) => who)),
      arrayLiteral(ids.map(({ roomId }) => roomId ?? "null")),
      names.map(({ who }) => who),
      arrayLiteral(names.map(({ roomId }) => roomId ?? "null")),
      generalRoomId,
    ],
  );
  return new Map(
    rows.map(({ id, username, room_id: roomId }) => [wantedKey({ who: username ?? id, roomId }), id]),
  );
}
