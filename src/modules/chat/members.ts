import { type Member, generalRoomId } from "../../../protocol/chat.ts";
import { limits } from "../../../protocol/limits.ts";
import { type Membership, type NewMember, addMembers, tooManyRooms } from "../../access/membership.ts";
import { type Names, namesOf } from "../../access/people.ts";
import type { NewEntry } from "../../eventlog/eventlog.ts";
import type { Tx } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";
import { type Cause, roomEntry, userEntry } from "./entries.ts";
import { type RoomState, namesIn, toMyRooms } from "./rooms.ts";

export type Admitted = { readonly members: readonly Membership[]; readonly entries: readonly NewEntry[] };

/** Somebody who is to be a member. */
export type Newcomer = Pick<NewMember, "userId" | "role" | "joinedBy"> & {
  /** Where the request names them, if somebody else is to put them there. */
  readonly place?: string | undefined;
  /** Who caused it, where that is not who caused the rest. */
  readonly actor?: string | undefined;
};

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
): Promise<Admitted> {
  const members = await addMembers(
    tx,
    newcomers.map((newcomer) => ({ ...newcomer, roomId: room.id, lastReadSeq: room.lastSeq })),
    joinedAt,
  );
  if (members.length === 0) return { members, entries: [] };
  if (room.id !== generalRoomId) await refuseTooMany(tx, room, newcomers, members);
  await countMembers(tx, room.id, members.length);
  const names = await namesOf(
    tx,
    members.map(({ userId }) => userId),
  );
  const views = await toMyRooms(tx, members, new Map([[room.id, room]]));
  const actors = new Map(newcomers.map((newcomer) => [newcomer.userId, newcomer.actor]));
  const entries = members.flatMap((membership, i) => {
    const cause = { actor: actors.get(membership.userId) ?? actor };
    const member = toMember(membership, namesIn(names, membership.userId));
    const view = views[i];
    return [
      roomEntry(cause, room.id, "member.added", { room_id: room.id, member }),
      ...(view === undefined ? [] : [userEntry(cause, membership.userId, "room.joined", { my_room: view })]),
    ];
  });
  return { members, entries };
}

async function refuseTooMany(
  tx: Tx,
  room: RoomState,
  newcomers: readonly Newcomer[],
  added: readonly Membership[],
): Promise<void> {
  if (room.members + added.length > limits.roomMembers) {
    throw new AppError("conflict", { detail: `a room has at most ${limits.roomMembers} members` });
  }
  const ids = new Set(added.map(({ userId }) => userId));
  const full = await tooManyRooms(
    tx,
    newcomers.filter(({ userId }) => ids.has(userId)),
  );
  const who = newcomers.find(({ userId }) => userId === full);
  if (who === undefined) return;
  if (who.joinedBy === "self") {
    throw new AppError("conflict", {
      detail: `you are in ${limits.roomsPerUser} rooms by your own doing: leave one first`,
    });
  }
  // How many rooms somebody is in is nobody else's business.
  const { place } = who;
  throw new AppError("conflict", {
    detail: `person ${who.userId} cannot be added`,
    ...(place === undefined
      ? {}
      : { fields: [{ pointer: place, code: "not_addable", detail: "cannot be added" }] }),
  });
}

/** Keeps the room's number of members what `room_member` says. */
export async function countMembers(tx: Tx, roomId: number, change: number): Promise<void> {
  await tx.query("update chat_room set members = members + $2 where id = $1", [roomId, change]);
}

export function toMember({ userId, role, joinedAt }: Membership, { username, name }: Names): Member {
  return { user_id: userId, username, name, role, joined_at: joinedAt.toISOString() };
}
