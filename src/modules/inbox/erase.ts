import type { Queryable } from "../../lib/db.ts";

/** Removes the texts of messages whose entries were redacted; that they were written, and when, stays. */
export async function eraseMessages(tx: Queryable, ids: readonly string[]): Promise<void> {
  await tx.query(
    `update inbox_message m set text = null from inbox_message_key k
      where k.id = any($1::uuid[]) and m.dialog_id = k.dialog_id and m.sent_at = k.sent_at
        and m.received_at = k.received_at and m.id = k.id`,
    [ids],
  );
  await tx.query("update inbox_dialog set last_message_text = '' where last_message_id = any($1::uuid[])", [
    ids,
  ]);
}
