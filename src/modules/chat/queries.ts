import {
  type ChatPageQuery,
  type MembersPage,
  type MyRoomsPage,
  type OneRoom,
  type RoomsPage,
  generalRoomId,
} from "../../../protocol/chat.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Actor, UserActor } from "../../access/actor.ts";
import { membersOfRoom } from "../../access/membership.ts";
import { decodeCursor, encodeCursor } from "../../lib/cursor.ts";
import type { Db } from "../../lib/db.ts";
import type { CommandDeps } from "./create-room.ts";
import { joinRoom } from "./join-room.ts";
import { toMember } from "./members.ts";
import { lookAt } from "./rights.ts";
import { type RoomRow, findRoomsOf, roomColumns, toMyRooms, toRoom, toRoomState } from "./rooms.ts";

/** Where a list by id goes on, and how to make the cursor of its next page. */
function pageOf(list: string, { cursor, limit = limits.pageRowsDefault }: ChatPageQuery) {
  const [after = 0] = cursor === undefined ? [] : decodeCursor(cursor, list, ["number"]);
  return {
    after: Number(after),
    limit,
    /** Cuts off the row that only tells that there are more. */
    cut: <T>(rows: readonly T[], idOf: (row: T) => number) => {
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      const next = rows.length > limit && last !== undefined ? encodeCursor(list, [idOf(last)]) : null;
      return { page, next };
    },
  };
}

/** The caller's rooms by id. Whoever looks at theirs for the first time becomes a member of the room that is everybody's. */
export async function listMyRooms(
  deps: CommandDeps,
  actor: UserActor,
  query: ChatPageQuery,
): Promise<MyRoomsPage> {
  const { db } = deps;
  const { after, limit, cut } = pageOf(`my rooms ${actor.id}`, query);
  let found = await findRoomsOf(db, actor.id, { after, limit: limit + 1 });
  // Its id is the lowest of all, so it comes first.
  if (after === 0 && found[0]?.room.id !== generalRoomId) {
    await joinRoom(deps, actor, generalRoomId);
    found = await findRoomsOf(db, actor.id, { after, limit: limit + 1 });
  }
  const { page, next } = cut(found, ({ room }) => room.id);
  const views = await toMyRooms(
    db,
    page.map(({ mine }) => mine),
    new Map(page.map(({ room }) => [room.id, room])),
  );
  return { rooms: [...views], next_cursor: next };
}

/** Public rooms by id: those that anybody may read and join. */
export async function listPublicRooms(db: Db, query: ChatPageQuery): Promise<RoomsPage> {
  const { after, limit, cut } = pageOf("public rooms", query);
  const { rows } = await db.query<RoomRow>(
    `select ${roomColumns} from chat_room where kind = 'public' and id > $1 order by id limit $2`,
    [after, limit + 1],
  );
  const { page, next } = cut(rows, ({ id }) => id);
  return { rooms: page.map((row) => toRoom(toRoomState(row))), next_cursor: next };
}

export async function showRoom(db: Db, actor: Actor, roomId: number): Promise<OneRoom> {
  const { room, mine } = await lookAt(db, actor, roomId);
  const [view] = mine === undefined ? [] : await toMyRooms(db, [mine], new Map([[roomId, room]]));
  return { room: toRoom(room), mine: view ?? null };
}

/** Members by id. */
export async function listMembers(
  db: Db,
  actor: Actor,
  { roomId, ...query }: ChatPageQuery & { readonly roomId: number },
): Promise<MembersPage> {
  const { after, limit, cut } = pageOf(`members of room ${roomId}`, query);
  await lookAt(db, actor, roomId);
  const { page, next } = cut(
    await membersOfRoom(db, roomId, { after, limit: limit + 1 }),
    ({ userId }) => userId,
  );
  return { members: page.map((member) => toMember(member, member)), next_cursor: next };
}
