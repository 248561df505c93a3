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
};

const contactColumns = `c.id as contact_id, s.name as source, c.external_client_id, c.phone, c.created_at as contact_created_at`;

function toContact(row: ContactRow): ContactView {
  return {
    id: row.contact_id,
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

/** Dialogs, the one with the newest message first. */
export async function listDialogs(
  db: Db,
  query: DialogQuery,
): Promise<{ readonly dialogs: readonly DialogView[]; readonly next_cursor: string | null }> {
  const limit = query.limit ?? limits.pageRowsDefault;
  const [at, id] = query.cursor === undefined ? [null, null] : decodeCursor(query.cursor, ["time", "number"]);
  // One text for each combination of filters: a generic "is null or" would keep the planner from their indexes.
  const filters = ["true"];
  const values: unknown[] = [limit + 1];
  const filter = (sql: (parameter: string) => string, value: unknown): void => {
    values.push(value);
    filters.push(sql(`$${values.length}`));
  };
  if (query.state !== undefined) filter((p) => `d.state = ${p}`, query.state);
  if (query.contact_id !== undefined) filter((p) => `d.contact_id = ${p}`, query.contact_id);
  if (at !== null) {
    values.push(at, id);
    filters.push(
      `(d.last_message_at, d.id) < ($${values.length - 1}::timestamptz, $${values.length}::bigint)`,
    );
  }
  const { rows } = await db.query<DialogRow>(
    `select d.id, d.state, d.messages_count, d.opened_at, d.last_message_at, d.last_message_text,
            ${contactColumns}
       from inbox_dialog d join inbox_contact c on c.id = d.contact_id join inbox_source s on s.id = c.source_id
      where ${filters.join(" and ")}
      order by d.activity_step desc, d.last_message_at desc, d.id desc limit $1`,
    values,
  );
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return {
    dialogs: page.map((row) => ({
      id: row.id,
      state: row.state,
      contact: toContact(row),
      messages_count: row.messages_count,
      opened_at: row.opened_at.toISOString(),
      last_message_at: row.last_message_at.toISOString(),
      last_message_text: row.last_message_text,
    })),
    next_cursor:
      rows.length > limit && last !== undefined
        ? encodeCursor([last.last_message_at.toISOString(), last.id])
        : null,
  };
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

/** Messages of a dialog, the first one sent first. Throws `not_found` for a dialog that is not there. */
export async function listMessages(
  db: Db,
  dialogId: number,
  query: MessageQuery,
): Promise<{ readonly messages: readonly DialogMessageView[]; readonly next_cursor: string | null }> {
  const limit = query.limit ?? limits.pageRowsDefault;
  const [sentAt, number] =
    query.cursor === undefined ? ["-infinity", 0] : decodeCursor(query.cursor, ["time", "number"]);
  const { rows } = await db.query<MessageRow>(
    `select id, external_message_id, direction, text, sent_at, received_at, number from inbox_message
      where dialog_id = $1 and (sent_at, number) > ($2::timestamptz, $3::bigint)
      order by sent_at, number limit $4`,
    [dialogId, sentAt, number, limit + 1],
    { name: "inbox_messages" },
  );
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
        ? encodeCursor([last.sent_at.toISOString(), last.number])
        : null,
  };
}

async function requireDialog(db: Db, id: number): Promise<void> {
  const { rowCount } = await db.query("select 1 from inbox_dialog where id = $1", [id]);
  if (rowCount === 0) throw new AppError("not_found", { detail: `there is no dialog ${id}` });
}
