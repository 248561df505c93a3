import { type Tx, arrayLiteral } from "../../lib/db.ts";
import { type ContactCache, currentDialogs } from "./contacts.ts";
import { ensureMonths } from "./months.ts";

/** A message as the projection saves it. The order of an array of them is the order in which they arrived. */
export type ArrivedMessage = {
  readonly id: string;
  /** The contact's topic: names it among those of all sources. */
  readonly contact: string;
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
  /** Grows with each message of the contact: the entry's offset in the log. */
  readonly number: number;
};

/** What a batch does to one contact; the last message is the one that arrived last. */
export type ContactBatch = {
  readonly contact: string;
  readonly last: ArrivedMessage;
  readonly messages: ArrivedMessage[];
};

/** Characters of its last message that a dialog shows. */
const previewLength = 200;

/**
 * Saves a batch with a handful of statements, whatever its size. Messages that are here already change nothing: the
 * same entries come again after a crash or a replay. Resolves with the number of messages that were new.
 */
export async function saveMessages(
  tx: Tx,
  arrived: readonly ArrivedMessage[],
  cache: ContactCache,
): Promise<number> {
  const once = firstOfEach(arrived);
  const messages = once.every((message) => remembered(message, cache)) ? once : await withoutKnown(tx, once);
  if (messages.length === 0) return 0;
  await ensureMonths(
    tx,
    messages.map(({ receivedAtMs }) => receivedAtMs),
  );
  const batches = byContact(messages);
  let dialogIds = await currentDialogs(tx, batches, cache);
  const touched = await updateDialogs(tx, batches, dialogIds);
  if (touched < batches.length) {
    // A remembered dialog was closed meanwhile: everything is looked up anew, which opens a new one.
    for (const { contact } of batches) cache.delete(contact);
    dialogIds = await currentDialogs(tx, batches, cache);
  }
  const saved = await insertMessages(tx, batches, dialogIds);
  // Some were here before, or went to another dialog: what was added to the figures was not right.
  if (touched < batches.length || saved < messages.length) await recountDialogs(tx, dialogIds);
  return saved;
}

/** Whether the message's contact is known as it names them, so that saving it looks nothing up and makes nothing. */
function remembered(message: ArrivedMessage, cache: ContactCache): boolean {
  return cache.get(message.contact)?.phone === message.phone;
}

/** A late repetition must neither make a contact or dialog nor put an old phone back. */
async function withoutKnown(tx: Tx, messages: readonly ArrivedMessage[]): Promise<readonly ArrivedMessage[]> {
  const { rows } = await tx.query<{ id: string }>(
    "select id from inbox_message_key where id = any($1::uuid[])",
    [arrayLiteral(messages.map(({ id }) => id))],
    { name: "inbox_known" },
  );
  const known = new Set(rows.map(({ id }) => id));
  return known.size === 0 ? messages : messages.filter(({ id }) => !known.has(id));
}

/** Without messages whose id came before: the order of the others is that of their arrival. */
function firstOfEach(arrived: readonly ArrivedMessage[]): readonly ArrivedMessage[] {
  const byId = new Map<string, ArrivedMessage>();
  for (const message of arrived) if (!byId.has(message.id)) byId.set(message.id, message);
  return byId.size === arrived.length ? arrived : [...byId.values()];
}

function byContact(messages: readonly ArrivedMessage[]): readonly ContactBatch[] {
  const groups = new Map<string, { contact: string; last: ArrivedMessage; messages: ArrivedMessage[] }>();
  for (const message of messages) {
    const { contact } = message;
    const group = groups.get(contact);
    if (group === undefined) groups.set(contact, { contact, last: message, messages: [message] });
    else {
      group.last = message;
      group.messages.push(message);
    }
  }
  return [...groups.values()];
}

/** Adds the batch to the figures of these dialogs; resolves with how many of them were not closed. */
async function updateDialogs(
  tx: Tx,
  batches: readonly ContactBatch[],
  dialogIds: readonly number[],
): Promise<number> {
  const { rowCount } = await tx.query(
    `update inbox_dialog d set
       messages_count = d.messages_count + a.messages,
       last_message_at = to_timestamp(a.at),
       activity_step = floor(a.at / 10),
       last_message_id = a.message_id,
       last_message_text = left(a.preview, ${previewLength})
       from unnest($1::bigint[], $2::int[], $3::float8[], $4::uuid[], $5::text[]) a(dialog_id, messages, at, message_id, preview)
      where d.id = a.dialog_id and d.state <> 'closed'`,
    [
      arrayLiteral(dialogIds),
      arrayLiteral(batches.map(({ messages }) => messages.length)),
      arrayLiteral(batches.map(({ last }) => last.receivedAtMs / 1000)),
      arrayLiteral(batches.map(({ last }) => last.id)),
      batches.map(({ last }) => last.text.slice(0, previewLength * 2).toWellFormed()),
    ],
    { name: "inbox_touch_dialogs" },
  );
  return rowCount;
}

/** Keys and messages in one statement; only messages whose key was not there yet are inserted. */
async function insertMessages(
  tx: Tx,
  batches: readonly ContactBatch[],
  dialogIds: readonly number[],
): Promise<number> {
  const messages = batches.flatMap((batch) => batch.messages);
  const dialogOf = batches.flatMap((batch, i) => batch.messages.map(() => dialogIds[i] ?? 0));
  const { rowCount } = await tx.query(
    `with arrived as materialized (
       select dialog_id, to_timestamp(sent) as sent_at, number, to_timestamp(received) as received_at, id, external_id, text
         from unnest($1::bigint[], $2::float8[], $3::bigint[], $4::float8[], $5::uuid[], $6::uuid[], $7::text[])
              a(dialog_id, sent, number, received, id, external_id, text)
     ), key as (
       insert into inbox_message_key (id, dialog_id, sent_at, received_at)
       select id, dialog_id, sent_at, received_at from arrived on conflict do nothing returning id
     )
     insert into inbox_message (dialog_id, sent_at, number, received_at, id, external_message_id, text)
     select dialog_id, sent_at, number, received_at, id, external_id, text from arrived join key using (id)`,
    [
      arrayLiteral(dialogOf),
      arrayLiteral(messages.map(({ sentAtS }) => sentAtS)),
      arrayLiteral(messages.map(({ number }) => number)),
      arrayLiteral(messages.map(({ receivedAtMs }) => receivedAtMs / 1000)),
      arrayLiteral(messages.map(({ id }) => id)),
      arrayLiteral(messages.map(({ externalMessageId }) => externalMessageId)),
      messages.map(({ text }) => text),
    ],
    { name: "inbox_save_messages" },
  );
  return rowCount;
}

/** Makes the figures of dialogs what their messages say. A dialog that none was ever saved in is gone. */
async function recountDialogs(tx: Tx, dialogIds: readonly number[]): Promise<void> {
  await tx.query(
    `update inbox_dialog d set
       messages_count = (select count(*) from inbox_message m where m.dialog_id = d.id),
       (last_message_at, activity_step, last_message_id, last_message_text) = (
         select m.received_at, floor(extract(epoch from m.received_at) / 10), m.id, left(coalesce(m.text, ''), ${previewLength})
           from inbox_message m where m.dialog_id = d.id order by m.number desc limit 1)
      where d.id = any($1::bigint[]) and exists (select from inbox_message m where m.dialog_id = d.id)`,
    [arrayLiteral(dialogIds)],
  );
  await tx.query(
    `delete from inbox_dialog d
      where d.id = any($1::bigint[]) and not exists (select from inbox_message m where m.dialog_id = d.id)`,
    [arrayLiteral(dialogIds)],
  );
}
