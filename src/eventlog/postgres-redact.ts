import { uuidv7 } from "../../protocol/ids.ts";
import type { Queryable } from "../lib/db.ts";
import { type NewEntry, type RedactedData, jsonText, redactedData, redactedType } from "./eventlog.ts";
import { redactParked } from "./parking.ts";

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
  // Now, and not only when each group meets the notice: a group may no longer run.
  await redactParked(tx, ids);
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
