import type { MyRoom, Room, RoomKind } from "../../../protocol/chat.ts";
import { type MemberRow, type Membership, memberColumns, toMembership } from "../../access/membership.ts";
import { type Names, namesOf } from "../../access/people.ts";
import type { Queryable, Tx } from "../../lib/db.ts";

/** A row of `chat_room`. */
export type RoomState = {
  readonly id: number;
  readonly kind: RoomKind;
  readonly name: string | null;
  /** The two people of a direct room. */
  readonly pair: readonly [number, number] | undefined;
  readonly lastSeq: number;
  readonly members: number;
  readonly createdAt: Date;
};

export type RoomRow = {
  readonly id: number;
  readonly kind: RoomKind;
  readonly name: string | null;
  readonly direct_key: string | null;
  readonly last_seq: number;
  readonly members: number;
  readonly created_at: Date;
};

export const roomColumns = "id, kind, name, direct_key, last_seq, members, created_at";

export function toRoomState(row: RoomRow): RoomState {
  return {
    id: row.id,
    kind: row.kind,
    name: row.name,
    pair: row.direct_key === null ? undefined : pairOf(row.direct_key),
    lastSeq: row.last_seq,
    members: row.members,
    createdAt: row.created_at,
  };
}

/** The key of the direct room of two people, whoever of them asks. */
export function directKey(a: number, b: number): string {
  return `${Math.min(a, b)}:${Math.max(a, b)}`;
}

function pairOf(key: string): readonly [number, number] {
  const [low, high] = key.split(":");
  return [Number(low), Number(high)];
}

/** As clients see it. */
export function toRoom({ id, kind, name, createdAt, lastSeq }: RoomState): Room {
  return { id, kind, name, created_at: createdAt.toISOString(), last_seq: lastSeq };
}

/** The rooms of these ids, by id; those that are not there are left out. */
export async function findRooms(
  db: Queryable,
  ids: readonly number[],
): Promise<ReadonlyMap<number, RoomState>> {
  const { rows } = await db.query<RoomRow>(
    `select ${roomColumns} from chat_room where id = any($1::bigint[])`,
    [ids],
    { name: "chat_find_rooms" },
  );
  return new Map(rows.map((row) => [row.id, toRoomState(row)]));
}

/** A room, and what somebody is to it: both as they were at the same moment, so that they fit each other. */
export type RoomAndMine = { readonly room: RoomState | undefined; readonly mine: Membership | undefined };

type RoomAndMineRow = RoomRow & { readonly [K in keyof MemberRow]: MemberRow[K] | null };

const roomAndMine = `select ${roomColumns}, ${memberColumns}
  from chat_room r left join room_member m on m.room_id = r.id and m.user_id = $2`;

/** A room, and what this person is to it; nobody in particular is no member anywhere. */
export async function findRoomFor(
  db: Queryable,
  { roomId, userId }: { readonly roomId: number; readonly userId: number | undefined },
): Promise<RoomAndMine> {
  const { rows } = await db.query<RoomAndMineRow>(
    `${roomAndMine} where r.id = $1`,
    [roomId, userId ?? null],
    { name: "chat_find_room_for" },
  );
  return toRoomAndMine(rows[0]);
}

/** The direct room of this key. */
export async function findDirectFor(db: Queryable, key: string, userId: number): Promise<RoomAndMine> {
  const { rows } = await db.query<RoomAndMineRow>(`${roomAndMine} where r.direct_key = $1`, [key, userId], {
    name: "chat_find_direct_for",
  });
  return toRoomAndMine(rows[0]);
}

/** Rooms of a person by id, those that come after one. */
export async function findRoomsOf(
  db: Queryable,
  userId: number,
  page: { readonly after: number; readonly limit: number },
): Promise<readonly { readonly room: RoomState; readonly mine: Membership }[]> {
  const { rows } = await db.query<RoomRow & MemberRow>(
    `select ${roomColumns}, ${memberColumns}
       from (select * from room_member where user_id = $1 and room_id > $2 order by room_id limit $3) m
       join chat_room r on r.id = m.room_id order by m.room_id`,
    [userId, page.after, page.limit],
  );
  return rows.map((row) => ({ room: toRoomState(row), mine: toMembership(row) }));
}

function toRoomAndMine(row: RoomAndMineRow | undefined): RoomAndMine {
  if (row === undefined) return { room: undefined, mine: undefined };
  return { room: toRoomState(row), mine: isMember(row) ? toMembership(row) : undefined };
}

function isMember(row: RoomAndMineRow): row is RoomRow & MemberRow {
  return row.user_id !== null;
}

/**
 * The rooms of these ids, locked until the transaction ends, in the order of their ids so that nobody waits in a circle. Every change
 * of a room, of its members and of its sequence of messages holds this lock. What was read before it may be outdated.
 */
export async function lockRooms(tx: Tx, ids: readonly number[]): Promise<ReadonlyMap<number, RoomState>> {
  const { rows } = await tx.query<RoomRow>(
    `select ${roomColumns} from chat_room where id = any($1::bigint[]) order by id for no key update`,
    [ids],
    { name: "chat_lock_rooms" },
  );
  return new Map(rows.map((row) => [row.id, toRoomState(row)]));
}

/** Rooms as their members see them: each membership with its room, in the order of the memberships. */
export async function toMyRooms(
  db: Queryable,
  memberships: readonly Membership[],
  rooms: ReadonlyMap<number, RoomState>,
): Promise<readonly MyRoom[]> {
  const peerOf = ({ userId, roomId }: Membership): number | undefined =>
    rooms.get(roomId)?.pair?.find((id) => id !== userId);
  const names = await namesOf(
    db,
    memberships.map(peerOf).filter((id) => id !== undefined),
  );
  return memberships.flatMap((membership) => {
    const room = rooms.get(membership.roomId);
    if (room === undefined) return [];
    const peer = peerOf(membership);
    return [toMyRoom(membership, room, peer === undefined ? undefined : [peer, namesIn(names, peer)])];
  });
}

/** The names of somebody who is a member: there is nobody without. */
export function namesIn(names: ReadonlyMap<number, Names>, userId: number): Names {
  const found = names.get(userId);
  if (found === undefined) throw new Error(`person ${userId} is a member and has no name`);
  return found;
}

/** One of them; `peer` is the id and the names of the other one of a direct room. */
export function toMyRoom(
  { role, lastReadSeq, joinedAt }: Membership,
  room: RoomState,
  peer: readonly [number, Names] | undefined,
): MyRoom {
  return {
    room: toRoom(room),
    role,
    last_read_seq: lastReadSeq,
    unread: room.lastSeq - lastReadSeq,
    joined_at: joinedAt.toISOString(),
    peer: peer === undefined ? null : { user_id: peer[0], ...peer[1] },
  };
}
