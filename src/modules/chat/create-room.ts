import type { NewRoom, Room } from "../../../protocol/chat.ts";
import { type Actor, actorName } from "../../access/actor.ts";
import type { Deps } from "../../deps.ts";
import type { Tx } from "../../lib/db.ts";
import { roomEntry } from "./entries.ts";
import { type Newcomer, admit } from "./members.ts";
import { peopleOf } from "./people.ts";
import { type RoomRow, type RoomState, roomColumns, toRoom, toRoomState } from "./rooms.ts";

export type CommandDeps = Pick<Deps, "db" | "eventlog" | "clock">;

/** Makes a room. A person owns what they make; of what a program makes, it may appoint an owner. */
export async function createRoom(deps: CommandDeps, actor: Actor, wish: NewRoom): Promise<Room> {
  const { db, eventlog, clock } = deps;
  const cause = { actor: actorName(actor), joinedAt: new Date(clock.now()) };
  const creator = actor.kind === "user" ? actor : undefined;
  return db.transaction(async (tx) => {
    const others = (wish.member_ids ?? []).filter((id) => id !== creator?.id);
    const people = await peopleOf(tx, others, "/member_ids");
    const newcomers: Newcomer[] = [...people].map(([userId, username]) => ({
      userId,
      username,
      role: "member",
    }));
    if (creator !== undefined)
      newcomers.unshift({ userId: creator.id, username: creator.username, role: "owner" });
    const room = await insertRoom(tx, wish, { createdBy: creator?.id, createdAt: cause.joinedAt });
    const { entries } = await admit(tx, room, newcomers, cause);
    await eventlog.appendIn(tx, [
      roomEntry(cause, room.id, "room.changed", { room: toRoom(room) }),
      ...entries,
    ]);
    return toRoom(room);
  });
}

async function insertRoom(
  tx: Tx,
  { kind, name }: Pick<NewRoom, "kind" | "name">,
  { createdBy, createdAt }: { readonly createdBy: number | undefined; readonly createdAt: Date },
): Promise<RoomState> {
  const { rows } = await tx.query<RoomRow>(
    `insert into chat_room (kind, name, created_by, created_at) values ($1, $2, $3, $4) returning ${roomColumns}`,
    [kind, name.trim(), createdBy ?? null, createdAt],
  );
  if (rows[0] === undefined) throw new Error("the room was not inserted");
  return toRoomState(rows[0]);
}
