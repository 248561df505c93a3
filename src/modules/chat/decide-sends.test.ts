import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { generalRoomId } from "../../../protocol/chat.ts";
import { uuidv7 } from "../../../protocol/ids.ts";
import { type Membership, pairKey } from "../../access/membership.ts";
import { AppError } from "../../lib/errors.ts";
import { type Send, type SendFacts, type Sent, decideSends } from "./decide-sends.ts";
import { fingerprintOf } from "./messages.ts";
import type { RoomState } from "./rooms.ts";

const time = new Date("2026-01-01T00:00:00Z");
const roomIds = { general: generalRoomId, open: 2, closed: 3, missing: 4 } as const;

function room(id: number, kind: RoomState["kind"], lastSeq = 0): RoomState {
  return { id, kind, name: "room", pair: undefined, lastSeq, members: 1, createdAt: time };
}

function member(roomId: number, userId: number): [string, Membership] {
  return [pairKey({ roomId, userId }), { roomId, userId, role: "member", joinedAt: time, lastReadSeq: 0 }];
}

/** Person 1 is a member of every room, person 2 of none. */
const facts: SendFacts = {
  rooms: new Map([
    [roomIds.general, room(roomIds.general, "public", 7)],
    [roomIds.open, room(roomIds.open, "public")],
    [roomIds.closed, room(roomIds.closed, "private", 40)],
  ]),
  members: new Map([member(roomIds.general, 1), member(roomIds.open, 1), member(roomIds.closed, 1)]),
  known: new Map(),
  answered: new Map(),
  time,
};

function send(
  roomId: number,
  change: Partial<Pick<Send, "clientMsgId" | "content" | "replyTo">> & { from?: number } = {},
): Send {
  const { from = 1, clientMsgId = uuidv7(), content = "hello", replyTo = null } = change;
  return {
    id: uuidv7(),
    roomId,
    sender: { id: from, username: `person-${from}` },
    actor: `user:${from}`,
    clientMsgId,
    content,
    replyTo,
    fingerprint: fingerprintOf(clientMsgId, content),
  };
}

function codeOf(answer: Sent | AppError | undefined): string {
  return answer instanceof AppError ? answer.code : answer?.replayed === true ? "replayed" : "new";
}

test("each room counts on by itself, and what is refused takes no place", () => {
  const sends = [
    send(roomIds.closed),
    send(roomIds.open),
    send(roomIds.missing),
    send(roomIds.closed, { from: 2 }),
    send(roomIds.closed),
    send(roomIds.open, { replyTo: uuidv7() }),
    send(roomIds.open),
  ];
  const { answers, fresh, lastSeqs } = decideSends(sends, facts);
  assert.deepEqual(answers.map(codeOf), ["new", "new", "not_found", "not_found", "new", "not_found", "new"]);
  assert.deepEqual(
    fresh.map(({ message }) => [message.room_id, message.seq]),
    [
      [3, 41],
      [2, 1],
      [3, 42],
      [2, 2],
    ],
  );
  assert.deepEqual(
    [...lastSeqs],
    [
      [3, 42],
      [2, 2],
    ],
  );
});

test("who is no member is told so in a room that they may see, and in the room that is everybody's becomes one", () => {
  const sends = [
    send(roomIds.open, { from: 2 }),
    send(roomIds.general, { from: 2 }),
    send(roomIds.general, { from: 2 }),
  ];
  const { answers, newcomers } = decideSends(sends, facts);
  assert.deepEqual(answers.map(codeOf), ["forbidden", "new", "new"]);
  assert.deepEqual([...newcomers], [2]);
});

test("a repetition within the batch is the same message; another text, answer or room under its key is a mistake", () => {
  const clientMsgId = uuidv7();
  const first = send(roomIds.open, { clientMsgId });
  const { answers, fresh } = decideSends(
    [
      first,
      send(roomIds.open, { clientMsgId }),
      send(roomIds.open, { clientMsgId, content: "hello!" }),
      send(roomIds.closed, { clientMsgId }),
      send(roomIds.open, { clientMsgId, replyTo: first.id }),
    ],
    facts,
  );
  assert.equal(fresh.length, 1);
  const mismatch = "idempotency_mismatch";
  assert.deepEqual(answers.map(codeOf), ["new", "replayed", mismatch, mismatch, mismatch]);
  assert.deepEqual((answers[1] as Sent).message, (answers[0] as Sent).message);
});

test("an attempt that had taken effect unseen is answered as the new message that it is to the client", () => {
  const attempt = send(roomIds.open);
  const [first] = decideSends([attempt], facts).answers as Sent[];
  assert.ok(first !== undefined);
  const known = new Map([
    [`1 ${attempt.clientMsgId}`, { message: first.message, fingerprint: attempt.fingerprint }],
  ]);
  assert.deepEqual(decideSends([attempt], { ...facts, known }).answers, [first]);
});

test("whatever a batch holds, new messages have each next place once, and equal keys one message", () => {
  const keys = Array.from({ length: 4 }, () => uuidv7());
  const arbitrary = fc.record({
    room: fc.constantFrom(...Object.values(roomIds)),
    from: fc.constantFrom(1, 2),
    key: fc.nat(keys.length),
    content: fc.constantFrom("a", "b"),
  });
  fc.assert(
    fc.property(fc.array(arbitrary, { maxLength: 30, size: "max" }), (wishes) => {
      const sends = wishes.map(({ room: roomId, from, key, content }) =>
        send(roomId, { from, content, ...(keys[key] === undefined ? {} : { clientMsgId: keys[key] }) }),
      );
      const { answers, fresh, lastSeqs } = decideSends(sends, facts);
      for (const [roomId, last] of lastSeqs) {
        const before = facts.rooms.get(roomId)?.lastSeq ?? 0;
        const seqs = fresh.filter(({ send }) => send.roomId === roomId).map(({ message }) => message.seq);
        assert.deepEqual(
          seqs,
          Array.from({ length: last - before }, (_, i) => before + 1 + i),
        );
      }
      const ids = fresh.map(({ send }) => `${send.sender.id} ${send.clientMsgId}`);
      assert.equal(new Set(ids).size, ids.length);
      assert.equal(answers.filter((answer) => codeOf(answer) === "new").length, fresh.length);
    }),
  );
});
