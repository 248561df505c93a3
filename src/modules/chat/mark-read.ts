import type { ReadState } from "../../../protocol/chat.ts";
import { type UserActor, actorName } from "../../access/actor.ts";
import { type Membership, advanceReadMarks } from "../../access/membership.ts";
import type { CommandDeps } from "./create-room.ts";
import { userEntry } from "./entries.ts";
import { useRoom } from "./join-room.ts";
import { joinFirst, lookAt } from "./rights.ts";
import type { RoomState } from "./rooms.ts";

/** Moves the caller's read mark forward, to the room's last message at the most. One that is further already stays. */
export async function markRead(
  deps: CommandDeps,
  actor: UserActor,
  { roomId, seq }: { readonly roomId: number; readonly seq: number },
): Promise<ReadState> {
  const { db, eventlog } = deps;
  await useRoom(deps, actor, roomId);
  return db.transaction(async (tx) => {
    // Without the room's lock: its last seq only grows, and so does the mark.
    const seen = await lookAt(tx, actor, roomId);
    if (seen.mine === undefined) throw joinFirst();
    const wanted = Math.min(seq, seen.room.lastSeq);
    const [moved] = await advanceReadMarks(tx, [{ roomId, userId: actor.id, seq: wanted }]);
    if (moved !== undefined) {
      const state = stateOf(seen.room, moved);
      await eventlog.appendIn(tx, [userEntry({ actor: actorName(actor) }, actor.id, "room.read", state)]);
      return state;
    }
    // Further already; or meanwhile, by a message of the caller's own: then the room has gone on as well.
    const { room, mine } = seen.mine.lastReadSeq >= wanted ? seen : await lookAt(tx, actor, roomId);
    if (mine === undefined) throw joinFirst();
    return stateOf(room, mine);
  });
}

function stateOf({ id, lastSeq }: RoomState, { lastReadSeq }: Membership): ReadState {
  return { room_id: id, last_read_seq: lastReadSeq, unread: lastSeq - lastReadSeq };
}
