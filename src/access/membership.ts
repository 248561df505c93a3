import type { RoomRole } from "../../protocol/chat.ts";
import { limits } from "../../protocol/limits.ts";
import { type Queryable, type Tx, arrayLiteral } from "../lib/db.ts";
import type { Names } from "./people.ts";

/**
 * Who is in which room, and as what: the only place that writes `room_member`. Whoever adds, removes or changes members
 * holds the lock of the room's row (`chat_room`), so that of one room all of it happens one after the other, messages
 * included. A read mark belongs to the room's last seq: who shows both reads them with one statement, by
 * `memberColumns` and `toMembership`, for of two statements the first may be outdated when the second is made.
 */

export type Membership = {
  readonly roomId: number;
  readonly userId: number;
  readonly role: RoomRole;
  readonly joinedAt: Date;
  /** Everything up to here is read. Never moves back while the membership lasts. */
  readonly lastReadSeq: number;
};

export type Pair = { readonly roomId: number; readonly userId: number };

export type MemberRow = {
  readonly room_id: number;
  readonly user_id: number;
  readonly role: RoomRole;
  readonly joined_at: Date;
  readonly last_read_seq: number;
};

/** Of `room_member m`. */
export const memberColumns = "m.room_id, m.user_id, m.role, m.joined_at, m.last_read_seq";

export function toMembership(row: MemberRow): Membership {
  return {
    roomId: row.room_id,
    userId: row.user_id,
    role: row.role,
    joinedAt: row.joined_at,
    lastReadSeq: row.last_read_seq,
  };
}

/** Names a pair in a map. */
export function pairKey({ roomId, userId }: Pair): string {
  return `${roomId} ${userId}`;
}

/** With `keep`, the membership lasts until the transaction ends: whoever would end it waits. */
export async function findMember(
  db: Queryable,
  { roomId, userId }: Pair,
  { keep = false } = {},
): Promise<Membership | undefined> {
  const { rows } = await db.query<MemberRow>(
    `select ${memberColumns} from room_member m where room_id = $1 and user_id = $2 ${keep ? "for key share" : ""}`,
    [roomId, userId],
    { name: keep ? "room_member_keep" : "room_member_find" },
  );
  return rows[0] === undefined ? undefined : toMembership(rows[0]);
}

/** The memberships among these pairs, by `pairKey`. */
export async function membersAmong(
  db: Queryable,
  pairs: readonly Pair[],
): Promise<ReadonlyMap<string, Membership>> {
  if (pairs.length === 0) return new Map();
  // Not prepared: a plan made for a small table would read all of it when it has grown.
  const { rows } = await db.query<MemberRow>(
    `select ${memberColumns} from unnest($1::bigint[], $2::bigint[]) k(room_id, user_id)
       join room_member m on m.room_id = k.room_id and m.user_id = k.user_id`,
    columnsOf(pairs),
  );
  return new Map(
    rows.map((row) => [pairKey({ roomId: row.room_id, userId: row.user_id }), toMembership(row)]),
  );
}

/** Members of a room by id, those who come after one, with their names. */
export async function membersOfRoom(
  db: Queryable,
  roomId: number,
  page: { readonly after: number; readonly limit: number },
): Promise<readonly (Membership & Names)[]> {
  const { rows } = await db.query<MemberRow & Names>(
    `select ${memberColumns}, u.username, u.name
       from (select * from room_member where room_id = $1 and user_id > $2 order by user_id limit $3) m
       join account_user u on u.id = m.user_id order by m.user_id`,
    [roomId, page.after, page.limit],
  );
  return rows.map((row) => ({ ...toMembership(row), username: row.username, name: row.name }));
}

/** Owners of a room, at most two of them: whether somebody is the last one. */
export async function ownersOfRoom(tx: Tx, roomId: number): Promise<readonly number[]> {
  const { rows } = await tx.query<{ user_id: number }>(
    "select user_id from room_member where room_id = $1 and role = 'owner' limit 2",
    [roomId],
  );
  return rows.map(({ user_id: userId }) => userId);
}

/**
 * How somebody came to be in a room: `self` made or joined it, `others` have put them there, `peer` is one of the two of a
 * direct room.
 */
