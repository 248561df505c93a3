import type { Queryable } from "../../lib/db.ts";

/** Removes the texts of messages whose entries were redacted; that they were written, and when, stays. */
export async function eraseMessages(tx: Queryable, ids: readonly string[]): Promise<void> {
  await tx.query(
    `update inbox_message m set text = null from inbox_message_key k
      where k.id = any($1::uuid[]) and m.dialog_id = k.dialog_id and m.sent_at = k.sent_at
        and m.received_at = k.received_at and m.id = k.id`,
    [ids],
  );
  // By the dialog's own id: nothing is indexed by its last message, and there may be millions of dialogs.
  await tx.query(
    `update inbox_dialog d set last_message_text = '' from inbox_message_key k
      where k.id = any($1::uuid[]) and d.id = k.dialog_id and d.last_message_id = k.id`,
    [ids],
  );
}
