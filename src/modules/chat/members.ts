import { type Member, generalRoomId } from "../../../protocol/chat.ts";
import { limits } from "../../../protocol/limits.ts";
import { type Membership, type NewMember, addMembers } from "../../access/membership.ts";
import type { NewEntry } from "../../eventlog/eventlog.ts";
import type { Tx } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";
import { type Cause, roomEntry, userEntry } from "./entries.ts";
import { type RoomState, toMyRooms } from "./rooms.ts";

export type Added = { readonly members: readonly Membership[]; readonly entries: readonly NewEntry[] };

/** Somebody who is to be a member. */
export type Newcomer = Pick<NewMember, "userId" | "role"> & { readonly username: string };

/**
 * Makes people members of a room whose row is locked, and makes the entries that tell of it. What was written before
 * they came counts as read. Those who are members already stay what they are. Throws `conflict` where a bound is met;
 * the room that is everybody's has none.
 */
export async function admit(
  tx: Tx,
  room: RoomState,
  newcomers: readonly Newcomer[],
  { joinedAt, actor }: Cause & { readonly joinedAt: Date },
): Promise<Added> {
  const unlimited = room.id === generalRoomId;
  const members = await addMembers(
    tx,
    newcomers.map(({ userId, role }) => ({ roomId: room.id, userId, role, lastReadSeq: room.lastSeq })),
    { joinedAt, unlimited },
  );
  if (members.length === 0) return { members, entries: [] };
  if (!unlimited && room.members + members.length > limits.roomMembers) {
    throw new AppError("conflict", { detail: `a room has at most ${limits.roomMembers} members` });
  }
  await countMembers(tx, room.id, members.length);
  const names = new Map(newcomers.map(({ userId, username }) => [userId, username]));
  const views = await toMyRooms(tx, members, new Map([[room.id, room]]));
  const entries = members.flatMap((membership, i) => {
    const member = toMember(membership, names.get(membership.userId) ?? "");
    const view = views[i];
    return [
      roomEntry({ actor }, room.id, "member.added", { room_id: room.id, member }),
      ...(view === undefined
        ? []
        : [userEntry({ actor }, membership.userId, "room.joined", { my_room: view })]),
    ];
  });
  return { members, entries };
}

/** Keeps the room's number of members what `room_member` says. */
export async function countMembers(tx: Tx, roomId: number, change: number): Promise<void> {
  await tx.query("update chat_room set members = members + $2 where id = $1", [roomId, change]);
}

export function toMember({ userId, role, joinedAt }: Membership, username: string): Member {
  return { user_id: userId, username, role, joined_at: joinedAt.toISOString() };
}
