import type { MyRoom, Room, RoomKind } from "../../../protocol/chat.ts";
import type { Membership } from "../../access/membership.ts";
import { usernamesOf } from "../../access/people.ts";
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

/**
 * The same, locked until the transaction ends, in the order of their ids so that nobody waits in a circle. Every change
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
  const names = await usernamesOf(
    db,
    memberships.map(peerOf).filter((id) => id !== undefined),
  );
  return memberships.flatMap((membership) => {
    const room = rooms.get(membership.roomId);
    if (room === undefined) return [];
    const peer = peerOf(membership);
    return [toMyRoom(membership, room, peer === undefined ? undefined : [peer, names.get(peer) ?? ""])];
  });
}

/** One of them; `peer` is the id and the name of the other one of a direct room. */
export function toMyRoom(
  { role, lastReadSeq, joinedAt }: Membership,
  room: RoomState,
  peer: readonly [number, string] | undefined,
): MyRoom {
  return {
    room: toRoom(room),
    role,
    last_read_seq: lastReadSeq,
    unread: room.lastSeq - lastReadSeq,
    joined_at: joinedAt.toISOString(),
    peer: peer === undefined ? null : { user_id: peer[0], username: peer[1] },
  };
}
