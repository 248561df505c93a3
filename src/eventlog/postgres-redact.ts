import { uuidv7 } from "../../protocol/ids.ts";
import type { Queryable } from "../lib/db.ts";
import { type NewEntry, jsonText, redactedData, redactedType } from "./eventlog.ts";

/** Data of an entry `eventlog.redacted`: the entries of its topic whose data is gone. */
export type RedactedData = { readonly entry_ids: readonly string[]; readonly reason: string };

/** Replaces the data, wherever the log keeps it, and makes the entries that tell of it: one per topic. */
export async function redactEntries(
  tx: Queryable,
  ids: readonly string[],
  reason: string,
): Promise<{ readonly changed: number; readonly entries: readonly NewEntry[] }> {
  const { rows } = await tx.query<{ id: string; topic: string }>(
    `update eventlog_entry set data = $2::json
      where id = any($1::uuid[]) and data::text <> $2 and type <> $3
     returning id, topic`,
    [ids, redactedData, redactedType],
  );
  await tx.query("update eventlog_parked set data = $2::json where entry_id = any($1::uuid[])", [
    ids,
    redactedData,
  ]);
  const byTopic = Map.groupBy(rows, ({ topic }) => topic);
  const entries = [...byTopic].map(([topic, found]) => ({
    id: uuidv7(),
    topic,
    type: redactedType,
    actor: "system",
    data: jsonText({ entry_ids: found.map(({ id }) => id), reason } satisfies RedactedData),
  }));
  return { changed: rows.length, entries };
}
