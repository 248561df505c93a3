import type { Room } from "../../../protocol/chat.ts";
import { type Actor, actorName } from "../../access/actor.ts";
import type { CommandDeps } from "./create-room.ts";
import { roomEntry } from "./entries.ts";
import { ranks, refuseGeneral, requireGroup, requireRank, takeHold } from "./rights.ts";
import { toRoom } from "./rooms.ts";

/** An owner's to do. The name that it has already changes nothing. */
export async function renameRoom(
  { db, eventlog }: CommandDeps,
  actor: Actor,
  { roomId, name: wanted }: { readonly roomId: number; readonly name: string },
): Promise<Room> {
  const name = wanted.trim();
  return db.transaction(async (tx) => {
    const held = await takeHold(tx, actor, roomId, (standing) => {
      requireGroup(standing.room);
      requireRank(standing, ranks.owner, "only an owner renames the room");
      refuseGeneral(standing.room, "this room keeps its name: clients of the plain form know it by that");
    });
    const room = toRoom({ ...held.room, name });
    if (held.room.name === name) return room;
    await tx.query("update chat_room set name = $2 where id = $1", [roomId, name]);
    await eventlog.appendIn(tx, [roomEntry({ actor: actorName(actor) }, roomId, "room.changed", { room })]);
    return room;
  });
}
