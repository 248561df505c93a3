import type { Message } from "../../../protocol/chat.ts";
import { type Actor, actorName } from "../../access/actor.ts";
import { findMember } from "../../access/membership.ts";
import { usernamesOf } from "../../access/people.ts";
import { AppError } from "../../lib/errors.ts";
import type { CommandDeps } from "./create-room.ts";
import { roomEntry } from "./entries.ts";
import type { Erasing } from "./erase.ts";
import { entryIdOf, lockMessage, toMessage } from "./messages.ts";
import { joinFirst, lookAt, rankOf, ranks } from "./rights.ts";

export type WhichMessage = { readonly roomId: number; readonly messageId: string };

/**
 * The sender's, or a moderator's to do. The message keeps its place and loses its words: in the room at once, and in the
 * log's earlier entries when this resolves, or soon after should that fail. Deleting it again changes nothing.
 */
export async function deleteMessage(
  { db, eventlog, clock, erasing }: CommandDeps & { readonly erasing: Erasing },
  actor: Actor,
  { roomId, messageId }: WhichMessage,
): Promise<Message> {
  const { message, versions } = await db.transaction(async (tx) => {
    const { rank } = await lookAt(tx, actor, roomId);
    const manages = rank === ranks.manager;
    const mine =
      actor.kind === "user" ? await findMember(tx, { roomId, userId: actor.id }, { keep: true }) : undefined;
    if (mine === undefined && !manages) throw joinFirst();
    const row = await lockMessage(tx, { roomId, messageId });
    const wroteIt = actor.kind === "user" && row.sender_id === actor.id;
    if (!wroteIt && !manages && rankOf(mine?.role) < ranks.moderator)
      throw new AppError("forbidden", { detail: "only who wrote a message, or a moderator, deletes it" });
    const username = (await usernamesOf(tx, [row.sender_id])).get(row.sender_id) ?? "";
    if (row.deleted_at !== null) return { message: toMessage(row, username), versions: 0 };

    const deletedAt = new Date(clock.now());
    await tx.query(
      "update chat_message set content = '', version = version + 1, deleted_at = $2 where id = $1",
      [messageId, deletedAt],
    );
    await tx.query("delete from chat_message_revision where message_id = $1", [messageId]);
    await tx.query("insert into chat_erasure (message_id, versions) values ($1, $2)", [
      messageId,
      row.version,
    ]);
    const deleted = { ...row, content: "", version: row.version + 1, deleted_at: deletedAt };
    const message = toMessage(deleted, username);
    const id = entryIdOf(messageId, message.version);
    await eventlog.appendIn(tx, [
      roomEntry({ id, actor: actorName(actor) }, roomId, "message.deleted", { message }),
    ]);
    return { message, versions: row.version };
  });
  if (versions > 0) await erasing.erase({ messageId, roomId, versions });
  return message;
}
