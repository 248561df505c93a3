import { generalRoomId } from "../../../protocol/chat.ts";
import { type Pair, advanceReadMarks, membersAmong, pairKey } from "../../access/membership.ts";
import type { Deps } from "../../deps.ts";
import { type Queryable, type Tx, arrayLiteral } from "../../lib/db.ts";
import type { AppError } from "../../lib/errors.ts";
import {
  type Decision,
  type KnownMessage,
  type Send,
  type SendFacts,
  type Sent,
  decideSends,
  sendKey,
} from "./decide-sends.ts";
import { roomEntry } from "./entries.ts";
import { admit } from "./members.ts";
import { type MessageRow, messageColumns, toMessage } from "./messages.ts";
import { lockRooms } from "./rooms.ts";

/**
 * Saves a batch of messages in one transaction, with a handful of statements whatever its size: locks the rooms, reads
 * what decides, decides, writes, and appends the entries last. Answers each send on its own.
 */
export async function saveSends(
  { db, eventlog, clock }: Pick<Deps, "db" | "eventlog" | "clock">,
  sends: readonly Send[],
): Promise<readonly (Sent | AppError)[]> {
  return db.transaction(async (tx) => {
    const facts = await readFacts(tx, sends, new Date(clock.now()));
    const decision = decideSends(sends, facts);
    const { answers, fresh } = decision;
    if (fresh.length === 0) return answers;
    const joined = await admitNewcomers(tx, decision, facts);
    await insertMessages(tx, fresh, facts.time);
    await advanceReadMarks(tx, readMarksOf(fresh));
    await advanceRooms(tx, decision.lastSeqs);
    const created = fresh.map(({ send, message, replyToUserId }) =>
      roomEntry(send, send.roomId, "message.created", { message, reply_to_user_id: replyToUserId }),
    );
    await eventlog.appendIn(tx, [...joined, ...created]);
    return answers;
  });
}

async function readFacts(tx: Tx, sends: readonly Send[], time: Date): Promise<SendFacts> {
  // The lock first, by itself: what a statement reads while it waits for one may be outdated when it has it.
  const rooms = await lockRooms(tx, [...new Set(sends.map(({ roomId }) => roomId))]);
  const pairs = new Map(sends.map(({ roomId, sender }) => keyed({ roomId, userId: sender.id })));
  const members = await membersAmong(tx, [...pairs.values()]);
  const known = await findKnown(tx, sends);
  return { rooms, members, known, answered: await findAnswered(tx, sends), time };
}

type KnownRow = MessageRow & { readonly fingerprint: string };

async function findKnown(db: Queryable, sends: readonly Send[]): Promise<ReadonlyMap<string, KnownMessage>> {
  // Not prepared: a plan made for a small table would read all of it when it has grown.
  const { rows } = await db.query<KnownRow>(
    `select ${messageColumns}, encode(m.fingerprint, 'hex') as fingerprint
       from unnest($1::bigint[], $2::uuid[]) k(sender_id, client_msg_id)
       join chat_message m on m.sender_id = k.sender_id and m.client_msg_id = k.client_msg_id`,
    [
      arrayLiteral(sends.map(({ sender }) => sender.id)),
      arrayLiteral(sends.map(({ clientMsgId }) => clientMsgId)),
    ],
  );
  const names = new Map(sends.map(({ sender }) => [sender.id, sender.username]));
  return new Map(
    rows.map((row) => [
      sendKey(row.sender_id, row.client_msg_id),
      { message: toMessage(row, names.get(row.sender_id) ?? ""), fingerprint: row.fingerprint },
    ]),
  );
}

async function findAnswered(tx: Tx, sends: readonly Send[]): Promise<SendFacts["answered"]> {
  const ids = sends.map(({ replyTo }) => replyTo).filter((id) => id !== null);
  if (ids.length === 0) return new Map();
  const { rows } = await tx.query<{ id: string; room_id: number; sender_id: number }>(
    "select id, room_id, sender_id from chat_message where id = any($1::uuid[])",
    [arrayLiteral(ids)],
  );
  return new Map(rows.map(({ id, room_id: roomId, sender_id: userId }) => [id, { roomId, userId }]));
}

async function admitNewcomers(
  tx: Tx,
  { newcomers, fresh }: Decision,
  { rooms, time }: SendFacts,
): Promise<Awaited<ReturnType<typeof admit>>["entries"]> {
  const general = rooms.get(generalRoomId);
  if (newcomers.size === 0 || general === undefined) return [];
  const actors = new Map(fresh.map(({ send }) => [send.sender.id, send.actor]));
  const people = [...newcomers].map((userId) => {
    return { userId, role: "member", joinedBy: "self", actor: actors.get(userId) } as const;
  });
  return (await admit(tx, general, people, { actor: "system", joinedAt: time })).entries;
}

async function insertMessages(tx: Tx, fresh: Decision["fresh"], time: Date): Promise<void> {
  const sends = fresh.map(({ send }) => send);
  await tx.query(
    `insert into chat_message (room_id, seq, id, sender_id, client_msg_id, reply_to, content, fingerprint, created_at)
     select room_id, seq, id, sender_id, client_msg_id, reply_to, content, decode(fingerprint, 'hex'), $9
       from unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::bigint[], $5::uuid[], $6::uuid[], $7::text[], $8::text[])
            n(room_id, seq, id, sender_id, client_msg_id, reply_to, content, fingerprint)`,
    [
      arrayLiteral(sends.map(({ roomId }) => roomId)),
      arrayLiteral(fresh.map(({ message }) => message.seq)),
      arrayLiteral(sends.map(({ id }) => id)),
      arrayLiteral(sends.map(({ sender }) => sender.id)),
      arrayLiteral(sends.map(({ clientMsgId }) => clientMsgId)),
      arrayLiteral(sends.map(({ replyTo }) => replyTo ?? "null")),
      sends.map(({ content }) => content),
      arrayLiteral(sends.map(({ fingerprint }) => fingerprint)),
      time,
    ],
    { name: "chat_insert_messages" },
  );
}

/** Who writes has read up to there: for each sender in each room their last message. */
function readMarksOf(fresh: Decision["fresh"]): Parameters<typeof advanceReadMarks>[1] {
  const marks = new Map(
    fresh.map(({ send: { roomId, sender }, message: { seq } }) => keyed({ roomId, userId: sender.id, seq })),
  );
  return [...marks.values()];
}

function keyed<P extends Pair>(pair: P): [string, P] {
  return [pairKey(pair), pair];
}

async function advanceRooms(tx: Tx, lastSeqs: ReadonlyMap<number, number>): Promise<void> {
  await tx.query(
    `update chat_room r set last_seq = k.seq from unnest($1::bigint[], $2::bigint[]) k(id, seq) where r.id = k.id`,
    [arrayLiteral([...lastSeqs.keys()]), arrayLiteral([...lastSeqs.values()])],
  );
}
