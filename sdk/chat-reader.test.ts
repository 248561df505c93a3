import assert from "node:assert/strict";
import { test } from "node:test";
import type { ChatPageQuery, Member, MyRoom } from "../protocol/chat.ts";
import { limits } from "../protocol/limits.ts";
import { membersReadMax, orNoMember, readMembers, readRoom, readRooms, roomPagesMax } from "./chat-reader.ts";
import type { Snapshot } from "./chat-view.ts";
import { TidingsError } from "./errors.ts";

type Gone = Extract<Snapshot, { kind: "gone" }>;

const time = "2026-01-01T00:00:00.000Z";

/** Rows from `from` on, as many as a page has, and the cursor of the next. */
function pageOf(
  query: ChatPageQuery | undefined,
  total: number,
): { ids: number[]; next_cursor: string | null } {
  const from = Number(query?.cursor ?? 0);
  const to = Math.min(total, from + (query?.limit ?? limits.pageRowsDefault));
  const ids = Array.from({ length: to - from }, (_, i) => from + i + 1);
  return { ids, next_cursor: to < total ? String(to) : null };
}

function myRoom(id: number): MyRoom {
  const room = { id, kind: "public", name: "r", created_at: time, last_seq: 0 } as const;
  return { room, role: "member", last_read_seq: 0, unread: 0, joined_at: time, peer: null };
}

const member = (id: number): Member => {
  return { user_id: id, username: `u${id}`, name: `U ${id}`, role: "member", joined_at: time };
};

function calls(total: number) {
  let asked = 0;
  return {
    asked: () => asked,
    rooms: async (query?: ChatPageQuery) => {
      asked++;
      const { ids, next_cursor } = pageOf(query, total);
      return { rooms: ids.map(myRoom), next_cursor };
    },
    members: async (_roomId: number, query?: ChatPageQuery) => {
      asked++;
      const { ids, next_cursor } = pageOf(query, total);
      return { members: ids.map(member), next_cursor };
    },
  };
}

test("all rooms that a connection can hear are read, page after page, and no more pages than that takes", async () => {
  const total = limits.topicsPerConnection;
  const all = calls(total);
  const snapshot = await readRooms(all);
  assert.equal(snapshot.kind === "rooms" && snapshot.rooms.length, total);
  const endless = calls(1_000_000);
  await readRooms(endless);
  assert.equal(endless.asked(), roomPagesMax);
});

test("the members of a room are read, and of a larger one none", async () => {
  assert.equal((await readMembers(calls(membersReadMax), 1))?.length, membersReadMax);
  assert.equal(await readMembers(calls(membersReadMax + 1), 1), undefined);
  assert.equal((await readMembers(calls(0), 1))?.length, 0);
});

test("a room that is hidden from somebody is gone for them; other failures are failures", async () => {
  const wanted = { messages: true, members: true };
  const failing = (status: number) => ({
    room: () => Promise.reject(new TidingsError({ code: "internal", status, retry: "later", message: "" })),
    messages: () => assert.fail("asked"),
    members: () => assert.fail("asked"),
  });
  for (const status of [403, 404]) {
    const { refusal, ...gone } = (await readRoom(failing(status), 5, wanted)) as Gone;
    assert.deepEqual(gone, { kind: "gone", roomId: 5 });
    assert.equal(refusal?.status, status);
  }
  for (const status of [403, 404]) {
    const page = new TidingsError({ code: "unexpected_answer", status, retry: "later", message: "" });
    const proxied = { ...failing(status), room: () => Promise.reject(page) };
    await assert.rejects(readRoom(proxied, 5, wanted), page);
    assert.throws(() => orNoMember(page), page);
  }
  await assert.rejects(readRoom(failing(500), 5, wanted), { status: 500 });
  const { room } = myRoom(5);
  const visitor = { ...failing(500), room: () => Promise.resolve({ room, mine: null }) };
  assert.deepEqual(await readRoom(visitor, 5, wanted), { kind: "gone", roomId: 5 });
});
