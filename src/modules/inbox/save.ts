import type { Tx } from "../../lib/db.ts";
import { ensureMonths } from "./months.ts";

/** A message as the projection saves it. The order of an array of them is the order in which they arrived. */
export type ArrivedMessage = {
  readonly id: string;
  readonly sourceId: number;
  readonly externalMessageId: string;
  /** 32 hexadecimal digits, lower case. */
  readonly externalClientId: string;
  readonly phone: string;
  readonly text: string;
  /** Unix seconds. */
  readonly sentAtS: number;
  /** Unix milliseconds. */
  readonly receivedAtMs: number;
};

/** Characters of the newest message that a dialog shows. */
const previewLength = 200;

/** What a batch does to one contact: who they are, what they wrote, in order of arrival. */
type Batch = {
  readonly key: string;
  readonly last: ArrivedMessage;
  readonly newest: ArrivedMessage;
  readonly messages: ArrivedMessage[];
};

/**
 * Saves a batch with a handful of statements, whatever its size. Messages that are here already change nothing, and
 * what a batch does twice it does once: the same entries may come again after a crash or a replay.
 * Resolves with the number of messages that were new.
 */
export async function saveMessages(tx: Tx, messages: readonly ArrivedMessage[]): Promise<number> {
  const fresh = await withoutKnown(tx, messages);
  if (fresh.length === 0) return 0;
  await ensureMonths(
    tx,
    fresh.map(({ receivedAtMs }) => receivedAtMs),
  );
  const batches = byContact(fresh);
  const contactIds = await saveContacts(tx, batches);
  const dialogIds = await saveDialogs(tx, batches, contactIds);
  await insertMessages(tx, batches, dialogIds);
  return fresh.length;
}

async function withoutKnown(tx: Tx, messages: readonly ArrivedMessage[]): Promise<readonly ArrivedMessage[]> {
  if (messages.length === 0) return [];
  const { rows } = await tx.query<{ id: string }>(
    "select id from inbox_message_key where id = any($1::uuid[])",
    [literal(messages.map(({ id }) => id))],
    { name: "inbox_known" },
  );
  const seen = new Set(rows.map(({ id }) => id));
  return messages.filter(({ id }) => {
    if (seen.has(id)) return false;
    seen.add(id);
    return true;
  });
}

function byContact(messages: readonly ArrivedMessage[]): readonly Batch[] {
  const groups = Map.groupBy(messages, ({ sourceId, externalClientId }) => `${sourceId} ${externalClientId}`);
  return [...groups].map(([key, group]) => {
    const newest = group.reduce((best, message) => (message.sentAtS >= best.sentAtS ? message : best));
    return { key, last: group.at(-1) ?? newest, newest, messages: group };
  });
}

/** Ids of the contacts, in the order of the batches. Their phone follows the newest message. */
async function saveContacts(tx: Tx, batches: readonly Batch[]): Promise<readonly number[]> {
  const columns = [
    literal(batches.map(({ last }) => last.sourceId)),
    literal(batches.map(({ last }) => last.externalClientId)),
    literal(batches.map(({ last }) => last.phone)),
    literal(batches.map(({ last }) => last.receivedAtMs / 1000)),
  ];
  const { rows } = await tx.query<{ ord: number; id: number | null; phone: string | null }>(
    `select a.ord::int, c.id, c.phone
       from unnest($1::bigint[], $2::uuid[]) with ordinality a(source_id, external_client_id, ord)
       left join inbox_contact c using (source_id, external_client_id)`,
    columns.slice(0, 2),
    { name: "inbox_contacts" },
  );
  const ids = Array.from({ length: batches.length }, () => 0);
  let missing = false;
  let moved = false;
  for (const { ord, id, phone } of rows) {
    if (id === null) missing = true;
    else {
      ids[ord - 1] = id;
      moved ||= phone !== batches[ord - 1]?.last.phone;
    }
  }
  if (!missing && !moved) return ids;
  const { rows: saved } = await tx.query<{ key: string; id: number }>(
    `insert into inbox_contact as c (source_id, external_client_id, phone, created_at)
     select source_id, external_client_id, phone, to_timestamp(at)
       from unnest($1::bigint[], $2::uuid[], $3::text[], $4::float8[]) a(source_id, external_client_id, phone, at)
      order by source_id, external_client_id
     on conflict (source_id, external_client_id) do update set phone = excluded.phone
     returning source_id || ' ' || replace(external_client_id::text, '-', '') as key, id`,
    columns,
    { name: "inbox_save_contacts" },
  );
  const idOf = new Map(saved.map(({ key, id }) => [key, id]));
  return batches.map(({ key }) => required(idOf.get(key)));
}

