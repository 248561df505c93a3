import type { Member, RoomRole } from "../../../protocol/chat.ts";
import { type Actor, actorName } from "../../access/actor.ts";
import {
  type Membership,
  findMember,
  membersAmong,
  pairKey,
  removeMember,
  setRole,
} from "../../access/membership.ts";
import { usernamesOf } from "../../access/people.ts";
import type { Tx } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";
import type { CommandDeps } from "./create-room.ts";
import { roomEntry, userEntry } from "./entries.ts";
import { admit, countMembers, toMember } from "./members.ts";
import { peopleOf } from "./people.ts";
import {
  type Standing,
  rankOf,
  ranks,
  refuseGeneral,
  requireGroup,
  requireOtherOwner,
  requireRank,
  takeHold,
} from "./rights.ts";

/** A moderator's to do. Resolves with all of them as they are now; who was a member already stays what they were. */
export async function addToRoom(
  deps: CommandDeps,
  actor: Actor,
  { roomId, userIds }: { readonly roomId: number; readonly userIds: readonly number[] },
): Promise<readonly Member[]> {
  const { db, eventlog, clock } = deps;
  return db.transaction(async (tx) => {
    const held = await takeHold(tx, actor, roomId);
    requireGroup(held.room);
    requireRank(held, ranks.moderator, "only a moderator or an owner adds members");
    const people = await peopleOf(tx, userIds, "/user_ids");
    const newcomers = [...people].map(([userId, username]) => ({
      userId,
      username,
      role: "member" as const,
    }));
    const cause = { actor: actorName(actor), joinedAt: new Date(clock.now()) };
    const { entries } = await admit(tx, held.room, newcomers, cause);
    const members = await membersAmong(
      tx,
      newcomers.map(({ userId }) => ({ roomId, userId })),
    );
    await eventlog.appendIn(tx, entries);
    return newcomers.flatMap(({ userId, username }) => {
      const member = members.get(pairKey({ roomId, userId }));
      return member === undefined ? [] : [toMember(member, username)];
    });
  });
}

type WhichMember = { readonly roomId: number; readonly userId: number };

/** Ends somebody else's membership: a moderator's or an owner's to do, for those below them. */
export async function removeFromRoom(deps: CommandDeps, actor: Actor, which: WhichMember): Promise<void> {
  const { db, eventlog } = deps;
  const { roomId, userId } = which;
  await db.transaction(async (tx) => {
    const held = await takeHold(tx, actor, roomId);
    requireGroup(held.room);
    refuseGeneral(held.room, "this room is everybody's: nobody is removed from it");
    requireRank(held, ranks.moderator, "only a moderator or an owner removes members");
    if (held.mine?.userId === userId) {
      throw new AppError("conflict", { detail: "nobody removes themselves: leave the room" });
    }
    const member = await requireMember(tx, which);
    requireAbove(held, member);
    if (member.role === "owner" && held.room.members > 1) await requireOtherOwner(tx, held.room);
    await removeMember(tx, which);
    await countMembers(tx, roomId, -1);
    const cause = { actor: actorName(actor) };
    await eventlog.appendIn(tx, [
      roomEntry(cause, roomId, "member.removed", { room_id: roomId, user_id: userId }),
      userEntry(cause, userId, "room.left", { room_id: roomId }),
    ]);
  });
}

/**
 * An owner's to do, for those below them; anybody may step down themselves. The last owner hands over first, by making
 * somebody else one.
 */
export async function changeRole(
  deps: CommandDeps,
  actor: Actor,
  { role, ...which }: WhichMember & { readonly role: RoomRole },
): Promise<Member> {
  const { db, eventlog } = deps;
  return db.transaction(async (tx) => {
    const held = await takeHold(tx, actor, which.roomId);
    requireGroup(held.room);
    const stepsDown = held.mine?.userId === which.userId && rankOf(role) <= rankOf(held.mine.role);
    if (!stepsDown) requireRank(held, ranks.owner, "only an owner changes roles");
    const member = await requireMember(tx, which);
    if (!stepsDown) requireAbove(held, member);
    const username = (await usernamesOf(tx, [which.userId])).get(which.userId) ?? "";
    const changed = toMember({ ...member, role }, username);
    if (member.role === role) return changed;
    if (member.role === "owner") await requireOtherOwner(tx, held.room);
    await setRole(tx, which, role);
    await eventlog.appendIn(tx, [
      roomEntry({ actor: actorName(actor) }, which.roomId, "member.changed", {
        room_id: which.roomId,
        member: changed,
      }),
    ]);
    return changed;
  });
}

async function requireMember(tx: Tx, which: WhichMember): Promise<Membership> {
  const member = await findMember(tx, which);
  if (member !== undefined) return member;
  throw new AppError("not_found", { detail: `person ${which.userId} is not a member of this room` });
}

function requireAbove({ rank }: Standing, { role }: Membership): void {
  if (rank > rankOf(role)) return;
  throw new AppError("forbidden", { detail: "nobody changes who is as high as themselves, or higher" });
}
