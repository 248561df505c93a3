import type {
  ContactView,
  DialogMessageView,
  DialogQuery,
  DialogState,
  DialogView,
  MessageQuery,
} from "../../../protocol/inbox.ts";
import { limits } from "../../../protocol/limits.ts";
import { decodeCursor, encodeCursor } from "../../lib/cursor.ts";
import { AppError } from "../../lib/errors.ts";
import type { Db } from "../../lib/db.ts";

type ContactRow = {
  readonly contact_id: number;
  readonly source_id: number;
  readonly source: string;
  readonly external_client_id: string;
  readonly phone: string;
  readonly contact_created_at: Date;
};

type DialogRow = ContactRow & {
  readonly id: number;
  readonly state: DialogState;
  readonly messages_count: number;
  readonly opened_at: Date;
  readonly last_message_at: Date;
  readonly last_message_text: string;
  readonly activity_step: number;
};

const contactColumns = `c.id as contact_id, c.source_id, s.name as source, c.external_client_id, c.phone, c.created_at as contact_created_at`;

function toContact(row: ContactRow): ContactView {
  return {
    id: row.contact_id,
    source_id: row.source_id,
    source: row.source,
    external_client_id: row.external_client_id.replaceAll("-", ""),
    phone: row.phone,
    created_at: row.contact_created_at.toISOString(),
  };
}

/** Throws `not_found`. */
export async function findContact(db: Db, id: number): Promise<ContactView> {
  const { rows } = await db.query<ContactRow>(
    `select ${contactColumns} from inbox_contact c join inbox_source s on s.id = c.source_id where c.id = $1`,
    [id],
  );
  const row = rows[0];
  if (row === undefined) throw new AppError("not_found", { detail: `there is no contact ${id}` });
  return toContact(row);
}

/**
 * The statement of a page of dialogs. It reads no more of them than the page shows, in the order of an index: by the
 * step of ten seconds in which the newest message arrived, and by id within it, since the exact time of a lively
 * dialog is in no index. They are chosen before they are joined, so that no other plan is possible.
 */
export function dialogPageStatement(
  { state, contact_id: contactId }: DialogQuery,
  page: { readonly rows: number; readonly after: readonly (string | number)[] | undefined },
): { readonly text: string; readonly values: readonly unknown[] } {
  const values: unknown[] = [page.rows];
  const parameter = (value: unknown, type: string): string => `$${values.push(value)}::${type}`;
  // One text for each combination of filters: a generic "is null or" would keep the planner from their indexes.
  const filters = ["true"];
  if (state !== undefined) filters.push(`state = ${parameter(state, "text")}`);
  if (contactId !== undefined) filters.push(`contact_id = ${parameter(contactId, "bigint")}`);
  if (page.after !== undefined) {
    const [step, id] = page.after.map((part) => parameter(part, "bigint"));
    filters.push(`(activity_step, id) < (${step}, ${id})`);
  }
  const text = `select d.id, d.state, d.messages_count, d.opened_at, d.last_message_at, d.last_message_text, d.activity_step,
            ${contactColumns}
       from (select id, contact_id, state, messages_count, opened_at, last_message_at, last_message_text, activity_step
               from inbox_dialog where ${filters.join(" and ")}
              order by activity_step desc, id desc limit $1) d
       join inbox_contact c on c.id = d.contact_id join inbox_source s on s.id = c.source_id
      order by d.activity_step desc, d.id desc`;
  return { text, values };
}

/** Dialogs, the one with the newest message first; where a page ends within ten seconds, the one opened last first. */
export async function listDialogs(
  db: Db,
  query: DialogQuery,
): Promise<{ readonly dialogs: readonly DialogView[]; readonly next_cursor: string | null }> {
  const { state, contact_id: contactId, cursor, limit = limits.pageRowsDefault } = query;
  const list = `dialogs state=${state ?? ""} contact=${contactId ?? ""}`;
  const after = cursor === undefined ? undefined : decodeCursor(cursor, list, ["number", "number"]);
  const { text, values } = dialogPageStatement(query, { rows: limit + 1, after });
  const { rows } = await db.query<DialogRow>(text, values);
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return {
    dialogs: page.toSorted(byNewestMessage).map((row) => ({
      id: row.id,
      state: row.state,
      contact: toContact(row),
      messages_count: row.messages_count,
      opened_at: row.opened_at.toISOString(),
      last_message_at: row.last_message_at.toISOString(),
      last_message_text: row.last_message_text,
    })),
    next_cursor:
      rows.length > limit && last !== undefined ? encodeCursor(list, [last.activity_step, last.id]) : null,
  };
}

function byNewestMessage(a: DialogRow, b: DialogRow): number {
  return b.last_message_at.getTime() - a.last_message_at.getTime() || b.id - a.id;
}

type MessageRow = {
  readonly id: string;
  readonly external_message_id: string;
  readonly direction: "in" | "out";
  readonly text: string | null;
  readonly sent_at: Date;
  readonly received_at: Date;
  readonly number: number;
};

/** Each direction's statement, prepared under its name, and the place before its first message. */
const messageOrders = {
  asc: messageOrder("inbox_messages", ">", "", ["-infinity", 0]),
  desc: messageOrder("inbox_messages_desc", "<", " desc", ["infinity", Number.MAX_SAFE_INTEGER]),
} as const;

function messageOrder(
  name: string,
  comparison: "<" | ">",
  direction: "" | " desc",
  start: readonly (string | number)[],
) {
  const text = `select id, external_message_id, direction, text, sent_at, received_at, number from inbox_message
      where dialog_id = $1 and (sent_at, number) ${comparison} ($2::timestamptz, $3::bigint)
      order by sent_at${direction}, number${direction} limit $4`;
  return { name, text, start };
}

/** Messages of a dialog by the time at which they were sent. Throws `not_found` for a dialog that is not there. */
export async function listMessages(
  db: Db,
  dialogId: number,
  query: MessageQuery,
): Promise<{ readonly messages: readonly DialogMessageView[]; readonly next_cursor: string | null }> {
  const { cursor, order = "asc", limit = limits.pageRowsDefault } = query;
  const { name, text, start } = messageOrders[order];
  const list = `messages dialog=${dialogId} order=${order}`;
  const [sentAt, number] = cursor === undefined ? start : decodeCursor(cursor, list, ["time", "number"]);
  const { rows } = await db.query<MessageRow>(text, [dialogId, sentAt, number, limit + 1], { name });
  if (rows.length === 0) await requireDialog(db, dialogId);
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return {
    messages: page.map((row) => ({
      id: row.id,
      external_message_id: row.external_message_id.replaceAll("-", ""),
      direction: row.direction,
      text: row.text,
      sent_at: row.sent_at.toISOString(),
      received_at: row.received_at.toISOString(),
    })),
    next_cursor:
      rows.length > limit && last !== undefined
        ? encodeCursor(list, [last.sent_at.toISOString(), last.number])
        : null,
  };
}

async function requireDialog(db: Db, id: number): Promise<void> {
  const { rowCount } = await db.query("select 1 from inbox_dialog where id = $1", [id]);
  if (rowCount === 0) throw new AppError("not_found", { detail: `there is no dialog ${id}` });
}
