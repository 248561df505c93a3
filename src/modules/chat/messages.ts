import { hash } from "node:crypto";
import type { Message } from "../../../protocol/chat.ts";
import { derivedId } from "../../eventlog/derived-id.ts";
import type { Queryable, Tx } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";

/** A row of `chat_message`, as far as it is shown. */
export type MessageRow = {
  readonly room_id: number;
  readonly seq: number;
  readonly id: string;
  readonly sender_id: number;
  readonly client_msg_id: string;
  readonly reply_to: string | null;
  readonly content: string;
  readonly created_at: Date;
  readonly version: number;
  readonly edited_at: Date | null;
  readonly deleted_at: Date | null;
};

export const messageColumns =
  "m.room_id, m.seq, m.id, m.sender_id, m.client_msg_id, m.reply_to, m.content, m.created_at, m.version, m.edited_at, m.deleted_at";

export function toMessage(row: MessageRow, username: string): Message {
  return {
    id: row.id,
    room_id: row.room_id,
    seq: row.seq,
    user_id: row.sender_id,
    username,
    content: row.content,
    client_msg_id: row.client_msg_id,
    reply_to: row.reply_to,
    created_at: row.created_at.toISOString(),
    version: row.version,
    edited_at: row.edited_at?.toISOString() ?? null,
    deleted_at: row.deleted_at?.toISOString() ?? null,
  };
}

/**
 * Tells the text that was sent first from every other one, for ever, without being the text. Salted by the message's
 * own key, so that equal texts do not look equal.
 */
export function fingerprintOf(clientMsgId: string, content: string): string {
  return hash("sha256", `${clientMsgId}\n${content}`, "hex");
}

/** The id of the entry that tells of a version: that of the first is the message's, so nothing needs to be remembered. */
export function entryIdOf(messageId: string, version: number): string {
  return version === 1 ? messageId : derivedId("chat.message.version", `${messageId} ${version}`);
}

type Where = { readonly roomId: number; readonly messageId: string };

/** Throws `not_found` when the room has no such message. */
export async function findMessage(db: Queryable, where: Where): Promise<MessageRow> {
  return read(db, where, "");
}

/** The same, locked until the transaction ends. */
export async function lockMessage(tx: Tx, where: Where): Promise<MessageRow> {
  return read(tx, where, "for no key update");
}

async function read(db: Queryable, { roomId, messageId }: Where, lock: string): Promise<MessageRow> {
  const { rows } = await db.query<MessageRow>(
    `select ${messageColumns} from chat_message m where m.id = $1 and m.room_id = $2 ${lock}`,
    [messageId, roomId],
  );
  if (rows[0] === undefined)
    throw new AppError("not_found", { detail: `this room has no message ${messageId}` });
  return rows[0];
}
