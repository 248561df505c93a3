import { type TypingData, type TypingParams, generalRoomId } from "../../../protocol/chat.ts";
import { topics } from "../../../protocol/topics.ts";
import type { UserActor } from "../../access/actor.ts";
import type { Deps } from "../../deps.ts";
import { createBuckets } from "../../lib/token-bucket.ts";
import type { CommandDeps } from "./create-room.ts";
import { joinRoom } from "./join-room.ts";
import { joinFirst, lookAt } from "./rights.ts";

/** Of one person in one room, one signal a second passes; the others are dropped in silence. */
const rate = { perSecond: 1, burst: 1 } as const;
/** People in rooms whose rate is remembered. */
export const typersMax = 50_000;

export type SetTyping = (actor: UserActor, params: TypingParams) => Promise<void>;

/** Tells the room that somebody types, or has stopped. Only members, and nothing of it is kept. */
export function createSetTyping(deps: CommandDeps & Pick<Deps, "signals">): SetTyping {
  const { db, clock, signals } = deps;
  const buckets = createBuckets({ rate, keysMax: typersMax, clock });
  return async (actor, { room_id: roomId, on }) => {
    if (!buckets.take(`${roomId} ${actor.id}`).allowed) return;
    const { mine } = await lookAt(db, actor, roomId);
    if (mine === undefined && roomId !== generalRoomId) throw joinFirst();
    if (mine === undefined) await joinRoom(deps, actor, roomId);
    const data: TypingData = { user_id: actor.id, username: actor.username, on };
    signals.send({ topic: topics.room(roomId), name: "typing", key: String(actor.id), data });
  };
}
