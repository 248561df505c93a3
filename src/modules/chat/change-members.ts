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
import { namesOf } from "../../access/people.ts";
import type { Tx } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";
import { type AddingDeps, type CommandDeps, isActor } from "./create-room.ts";
import { roomEntry, userEntry } from "./entries.ts";
import { type Newcomer, admit, countMembers, toMember } from "./members.ts";
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
import { namesIn } from "./rooms.ts";

type WhomToAdd = { readonly roomId: number; readonly userIds: readonly number[] };

/** A moderator's to do. Resolves with all of them as they are now; who was a member already stays what they were. */
export async function addToRoom(
  deps: AddingDeps,
  actor: Actor,
  { roomId, userIds }: WhomToAdd,
): Promise<readonly Member[]> {
  const others = new Set(userIds.filter((id) => !isActor(actor, id)));
  return deps.adding(actor, others.size, async () => {
    const { members, added } = await admitAll(deps, actor, { roomId, userIds });
    return { value: members, added: added.filter(({ userId }) => others.has(userId)).length };
  });
}

async function admitAll(
  { db, eventlog, clock }: CommandDeps,
  actor: Actor,
  { roomId, userIds }: WhomToAdd,
): Promise<{ readonly members: readonly Member[]; readonly added: readonly Membership[] }> {
  return db.transaction(async (tx) => {
    const { room } = await takeHold(tx, actor, roomId, (standing) => {
      requireGroup(standing.room);
      requireRank(standing, ranks.moderator, "only a moderator or an owner adds members");
    });
    const people = await peopleOf(tx, userIds, (i) => `/user_ids/${i}`);
    const newcomers = [...people].map(([userId, place]): Newcomer => {
      return { userId, role: "member", joinedBy: isActor(actor, userId) ? "self" : "others", place };
    });
    const cause = { actor: actorName(actor), joinedAt: new Date(clock.now()) };
    const { members: added, entries } = await admit(tx, room, newcomers, cause);
    const ids = [...people.keys()];
    const memberships = await membersAmong(
      tx,
      ids.map((userId) => ({ roomId, userId })),
    );
    const names = await namesOf(tx, ids);
    await eventlog.appendIn(tx, entries);
    const members = ids.flatMap((userId) => {
      const member = memberships.get(pairKey({ roomId, userId }));
      return member === undefined ? [] : [toMember(member, namesIn(names, userId))];
    });
    return { members, added };
  });
}

type WhichMember = { readonly roomId: number; readonly userId: number };

/** Ends somebody else's membership: a moderator's or an owner's to do, for those below them. */
export async function removeFromRoom(deps: CommandDeps, actor: Actor, which: WhichMember): Promise<void> {
  const { db, eventlog } = deps;
  const { roomId, userId } = which;
  await db.transaction(async (tx) => {
    const held = await takeHold(tx, actor, roomId, (standing) => {
      requireGroup(standing.room);
      refuseGeneral(standing.room, "this room is everybody's: nobody is removed from it");
      requireRank(standing, ranks.moderator, "only a moderator or an owner removes members");
      if (standing.mine?.userId === userId)
        throw new AppError("conflict", { detail: "nobody removes themselves: leave the room" });
    });
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
    const stepsDown = ({ mine }: Standing): boolean =>
      mine?.userId === which.userId && rankOf(role) <= rankOf(mine.role);
    const held = await takeHold(tx, actor, which.roomId, (standing) => {
      requireGroup(standing.room);
      if (!stepsDown(standing)) requireRank(standing, ranks.owner, "only an owner changes roles");
    });
    const member = await requireMember(tx, which);
    if (!stepsDown(held)) requireAbove(held, member);
    const names = await namesOf(tx, [which.userId]);
    const changed = toMember({ ...member, role }, namesIn(names, which.userId));
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
