import type { ReadState } from "../../../protocol/chat.ts";
import { type UserActor, actorName } from "../../access/actor.ts";
import { advanceReadMarks, findMember } from "../../access/membership.ts";
import type { CommandDeps } from "./create-room.ts";
import { userEntry } from "./entries.ts";
import { useRoom } from "./join-room.ts";
import { joinFirst, lookAt } from "./rights.ts";

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
    const { room, mine } = await lookAt(tx, actor, roomId);
    if (mine === undefined) throw joinFirst();
    const wanted = Math.min(seq, room.lastSeq);
    const [moved] = await advanceReadMarks(tx, [{ roomId, userId: actor.id, seq: wanted }]);
    const now = moved ?? (mine.lastReadSeq >= wanted ? mine : await findMember(tx, mine));
    if (now === undefined) throw joinFirst();
    const state = stateOf(roomId, room.lastSeq, now.lastReadSeq);
    if (moved !== undefined)
      await eventlog.appendIn(tx, [userEntry({ actor: actorName(actor) }, actor.id, "room.read", state)]);
    return state;
  });
}

function stateOf(roomId: number, lastSeq: number, lastReadSeq: number): ReadState {
  // A message of the caller's own may have moved the mark past what was read of the room just before.
  return { room_id: roomId, last_read_seq: lastReadSeq, unread: Math.max(0, lastSeq - lastReadSeq) };
}
