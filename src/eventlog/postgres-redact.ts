import type { Queryable, Tx } from "../lib/db.ts";
import { type NewEntry, redactedData, redactedType } from "./eventlog.ts";
import { redactParked } from "./parking.ts";
import { type Target, noticesOf, toldOf } from "./redaction.ts";

/**
 * Remembers ids for ever, so that whoever appends them again appends tombstones. It counts up `redactions` of every
 * partition: an append that waits for one of them meanwhile, and began before these ids were known, begins anew. What was
 * appended before is committed when this commits, so that the redaction after it finds it. All appends wait for that.
 */
export async function rememberRedacted(tx: Tx, ids: readonly string[]): Promise<void> {
  const { rows } = await tx.query<{ id: string }>(
    "select id from unnest($1::uuid[]) given(id) where not exists (select from eventlog_redacted r where r.id = given.id)",
    [ids],
  );
  if (rows.length === 0) return;
  await tx.query(
    `with counted as (
       update eventlog_partition p set redactions = redactions + 1
         from (select part from eventlog_partition order by part for no key update) locked
        where p.part = locked.part
       returning p.redactions)
     insert into eventlog_redacted (id, redaction)
     select given.id, (select max(redactions) from counted) from unnest($1::uuid[]) given(id)
     on conflict do nothing`,
    [rows.map(({ id }) => id)],
  );
}

/** Replaces the data, wherever the log keeps it, and makes the entries that tell of it. */
export async function redactEntries(
  tx: Queryable,
  part: readonly Target[],
  reason: string,
): Promise<{ readonly changed: number; readonly entries: readonly NewEntry[] }> {
  const ids = part.map(({ id }) => id);
  const { rows } = await tx.query<{ id: string; topic: string }>(
    `update eventlog_entry set data = $2::json
      where id = any($1::uuid[]) and data::text <> $2 and type <> $3
     returning id, topic`,
    [ids, redactedData, redactedType],
  );
  // Now, and not only when each group meets the notice: a group may no longer run.
  await redactParked(tx, ids);
  return { changed: rows.length, entries: noticesOf(toldOf(part, rows), reason) };
}
