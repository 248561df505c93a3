import { type RoomRole, generalRoomId } from "../../../protocol/chat.ts";
import { type Actor, hasScope } from "../../access/actor.ts";
import { type Membership, ownersOfRoom } from "../../access/membership.ts";
import type { Queryable, Tx } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";
import { type RoomAndMine, type RoomState, findRoomFor, lockRooms } from "./rooms.ts";

/** How much somebody may do in a room: each rank may do what the ranks below it may. */
export const ranks = { stranger: 0, member: 1, moderator: 2, owner: 3, manager: 4 } as const;

/** What an actor is to a room. */
export type Standing = {
  readonly room: RoomState;
  /** `manager` is who has the scope `chat:manage`, a member or not. */
  readonly rank: number;
  readonly mine: Membership | undefined;
};

export function rankOf(role: RoomRole | undefined): number {
  return role === undefined ? ranks.stranger : ranks[role];
}

/** What the actor is to the room. Throws `not_found` for a room that they may not see: that it is there is part of it. */
export function standing(actor: Actor, roomId: number, { room, mine }: RoomAndMine): Standing {
  const manages = hasScope(actor, "chat:manage");
  const open = room?.kind === "public" && actor.kind === "user";
  if (room === undefined || !(open || manages || mine !== undefined)) throw noSuchRoom(roomId);
  return { room, rank: manages ? ranks.manager : rankOf(mine?.role), mine };
}

export function noSuchRoom(roomId: number): AppError {
  return new AppError("not_found", { detail: `there is no room ${roomId} that you may see` });
}

/** For reading: the room and the membership are of the same moment. */
export async function lookAt(db: Queryable, actor: Actor, roomId: number): Promise<Standing> {
  const userId = actor.kind === "user" ? actor.id : undefined;
  return standing(actor, roomId, await findRoomFor(db, { roomId, userId }));
}

/**
 * For changing the room or its members: from here on nobody else does. `refuse` throws for those who may not. It is asked
 * before the lock, since the room's messages wait for that one and nobody lengthens their queue who may not do a thing,
 * and again under it, where what it is told stays true.
 */
export async function takeHold(
  tx: Tx,
  actor: Actor,
  roomId: number,
  refuse: (standing: Standing) => void,
): Promise<Standing> {
  refuse(await lookAt(tx, actor, roomId));
  await lockRooms(tx, [roomId]);
  const held = await lookAt(tx, actor, roomId);
  refuse(held);
  return held;
}

/** Throws `forbidden` unless they are at least this, as the sentence says. */
export function requireRank({ rank }: Standing, least: number, what: string): void {
  if (rank < least) throw new AppError("forbidden", { detail: what });
}

/** Throws `conflict` for a direct room, which is of its two people for ever. */
export function requireGroup({ kind }: RoomState): void {
  if (kind !== "direct") return;
  throw new AppError("conflict", { detail: "a direct room is of these two people and stays so" });
}

/** Throws `conflict` for the room that is everybody's. */
export function refuseGeneral({ id }: RoomState, what: string): void {
  if (id === generalRoomId) throw new AppError("conflict", { detail: what });
}

export function joinFirst(): AppError {
  return new AppError("forbidden", { detail: "you are not a member of this room: join it first" });
}

/** Throws `conflict` unless the room has another owner beside the one who is about to be none. */
export async function requireOtherOwner(tx: Tx, { id }: RoomState): Promise<void> {
  if ((await ownersOfRoom(tx, id)).length > 1) return;
  throw new AppError("conflict", { detail: "the last owner hands over first: make somebody else an owner" });
}
