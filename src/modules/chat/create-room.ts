import type { NewRoom, Room } from "../../../protocol/chat.ts";
import { type Actor, actorName } from "../../access/actor.ts";
import type { Deps } from "../../deps.ts";
import type { Tx } from "../../lib/db.ts";
import type { Adding } from "./adding.ts";
import { roomEntry } from "./entries.ts";
import { type Newcomer, admit } from "./members.ts";
import { peopleOf } from "./people.ts";
import { type RoomRow, type RoomState, roomColumns, toRoom, toRoomState } from "./rooms.ts";

export type CommandDeps = Pick<Deps, "db" | "eventlog" | "clock">;
export type AddingDeps = CommandDeps & { readonly adding: Adding };

/** Makes a room. A person owns what they make; of what a program makes, it may appoint an owner. */
export async function createRoom(deps: AddingDeps, actor: Actor, wish: NewRoom): Promise<Room> {
  const ids = wish.member_ids ?? [];
  const others = new Set(ids.filter((id) => !isActor(actor, id)));
  return deps.adding(actor, others.size, async () => ({
    value: await makeRoom(deps, actor, { ...wish, member_ids: ids }),
    added: others.size,
  }));
}

async function makeRoom(
  { db, eventlog, clock }: CommandDeps,
  actor: Actor,
  wish: Required<NewRoom>,
): Promise<Room> {
  const cause = { actor: actorName(actor), joinedAt: new Date(clock.now()) };
  const creator = actor.kind === "user" ? actor : undefined;
  return db.transaction(async (tx) => {
    const people = await peopleOf(tx, wish.member_ids, (i) => `/member_ids/${i}`);
    const newcomers: Newcomer[] = [...people]
      .filter(([userId]) => userId !== creator?.id)
      .map(([userId, place]) => ({ userId, role: "member", joinedBy: "others", place }));
    if (creator !== undefined) newcomers.unshift({ userId: creator.id, role: "owner", joinedBy: "self" });
    const room = await insertRoom(tx, wish, { createdBy: creator?.id, createdAt: cause.joinedAt });
    const { entries } = await admit(tx, room, newcomers, cause);
    await eventlog.appendIn(tx, [
      roomEntry(cause, room.id, "room.changed", { room: toRoom(room) }),
      ...entries,
    ]);
    return toRoom(room);
  });
}

/** Whether the id is that of the person who asks. */
export function isActor(actor: Actor, userId: number): boolean {
  return actor.kind === "user" && actor.id === userId;
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