export type JoinedBy = "self" | "others" | "peer";

export type NewMember = Pair & {
  readonly role: RoomRole;
  readonly lastReadSeq: number;
  readonly joinedBy: JoinedBy;
};

/** Makes people members; resolves with those who were none before. */
export async function addMembers(
  tx: Tx,
  members: readonly NewMember[],
  joinedAt: Date,
): Promise<readonly Membership[]> {
  if (members.length === 0) return [];
  const { rows } = await tx.query<MemberRow>(
    `insert into room_member as m (room_id, user_id, role, last_read_seq, joined_by, joined_at)
     select room_id, user_id, role, last_read_seq, joined_by, $6
       from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[])
            n(room_id, user_id, role, last_read_seq, joined_by)
     on conflict do nothing returning ${memberColumns}`,
    [
      ...columnsOf(members),
      members.map(({ role }) => role),
      arrayLiteral(members.map(({ lastReadSeq }) => lastReadSeq)),
      members.map(({ joinedBy }) => joinedBy),
      joinedAt,
    ],
  );
  return rows.map(toMembership);
}

/**
 * The first of these people who is in more rooms than they may, by what they have done themselves or by what others have
 * done to them; undefined when there is none. Counts once the rows are there and nobody else counts for the same people,
 * so that two at a time see each other. What makes somebody a `peer` is not counted: nobody can help being written to, and
 * nobody leaves a direct room, so who had opened as many as they may could never do anything again.
 */
export async function tooManyRooms(
  tx: Tx,
  people: readonly Pick<NewMember, "userId" | "joinedBy">[],
): Promise<number | undefined> {
  const counted = people.filter(({ joinedBy }) => joinedBy !== "peer");
  if (counted.length === 0) return undefined;
  const ids = counted.map(({ userId }) => userId);
  // In the order of their ids, so that nobody waits in a circle.
  await tx.query(
    "select pg_advisory_xact_lock(hashtextextended('room_member', id)) from unnest($1::bigint[]) id",
    [arrayLiteral(ids.toSorted((a, b) => a - b))],
  );
  const { rows } = await tx.query<{ user_id: number }>(
    `select n.user_id from unnest($1::bigint[], $2::text[]) with ordinality n(user_id, joined_by, place)
      where (select count(*) from room_member m where m.user_id = n.user_id and m.joined_by = n.joined_by)
            > case n.joined_by when 'self' then $3::int else $4::int end
      order by n.place limit 1`,
    [arrayLiteral(ids), counted.map(({ joinedBy }) => joinedBy), limits.roomsPerUser, limits.roomsByOthers],
  );
  return rows[0]?.user_id;
}

/** False when they were no member. */
export async function removeMember(tx: Tx, { roomId, userId }: Pair): Promise<boolean> {
  const { rowCount } = await tx.query("delete from room_member where room_id = $1 and user_id = $2", [
    roomId,
    userId,
  ]);
  return rowCount > 0;
}

export async function setRole(tx: Tx, { roomId, userId }: Pair, role: RoomRole): Promise<void> {
  await tx.query("update room_member set role = $3 where room_id = $1 and user_id = $2", [
    roomId,
    userId,
    role,
  ]);
}

/** Moves read marks forward, never back; resolves with those that moved. One mark for each pair. */
export async function advanceReadMarks(
  tx: Tx,
  marks: readonly (Pair & { readonly seq: number })[],
): Promise<readonly Membership[]> {
  if (marks.length === 0) return [];
  // Not prepared, as above.
  const { rows } = await tx.query<MemberRow>(
    `update room_member m set last_read_seq = k.seq
       from unnest($1::bigint[], $2::bigint[], $3::bigint[]) k(room_id, user_id, seq)
      where m.room_id = k.room_id and m.user_id = k.user_id and m.last_read_seq < k.seq returning ${memberColumns}`,
    [...columnsOf(marks), arrayLiteral(marks.map(({ seq }) => seq))],
  );
  return rows.map(toMembership);
}

function columnsOf(pairs: readonly Pair[]): readonly [string, string] {
  return [arrayLiteral(pairs.map(({ roomId }) => roomId)), arrayLiteral(pairs.map(({ userId }) => userId))];
}
