import type { Queryable } from "../../lib/db.ts";

export type PartOfMonth = {
  readonly table: string;
  /** Pages of the table, the last one excluded. */
  readonly from: number;
  readonly to: number;
  /** When the month ended. */
  readonly end: Date;
};

/**
 * Removes the messages on some pages of a month with their keys, and what was taken from them into other tables: the
 * figures and previews of their dialogs and the phones of their contacts. All in one transaction, so that at no moment
 * there is a message without a key (it could not be erased, and a replay would store it twice) or a figure that is wrong.
 *
 * A dialog of which nothing is left is closed: that is how the projection, which remembers dialogs and phones, learns
 * that it has to look up both when the contact writes again.
 */
export async function emptyMonth(tx: Queryable, { table, from, to, end }: PartOfMonth): Promise<void> {
  const { rows } = await tx.query<{ contact_id: number }>(
    `with gone as (
       delete from ${table} where ctid >= $1::tid and ctid < $2::tid returning id, dialog_id
     ), forgotten as (
       delete from inbox_message_key k using gone where k.id = gone.id
     ), fewer as (
       select dialog_id, count(*) as messages from gone group by dialog_id
     ), updated as (
       update inbox_dialog d set
         messages_count = case when d.last_message_at < $3 then 0 else greatest(d.messages_count - f.messages, 0) end,
         last_message_id = case when d.last_message_at < $3 then null else d.last_message_id end,
         last_message_text = case when d.last_message_at < $3 then '' else d.last_message_text end,
         state = case when d.last_message_at < $3 then 'closed' else d.state end
         from fewer f where d.id = f.dialog_id
       returning d.contact_id, d.last_message_at
     )
     select distinct contact_id from updated where last_message_at < $3 order by 1`,
    [`(${from},0)`, `(${to},0)`, end],
  );
  if (rows.length > 0)
    await forgetPhones(
      tx,
      rows.map(({ contact_id: id }) => id),
      end,
    );
}

/** Forgets the phones of contacts who have written nothing since. */
async function forgetPhones(tx: Queryable, contactIds: readonly number[], since: Date): Promise<void> {
  // First, so that the next statement sees the dialog of whoever held the contact until now.
  await tx.query("select from inbox_contact where id = any($1::bigint[]) order by id for update", [
    contactIds,
  ]);
  await tx.query(
    `update inbox_contact c set phone = ''
      where c.id = any($1::bigint[]) and c.phone <> ''
        and not exists (select from inbox_dialog d where d.contact_id = c.id and d.last_message_at >= $2)`,
    [contactIds, since],
  );
}
