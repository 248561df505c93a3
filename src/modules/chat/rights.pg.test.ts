import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../../../test/harness.ts";
import type { UserActor } from "../../access/actor.ts";
import { addToRoom, changeRole, removeFromRoom } from "./change-members.ts";
import { manager, openChat } from "./chat.fixture.ts";
import { createRoom } from "./create-room.ts";
import { joinRoom, leaveRoom } from "./join-room.ts";
import { renameRoom } from "./rename-room.ts";
import { lockRooms } from "./rooms.ts";

const chat = await openChat();
const { db } = chat;
let people = 0;
const someone = (): Promise<UserActor> => chat.person(`ranked-${++people}`);

/** A private and a public room of an owner and a member. */
async function openRooms() {
  const [owner, member] = [await someone(), await someone()];
  const make = async (kind: "private" | "public") =>
    (await createRoom(chat, owner, { kind, name: kind, member_ids: [member.id] })).id;
  return { owner, member, closed: await make("private"), open: await make("public") };
}

test("who may not change a room is refused while others hold its lock, and does not stand in their queue", async () => {
  const { owner, member, closed, open } = await openRooms();
  const stranger = await someone();
  const everywhere = (actor: UserActor, roomId: number) => [
    renameRoom(chat, actor, { roomId, name: "mine" }),
    addToRoom(chat, actor, { roomId, userIds: [actor.id] }),
    removeFromRoom(chat, actor, { roomId, userId: owner.id }),
    changeRole(chat, actor, { roomId, userId: owner.id, role: "member" }),
  ];
  const settled = await db.transaction(async (tx) => {
    await lockRooms(tx, [closed, open]);
    // Whoever waits for the lock goes on only when this transaction has ended: it gives up in time for the test to say so.
    return Promise.race([
      Promise.allSettled([
        joinRoom(chat, stranger, closed),
        leaveRoom(chat, stranger, closed),
        leaveRoom(chat, stranger, open),
        ...[closed, open].flatMap((roomId) => [stranger, member].flatMap((who) => everywhere(who, roomId))),
      ]),
      new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 10_000).unref()),
    ]);
  });
  assert.ok(settled !== undefined, "somebody waited for the lock");
  assert.deepEqual(
    new Set(
      settled.map((one) => (one.status === "rejected" ? (one.reason as { code: string }).code : "done")),
    ),
    new Set(["not_found", "forbidden"]),
  );
});

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}

/** Whether so many wait for a lock. */
async function wait(count: number): Promise<boolean> {
  const { rows } = await db.query<{ count: number }>(
    "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
  );
  return rows[0]?.count === count;
}

test("who loses a right while they wait for the lock is refused by what is true then", async () => {
  const losses = {
    not_found: (roomId: number, userId: number) => removeFromRoom(chat, manager, { roomId, userId }),
    forbidden: (roomId: number, userId: number) =>
      changeRole(chat, manager, { roomId, userId, role: "member" }).then(() => undefined),
  };
  for (const [refusal, lose] of Object.entries(losses)) {
    const { owner, member, closed: roomId } = await openRooms();
    await changeRole(chat, owner, { roomId, userId: member.id, role: "owner" });
    const outcomes: Promise<unknown>[] = [];
    await db.transaction(async (tx) => {
      await lockRooms(tx, [roomId]);
      outcomes.push(lose(roomId, member.id));
      await eventually("the loss waits", () => wait(1));
      outcomes.push(renameRoom(chat, member, { roomId, name: "mine" }).catch(codeOf));
      await eventually("the new name waits behind it", () => wait(2));
    });
    assert.deepEqual(await Promise.all(outcomes), [undefined, refusal]);
  }
});
