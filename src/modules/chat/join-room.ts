import { type MyRoom, generalRoomId } from "../../../protocol/chat.ts";
import { type UserActor, actorName } from "../../access/actor.ts";
import { type Membership, findMember, removeMember } from "../../access/membership.ts";
import type { Tx } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";
import type { CommandDeps } from "./create-room.ts";
import { roomEntry, userEntry } from "./entries.ts";
import { admit, countMembers } from "./members.ts";
import { type Standing, refuseGeneral, requireGroup, requireOtherOwner, takeHold } from "./rights.ts";
import { toMyRooms } from "./rooms.ts";

/**
 * Makes the caller a member of a public room, or leaves them what they are. Who joins one that everybody has left owns
 * it, or it would be nobody's for ever.
 */
export async function joinRoom(deps: CommandDeps, actor: UserActor, roomId: number): Promise<MyRoom> {
  const { db, eventlog, clock } = deps;
  return db.transaction(async (tx) => {
    const { room, mine } = await takeHold(tx, actor, roomId, (standing) => {
      if (standing.mine === undefined && standing.room.kind !== "public")
        throw new AppError("forbidden", { detail: "nobody joins a private room: its members add others" });
    });
    const cause = { actor: actorName(actor), joinedAt: new Date(clock.now()) };
    const role = room.members === 0 && (await wasMadeByPerson(tx, roomId)) ? "owner" : "member";
    const newcomer = { userId: actor.id, role, joinedBy: "self" } as const;
    const { members, entries } =
      mine === undefined ? await admit(tx, room, [newcomer], cause) : { members: [mine], entries: [] };
    const [view] = await toMyRooms(tx, members, new Map([[roomId, room]]));
    if (view === undefined) throw new Error("who joined is not a member");
    await eventlog.appendIn(tx, entries);
    return view;
  });
}

/** The rooms that programs make, and the one that is everybody's, are theirs to look after. */
async function wasMadeByPerson(tx: Tx, roomId: number): Promise<boolean> {
  const { rowCount } = await tx.query("select from chat_room where id = $1 and created_by is not null", [
    roomId,
  ]);
  return rowCount > 0;
}

/** Makes the caller a member of the room that is everybody's, if this is it and they are none yet. */
export async function useRoom(deps: CommandDeps, actor: UserActor, roomId: number): Promise<void> {
  if (roomId !== generalRoomId) return;
  if ((await findMember(deps.db, { roomId, userId: actor.id })) === undefined)
    await joinRoom(deps, actor, roomId);
}

/** Ends the caller's membership. Throws `conflict` for the last owner while others are there. */
export async function leaveRoom(deps: CommandDeps, actor: UserActor, roomId: number): Promise<void> {
  const { db, eventlog } = deps;
  await db.transaction(async (tx) => {
    const held = await takeHold(tx, actor, roomId, (standing) => {
      requireMine(standing);
      requireGroup(standing.room);
      refuseGeneral(standing.room, "this room is everybody's: nobody leaves it");
    });
    const { room, mine } = requireMine(held);
    if (mine.role === "owner" && room.members > 1) await requireOtherOwner(tx, room);
    await removeMember(tx, mine);
    await countMembers(tx, roomId, -1);
    const cause = { actor: actorName(actor) };
    await eventlog.appendIn(tx, [
      roomEntry(cause, roomId, "member.removed", { room_id: roomId, user_id: actor.id }),
      userEntry(cause, actor.id, "room.left", { room_id: roomId }),
    ]);
  });
}

function requireMine(standing: Standing): Standing & { readonly mine: Membership } {
  const { mine } = standing;
  if (mine === undefined) throw new AppError("not_found", { detail: "you are not a member of this room" });
  return { ...standing, mine };
}
