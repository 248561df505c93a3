import type { MyRoom } from "../../../protocol/chat.ts";
import { type UserActor, actorName } from "../../access/actor.ts";
import { membersAmong } from "../../access/membership.ts";
import type { Queryable, Tx } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";
import type { CommandDeps } from "./create-room.ts";
import { roomEntry } from "./entries.ts";
import { admit } from "./members.ts";
import { peopleOf } from "./people.ts";
import {
  type RoomRow,
  type RoomState,
  directKey,
  roomColumns,
  toMyRooms,
  toRoom,
  toRoomState,
} from "./rooms.ts";

export type OpenedDirect = { readonly myRoom: MyRoom; readonly created: boolean };

/** The room of two people: made when the first of them asks for it, and the same one ever after. */
export async function openDirect(
  deps: CommandDeps,
  actor: UserActor,
  otherId: number,
): Promise<OpenedDirect> {
  const { db, eventlog, clock } = deps;
  if (otherId === actor.id) {
    const detail = "must be somebody else";
    throw new AppError("invalid_body", {
      detail: `/user_id ${detail}`,
      fields: [{ pointer: "/user_id", code: "self", detail }],
    });
  }
  const key = directKey(actor.id, otherId);
  const existing = await findDirect(db, key);
  if (existing !== undefined) return { myRoom: await viewOf(db, existing, actor.id), created: false };

  return db.transaction(async (tx) => {
    const people = await peopleOf(tx, [otherId], "/user_id");
    const cause = { actor: actorName(actor), joinedAt: new Date(clock.now()) };
    const room = await insertDirect(tx, key, { createdBy: actor.id, createdAt: cause.joinedAt });
    if (room === undefined) {
      // Somebody was faster: theirs is committed, or the insertion would have waited for it.
      const theirs = await findDirect(tx, key);
      if (theirs === undefined) throw new Error("a direct room is neither new nor there");
      return { myRoom: await viewOf(tx, theirs, actor.id), created: false };
    }
    const { entries } = await admit(
      tx,
      room,
      [[actor.id, actor.username] as const, ...people].map(([userId, username]) => ({
        userId,
        username,
        role: "member",
      })),
      cause,
    );
    const myRoom = await viewOf(tx, room, actor.id);
    await eventlog.appendIn(tx, [
      roomEntry(cause, room.id, "room.changed", { room: toRoom(room) }),
      ...entries,
    ]);
    return { myRoom, created: true };
  });
}

async function findDirect(db: Queryable, key: string): Promise<RoomState | undefined> {
  const { rows } = await db.query<RoomRow>(`select ${roomColumns} from chat_room where direct_key = $1`, [
    key,
  ]);
  return rows[0] === undefined ? undefined : toRoomState(rows[0]);
}

async function insertDirect(
  tx: Tx,
  key: string,
  { createdBy, createdAt }: { readonly createdBy: number; readonly createdAt: Date },
): Promise<RoomState | undefined> {
  const { rows } = await tx.query<RoomRow>(
    `insert into chat_room (kind, direct_key, created_by, created_at) values ('direct', $1, $2, $3)
     on conflict (direct_key) do nothing returning ${roomColumns}`,
    [key, createdBy, createdAt],
  );
  return rows[0] === undefined ? undefined : toRoomState(rows[0]);
}

async function viewOf(db: Queryable, room: RoomState, userId: number): Promise<MyRoom> {
  const members = await membersAmong(db, [{ roomId: room.id, userId }]);
  const [view] = await toMyRooms(db, [...members.values()], new Map([[room.id, room]]));
  if (view === undefined) throw new Error("who a direct room is of is not a member of it");
  return view;
}
