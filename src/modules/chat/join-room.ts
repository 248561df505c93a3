import { type MyRoom, generalRoomId } from "../../../protocol/chat.ts";
import { type UserActor, actorName } from "../../access/actor.ts";
import { findMember, removeMember } from "../../access/membership.ts";
import { AppError } from "../../lib/errors.ts";
import type { CommandDeps } from "./create-room.ts";
import { roomEntry, userEntry } from "./entries.ts";
import { admit, countMembers } from "./members.ts";
import { refuseGeneral, requireGroup, requireOtherOwner, takeHold } from "./rights.ts";
import { toMyRooms } from "./rooms.ts";

/** Makes the caller a member of a public room, or leaves them what they are. */
export async function joinRoom(deps: CommandDeps, actor: UserActor, roomId: number): Promise<MyRoom> {
  const { db, eventlog, clock } = deps;
  return db.transaction(async (tx) => {
    const { room, mine } = await takeHold(tx, actor, roomId);
    if (mine === undefined && room.kind !== "public") {
      throw new AppError("forbidden", { detail: "nobody joins a private room: its members add others" });
    }
    const cause = { actor: actorName(actor), joinedAt: new Date(clock.now()) };
    const newcomer = { userId: actor.id, username: actor.username, role: "member" } as const;
    const { members, entries } =
      mine === undefined ? await admit(tx, room, [newcomer], cause) : { members: [mine], entries: [] };
    const [view] = await toMyRooms(tx, members, new Map([[roomId, room]]));
    if (view === undefined) throw new Error("who joined is not a member");
    await eventlog.appendIn(tx, entries);
    return view;
  });
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
    const { room, mine } = await takeHold(tx, actor, roomId);
    if (mine === undefined) throw new AppError("not_found", { detail: "you are not a member of this room" });
    requireGroup(room);
    refuseGeneral(room, "this room is everybody's: nobody leaves it");
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
