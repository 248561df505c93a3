import type { Message } from "../../../protocol/chat.ts";
import { limits } from "../../../protocol/limits.ts";
import { type UserActor, actorName } from "../../access/actor.ts";
import { findMember } from "../../access/membership.ts";
import type { Tx } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";
import type { CommandDeps } from "./create-room.ts";
import { roomEntry } from "./entries.ts";
import { type MessageRow, entryIdOf, lockMessage, toMessage } from "./messages.ts";
import { joinFirst, lookAt } from "./rights.ts";

export type Edit = {
  readonly roomId: number;
  readonly messageId: string;
  readonly content: string;
  readonly version: number | undefined;
};

/**
 * The sender's to do, as long as they are a member. What it says already changes nothing, whatever version was asked
 * for: so an edit can be sent again.
 */
export async function editMessage(
  { db, eventlog, clock }: CommandDeps,
  actor: UserActor,
  { roomId, messageId, content, version }: Edit,
): Promise<Message> {
  const text = content.trim();
  return db.transaction(async (tx) => {
    await lookAt(tx, actor, roomId);
    if ((await findMember(tx, { roomId, userId: actor.id }, { keep: true })) === undefined) throw joinFirst();
    const row = await lockMessage(tx, { roomId, messageId });
    if (row.sender_id !== actor.id)
      throw new AppError("forbidden", { detail: "only who wrote a message edits it" });
    if (row.deleted_at !== null) throw new AppError("conflict", { detail: "the message was deleted" });
    if (row.content === text) return toMessage(row, actor.username);
    requireVersion(row, version);
    const edited = { ...row, content: text, version: row.version + 1, edited_at: new Date(clock.now()) };
    await saveEdit(tx, row, edited);
    const message = toMessage(edited, actor.username);
    const id = entryIdOf(messageId, message.version);
    await eventlog.appendIn(tx, [
      roomEntry({ id, actor: actorName(actor) }, roomId, "message.edited", { message }),
    ]);
    return message;
  });
}

function requireVersion(row: MessageRow, wanted: number | undefined): void {
  if (wanted !== undefined && wanted !== row.version) {
    throw new AppError("conflict", {
      detail: `the message has version ${row.version}`,
      fields: [{ pointer: "/version", code: "outdated", detail: `is ${row.version} by now` }],
    });
  }
  if (row.version > limits.messageEdits) {
    throw new AppError("conflict", { detail: `a message is edited at most ${limits.messageEdits} times` });
  }
}

async function saveEdit(
  tx: Tx,
  before: MessageRow,
  after: MessageRow & { readonly edited_at: Date },
): Promise<void> {
  await tx.query(
    "insert into chat_message_revision (message_id, version, content, written_at) values ($1, $2, $3, $4)",
    [before.id, before.version, before.content, before.edited_at ?? before.created_at],
  );
  await tx.query("update chat_message set content = $2, version = $3, edited_at = $4 where id = $1", [
    after.id,
    after.content,
    after.version,
    after.edited_at,
  ]);
}
