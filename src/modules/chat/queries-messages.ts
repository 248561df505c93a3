import {
  type Message,
  type MessageRevision,
  type MessageWithRevisions,
  type MessagesPage,
  type MessagesQuery,
  type SeedMessage,
  type SeedMessagesQuery,
  generalRoomId,
} from "../../../protocol/chat.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Actor } from "../../access/actor.ts";
import { usernamesOf } from "../../access/people.ts";
import type { Db, Queryable } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";
import { type MessageRow, findMessage, messageColumns, toMessage } from "./messages.ts";
import { lookAt, rankOf, ranks } from "./rights.ts";

/** A stretch of a room's messages, both ends included. Empty where `from` is behind `to`. */
export type Stretch = { readonly from: number; readonly to: number };

/** The parameters that say where a page is. */
const places = ["before", "after", "around", "anchor"] as const;

/**
 * Which stretch a query asks for: since no seq is ever missing, a page is computed, not searched. Throws `invalid_query`
 * that names the parameters when there is more than one of them.
 */
export function stretchOf(
  query: MessagesQuery,
  { lastSeq, lastReadSeq }: { readonly lastSeq: number; readonly lastReadSeq: number | null },
): Stretch {
  const { before, after, around, anchor, limit = limits.pageRowsDefault } = query;
  const given = places.filter((place) => query[place] !== undefined);
  if (given.length > 1) {
    throw new AppError("invalid_query", {
      detail: `at most one of ${places.join(", ")} says which messages`,
      fields: given.map((pointer) => ({ pointer, code: "exclusive", detail: "contradicts the others" })),
    });
  }
  const endingAt = (to: number): Stretch => ({ from: Math.max(1, to - limit + 1), to });
  if (before !== undefined) return endingAt(Math.min(before - 1, lastSeq));
  if (after !== undefined) return { from: after + 1, to: Math.min(after + limit, lastSeq) };
  const middle = around ?? (anchor === undefined ? undefined : (lastReadSeq ?? lastSeq) + 1);
  if (middle === undefined) return endingAt(lastSeq);
  // As many on either side, or more on one where the other ends.
  const from = Math.max(1, Math.min(middle - (limit >> 1), lastSeq - limit + 1));
  return { from, to: Math.min(from + limit - 1, lastSeq) };
}

/** A page of a room's messages in the order of `seq`. */
export async function listMessages(
  db: Db,
  actor: Actor,
  { roomId, ...query }: MessagesQuery & { readonly roomId: number },
): Promise<MessagesPage> {
  const { room, mine } = await lookAt(db, actor, roomId);
  const { lastSeq } = room;
  const lastReadSeq = mine?.lastReadSeq ?? null;
  const { from, to } = stretchOf(query, { lastSeq, lastReadSeq });
  return {
    items: [...(await readStretch(db, roomId, { from, to }))],
    before: from > 1 && lastSeq > 0 ? Math.min(from, lastSeq + 1) : null,
    after: to < lastSeq ? Math.max(to, 0) : null,
    last_seq: lastSeq,
    last_read_seq: lastReadSeq,
  };
}

async function readStretch(
  db: Queryable,
  roomId: number,
  { from, to }: Stretch,
): Promise<readonly Message[]> {
  if (from > to) return [];
  const { rows } = await db.query<MessageRow>(
    `select ${messageColumns} from chat_message m where room_id = $1 and seq between $2 and $3 order by seq`,
    [roomId, from, to],
  );
  const names = await usernamesOf(
    db,
    rows.map(({ sender_id: senderId }) => senderId),
  );
  return rows.map((row) => toMessage(row, names.get(row.sender_id) ?? ""));
}

/** One message; to who may delete it, also with what it said before. */
export async function showMessage(
  db: Db,
  actor: Actor,
  { roomId, messageId }: { readonly roomId: number; readonly messageId: string },
): Promise<MessageWithRevisions> {
  const { rank, mine } = await lookAt(db, actor, roomId);
  const row = await findMessage(db, { roomId, messageId });
  const names = await usernamesOf(db, [row.sender_id]);
  const wroteIt = mine !== undefined && mine.userId === row.sender_id;
  const mayDelete = wroteIt || Math.max(rank, rankOf(mine?.role)) >= ranks.moderator;
  return {
    message: toMessage(row, names.get(row.sender_id) ?? ""),
    revisions: mayDelete ? await revisionsOf(db, messageId) : null,
  };
}

async function revisionsOf(db: Queryable, messageId: string): Promise<MessageRevision[]> {
  const { rows } = await db.query<{ version: number; content: string; written_at: Date }>(
    "select version, content, written_at from chat_message_revision where message_id = $1 order by version",
    [messageId],
  );
  return rows.map(({ version, content, written_at: writtenAt }) => ({
    version,
    content,
    written_at: writtenAt.toISOString(),
  }));
}

/** The seed's list: messages of the room that is everybody's, the newest first. */
export async function listSeedMessages(
  db: Db,
  actor: Actor,
  { limit = limits.pageRowsDefault, offset = 0 }: SeedMessagesQuery,
): Promise<readonly SeedMessage[]> {
  const { room } = await lookAt(db, actor, generalRoomId);
  const to = room.lastSeq - offset;
  const messages = await readStretch(db, generalRoomId, { from: Math.max(1, to - limit + 1), to });
  return messages.map(toSeedMessage).reverse();
}

export function toSeedMessage({ seq, user_id, username, content, created_at }: Message): SeedMessage {
  return { id: seq, user_id, username, content, created_at };
}