/** Ids of the contacts' current dialogs, in the order of the batches; opens one where there is none. */
async function saveDialogs(
  tx: Tx,
  batches: readonly Batch[],
  contactIds: readonly number[],
): Promise<readonly number[]> {
  const { rows } = await tx.query<{ contact_id: number; id: number }>(
    `insert into inbox_dialog as d (contact_id, messages_count, opened_at, last_message_at, last_message_id, last_message_text)
     select contact_id, messages, to_timestamp(at), to_timestamp(at), message_id, left(preview, ${previewLength})
       from unnest($1::bigint[], $2::int[], $3::float8[], $4::uuid[], $5::text[]) a(contact_id, messages, at, message_id, preview)
      order by contact_id
     on conflict (contact_id) where state <> 'closed' do update set
       messages_count = d.messages_count + excluded.messages_count,
       last_message_at = greatest(d.last_message_at, excluded.last_message_at),
       last_message_id = excluded.last_message_id,
       last_message_text = excluded.last_message_text
     returning contact_id, id`,
    [
      literal(contactIds),
      literal(batches.map(({ messages }) => messages.length)),
      literal(batches.map(({ last }) => last.receivedAtMs / 1000)),
      literal(batches.map(({ newest }) => newest.id)),
      batches.map(({ newest }) => newest.text.slice(0, previewLength * 2).toWellFormed()),
    ],
    { name: "inbox_save_dialogs" },
  );
  const idOf = new Map(rows.map(({ contact_id, id }) => [contact_id, id]));
  return contactIds.map((contactId) => required(idOf.get(contactId)));
}

/** Keys and messages in one statement. A key that another transaction took meanwhile makes this one fail and repeat. */
async function insertMessages(
  tx: Tx,
  batches: readonly Batch[],
  dialogIds: readonly number[],
): Promise<void> {
  const rows = batches.flatMap(({ messages }, i) =>
    messages.map((message) => ({ message, dialogId: dialogIds[i] ?? 0 })),
  );
  await tx.query(
    `with arrived as materialized (
       select dialog_id, to_timestamp(sent) as sent_at, to_timestamp(received) as received_at, id, external_id, text
         from unnest($1::bigint[], $2::float8[], $3::float8[], $4::uuid[], $5::uuid[], $6::text[])
              a(dialog_id, sent, received, id, external_id, text)
     ), key as (
       insert into inbox_message_key (id, dialog_id, sent_at, received_at)
       select id, dialog_id, sent_at, received_at from arrived
     )
     insert into inbox_message (dialog_id, sent_at, received_at, id, external_message_id, text)
     select dialog_id, sent_at, received_at, id, external_id, text from arrived`,
    [
      literal(rows.map(({ dialogId }) => dialogId)),
      literal(rows.map(({ message }) => message.sentAtS)),
      literal(rows.map(({ message }) => message.receivedAtMs / 1000)),
      literal(rows.map(({ message }) => message.id)),
      literal(rows.map(({ message }) => message.externalMessageId)),
      rows.map(({ message }) => message.text),
    ],
    { name: "inbox_save_messages" },
  );
}

/** An array literal of numbers, UUIDs or hexadecimal digits, which need no escaping. */
function literal(values: readonly (number | string)[]): string {
  return `{${values.join(",")}}`;
}

function required(id: number | undefined): number {
  if (id === undefined) throw new Error("a row that was just written did not come back");
  return id;
}
