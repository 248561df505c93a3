import type { RoomRole } from "../../protocol/chat.ts";
import { limits } from "../../protocol/limits.ts";
import type { Queryable, Tx } from "../lib/db.ts";
import { AppError } from "../lib/errors.ts";

/**
 * Who is in which room, and as what: the only place that reads and writes `room_member`. Whoever adds, removes or
 * changes members holds the lock of the room's row (`chat_room`), so that of one room all of it happens one after the
 * other, messages included.
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

type MemberRow = {
  readonly room_id: number;
  readonly user_id: number;
  readonly role: RoomRole;
  readonly joined_at: Date;
  readonly last_read_seq: number;
};

const columns = "m.room_id, m.user_id, m.role, m.joined_at, m.last_read_seq";

function toMembership(row: MemberRow): Membership {
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
    `select ${columns} from room_member m where room_id = $1 and user_id = $2 ${keep ? "for key share" : ""}`,
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
    `select ${columns} from unnest($1::bigint[], $2::bigint[]) k(room_id, user_id)
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
): Promise<readonly (Membership & { readonly username: string })[]> {
  const { rows } = await db.query<MemberRow & { readonly username: string }>(
    `select ${columns}, u.username
       from (select * from room_member where room_id = $1 and user_id > $2 order by user_id limit $3) m
       join account_user u on u.id = m.user_id order by m.user_id`,
    [roomId, page.after, page.limit],
  );
  return rows.map((row) => ({ ...toMembership(row), username: row.username }));
}

/** Rooms of a person by id, those that come after one. */
export async function roomsOfUser(
  db: Queryable,
  userId: number,
  page: { readonly after: number; readonly limit: number },
): Promise<readonly Membership[]> {
  const { rows } = await db.query<MemberRow>(
    `select ${columns} from room_member m where user_id = $1 and room_id > $2 order by room_id limit $3`,
    [userId, page.after, page.limit],
  );
  return rows.map(toMembership);
}

/** Owners of a room, at most two of them: whether somebody is the last one. */
export async function ownersOfRoom(tx: Tx, roomId: number): Promise<readonly number[]> {
  const { rows } = await tx.query<{ user_id: number }>(
    "select user_id from room_member where room_id = $1 and role = 'owner' limit 2",
    [roomId],
  );
  return rows.map(({ user_id: userId }) => userId);
}

export type NewMember = Pair & { readonly role: RoomRole; readonly lastReadSeq: number };

/**
 * Makes people members; resolves with those who were none before. Unless `unlimited`, throws `conflict` when one of
 * them is in as many rooms as anybody may be.
 */
export async function addMembers(
  tx: Tx,
  members: readonly NewMember[],
  { joinedAt, unlimited = false }: { readonly joinedAt: Date; readonly unlimited?: boolean },
): Promise<readonly Membership[]> {
  if (members.length === 0) return [];
  const { rows } = await tx.query<MemberRow>(
    `insert into room_member as m (room_id, user_id, role, last_read_seq, joined_at)
     select room_id, user_id, role, last_read_seq, $5 from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[])
            n(room_id, user_id, role, last_read_seq)
     on conflict do nothing returning ${columns}`,
    [
      ...columnsOf(members),
      members.map(({ role }) => role),
      arrayLiteral(members.map(({ lastReadSeq }) => lastReadSeq)),
      joinedAt,
    ],
  );
  const userIds = rows.map(({ user_id: userId }) => userId);
  if (!unlimited) await refuseTooManyRooms(tx, userIds);
  return rows.map(toMembership);
}

/** Counts once the rows are there and nobody else counts for the same people, so that two at a time see each other. */
async function refuseTooManyRooms(tx: Tx, userIds: readonly number[]): Promise<void> {
  const sorted = arrayLiteral(userIds.toSorted((a, b) => a - b));
  await tx.query(
    "select pg_advisory_xact_lock(hashtextextended('room_member', id)) from unnest($1::bigint[]) id",
    [sorted],
  );
  const { rows } = await tx.query<{ user_id: number }>(
    `select user_id from room_member where user_id = any($1::bigint[])
      group by user_id having count(*) > $2 limit 1`,
    [sorted, limits.roomsPerUser],
  );
  const full = rows[0];
  if (full === undefined) return;
  throw new AppError("conflict", {
    detail: `person ${full.user_id} is in ${limits.roomsPerUser} rooms: nobody may be in more`,
  });
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
      where m.room_id = k.room_id and m.user_id = k.user_id and m.last_read_seq < k.seq returning ${columns}`,
    [...columnsOf(marks), arrayLiteral(marks.map(({ seq }) => seq))],
  );
  return rows.map(toMembership);
}

function columnsOf(pairs: readonly Pair[]): readonly [string, string] {
  return [arrayLiteral(pairs.map(({ roomId }) => roomId)), arrayLiteral(pairs.map(({ userId }) => userId))];
}

/** An array literal of numbers, which need no escaping. */
function arrayLiteral(values: readonly number[]): string {
  return `{${values.join(",")}}`;
}
