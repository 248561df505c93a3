import type { MyRoom } from "../../../protocol/chat.ts";
import { type UserActor, actorName } from "../../access/actor.ts";
import type { Queryable, Tx } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";
import type { AddingDeps, CommandDeps } from "./create-room.ts";
import { roomEntry } from "./entries.ts";
import { type Newcomer, admit } from "./members.ts";
import { peopleOf } from "./people.ts";
import {
  type RoomRow,
  type RoomState,
  directKey,
  findDirectFor,
  roomColumns,
  toMyRooms,
  toRoom,
  toRoomState,
} from "./rooms.ts";

export type OpenedDirect = { readonly myRoom: MyRoom; readonly created: boolean };

/** The room of two people: made when the first of them asks for it, and the same one ever after. */
export async function openDirect(deps: AddingDeps, actor: UserActor, otherId: number): Promise<OpenedDirect> {
  if (otherId === actor.id) {
    const detail = "must be somebody else";
    throw new AppError("invalid_body", {
      detail: `/user_id ${detail}`,
      fields: [{ pointer: "/user_id", code: "self", detail }],
    });
  }
  const existing = await viewOf(deps.db, actor, otherId);
  if (existing !== undefined) return { myRoom: existing, created: false };
  return deps.adding(actor, 1, async () => {
    const value = await makeDirect(deps, actor, otherId);
    return { value, added: value.created ? 1 : 0 };
  });
}

async function makeDirect(
  { db, eventlog, clock }: CommandDeps,
  actor: UserActor,
  otherId: number,
): Promise<OpenedDirect> {
  return db.transaction(async (tx) => {
    await peopleOf(tx, [otherId], () => "/user_id");
    const cause = { actor: actorName(actor), joinedAt: new Date(clock.now()) };
    const key = directKey(actor.id, otherId);
    const room = await insertDirect(tx, key, { createdBy: actor.id, createdAt: cause.joinedAt });
    const { entries } =
      room === undefined ? { entries: [] } : await admit(tx, room, pairOf(actor.id, otherId), cause);
    // Without a room somebody was faster: theirs is committed, or the insertion would have waited for it.
    const myRoom = await viewOf(tx, actor, otherId);
    if (myRoom === undefined) throw new Error("a direct room is neither new nor there");
    if (room === undefined) return { myRoom, created: false };
    await eventlog.appendIn(tx, [
      roomEntry(cause, room.id, "room.changed", { room: toRoom(room) }),
      ...entries,
    ]);
    return { myRoom, created: true };
  });
}

/** The room counts for neither: the other one cannot help it, and who opens it could never leave it again. */
function pairOf(...userIds: readonly number[]): readonly Newcomer[] {
  return userIds.map((userId) => ({ userId, role: "member", joinedBy: "peer" }));
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

/** The direct room as the actor sees it; undefined when there is none yet. */
async function viewOf(db: Queryable, actor: UserActor, otherId: number): Promise<MyRoom | undefined> {
  const { room, mine } = await findDirectFor(db, directKey(actor.id, otherId), actor.id);
  if (room === undefined) return undefined;
  const [view] = mine === undefined ? [] : await toMyRooms(db, [mine], new Map([[room.id, room]]));
  if (view === undefined) throw new Error("who a direct room is of is not a member of it");
  return view;
}
