import { type Tx, arrayLiteral } from "../../lib/db.ts";
import { Lru } from "../../lib/lru.ts";
import type { ContactBatch } from "./save.ts";

/** What the projection remembers of a contact, so that a lively one costs no look-up. Never the truth. */
type KnownContact = { readonly phone: string; readonly dialogId: number };
export type ContactCache = Lru<string, KnownContact>;

export const contactsMax = 100_000;

export function createContactCache(): ContactCache {
  return new Lru(contactsMax);
}

/**
 * Ids of the contacts' dialogs that are not closed, in the order of the batches: from memory where the contact is
 * known and its phone has not changed; otherwise contact and dialog are looked up, and made where they are missing.
 */
export async function currentDialogs(
  tx: Tx,
  batches: readonly ContactBatch[],
  cache: ContactCache,
): Promise<readonly number[]> {
  const known = batches.map(({ contact, last }) => {
    const before = cache.get(contact);
    return before?.phone === last.phone ? before.dialogId : undefined;
  });
  const missing = batches.filter((_, i) => known[i] === undefined);
  if (missing.length === 0) return known as number[];
  const contactIds = await saveContacts(tx, missing);
  const dialogIds = await openDialogs(tx, missing, contactIds);
  const found = new Map(missing.map(({ contact }, i) => [contact, dialogIds[i] ?? 0]));
  // Others must not learn of them before they are committed.
  tx.afterCommit(() => {
    for (const { contact, last } of missing) {
      cache.set(contact, { phone: last.phone, dialogId: found.get(contact) ?? 0 });
    }
  });
  return batches.map(({ contact }, i) => known[i] ?? found.get(contact) ?? 0);
}

/** Ids of the contacts; makes those that are missing. Their phone is that of the message that arrived last. */
async function saveContacts(tx: Tx, batches: readonly ContactBatch[]): Promise<readonly number[]> {
  const { rows } = await tx.query<{ key: string; id: number }>(
    `insert into inbox_contact as c (source_id, external_client_id, phone, created_at)
     select source_id, external_client_id, phone, to_timestamp(at)
       from unnest($1::bigint[], $2::uuid[], $3::text[], $4::float8[]) a(source_id, external_client_id, phone, at)
      order by source_id, external_client_id
     on conflict (source_id, external_client_id) do update set phone = excluded.phone
     returning source_id || ' ' || replace(external_client_id::text, '-', '') as key, id`,
    [
      arrayLiteral(batches.map(({ last }) => last.sourceId)),
      arrayLiteral(batches.map(({ last }) => last.externalClientId)),
      batches.map(({ last }) => last.phone),
      arrayLiteral(batches.map(({ messages, last }) => (messages[0] ?? last).receivedAtMs / 1000)),
    ],
    { name: "inbox_save_contacts" },
  );
  const idOf = new Map(rows.map(({ key, id }) => [key, id]));
  return batches.map(({ last }) => required(idOf.get(`${last.sourceId} ${last.externalClientId}`)));
}

/** Ids of the current dialogs; opens empty ones where there is none. */
async function openDialogs(
  tx: Tx,
  batches: readonly ContactBatch[],
  contactIds: readonly number[],
): Promise<readonly number[]> {
  const { rows } = await tx.query<{ contact_id: number; id: number }>(
    `insert into inbox_dialog as d (contact_id, messages_count, opened_at, last_message_at, last_message_text, activity_step)
     select contact_id, 0, to_timestamp(at), to_timestamp(at), '', floor(at / 10)
       from unnest($1::bigint[], $2::float8[]) a(contact_id, at)
      order by contact_id
     on conflict (contact_id) where state <> 'closed' do update set contact_id = d.contact_id
     returning contact_id, id`,
    [
      arrayLiteral(contactIds),
      arrayLiteral(batches.map(({ messages, last }) => (messages[0] ?? last).receivedAtMs / 1000)),
    ],
    { name: "inbox_open_dialogs" },
  );
  const idOf = new Map(rows.map(({ contact_id, id }) => [contact_id, id]));
  return contactIds.map((contactId) => required(idOf.get(contactId)));
}

function required(id: number | undefined): number {
  if (id === undefined) throw new Error("a row that was just written did not come back");
  return id;
}
