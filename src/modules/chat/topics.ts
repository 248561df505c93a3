import { type MemberRemovedData, TypingData, roomEntries, userRoomEntries } from "../../../protocol/chat.ts";
import { requireThemselves } from "../../access/actor.ts";
import { type Pair, membersAmong, pairKey } from "../../access/membership.ts";
import type { Deps, TopicKind } from "../../deps.ts";
import type { Db } from "../../lib/db.ts";
import { Batcher } from "../../lib/batcher.ts";
import { noSuchRoom, standing } from "./rights.ts";
import { type RoomAndMine, findRooms } from "./rooms.ts";

/** Questions that are asked with one statement, and that may wait for theirs. */
const batchLooksMax = 1_000;
export const queueLooksMax = 100_000;
const timeoutMs = 10_000;
/** The first is asked at once; those of a crowd share statements. */
const spacingMs = 5;

type Look = { readonly roomId: number; readonly userId: number | undefined };

/**
 * Looks at rooms for whoever wants to hear them. Thousands come back at once after a restart, so questions that come
 * while one is under way are asked together. Nothing is remembered: every answer was read after its question.
 */
function createLooks(db: Db): (look: Look) => Promise<RoomAndMine> {
  const batcher = new Batcher<Look, RoomAndMine>({
    lanes: 1,
    batchItemsMax: batchLooksMax,
    batchBytesMax: Number.MAX_SAFE_INTEGER,
    queueItemsMax: queueLooksMax,
    queueBytesMax: Number.MAX_SAFE_INTEGER,
    timeoutMs,
    spacingMs,
    now: () => performance.now(),
    what: "subscriptions",
    work: async (looks) => {
      const rooms = await findRooms(db, [...new Set(looks.map(({ roomId }) => roomId))]);
      const pairs = new Map<string, Pair>();
      for (const { roomId, userId } of looks)
        if (userId !== undefined) pairs.set(pairKey({ roomId, userId }), { roomId, userId });
      const members = await membersAmong(db, [...pairs.values()]);
      return looks.map(({ roomId, userId }) => ({
        room: rooms.get(roomId),
        mine: userId === undefined ? undefined : members.get(pairKey({ roomId, userId })),
      }));
    },
  });
  return (look) => batcher.add(look);
}

export function chatTopics({ db }: Pick<Deps, "db">): readonly TopicKind[] {
  const look = createLooks(db);
  return [
    {
      kind: "room",
      authorize: async (actor, id) => {
        const roomId = idOf(id);
        if (roomId === undefined) throw noSuchRoom(0);
        const userId = actor.kind === "user" ? actor.id : undefined;
        standing(actor, roomId, await look({ roomId, userId }));
      },
      entries: roomEntries,
      signals: { typing: TypingData },
      revokes: { "member.removed": (data) => [(data as MemberRemovedData).user_id] },
    },
    { kind: "user", authorize: requireThemselves, entries: userRoomEntries },
  ];
}

/** Ids as topics have them. */
function idOf(text: string): number | undefined {
  return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
}
