import type { QueuedEntry } from "./group-commit.ts";
import type { NewEntry } from "./eventlog.ts";

/**
 * Ends each text of a joined column. JSON text holds no raw control character, and keys are checked for them.
 * One joined text per column costs a third of what an array literal costs to escape here and to parse there.
 */
const separator = "\u001e";
const texts = (parameter: number): string => `string_to_array($${parameter}, e'\\x1e')`;

/**
 * Locks the counter rows of the batch in partition order, advances them and inserts, in one statement:
 * - ordered locking, so two writers never deadlock;
 * - READ COMMITTED reads `next_offset` anew after waiting for the lock, and the lock is held until the commit is
 *   visible, so a reader that sees n has seen all below n;
 * - an id that the partition already holds is not inserted again: in this segment by the unique key, in the previous
 *   one by a look-up for as long as the rotation is young. Such an entry leaves a gap in the offsets.
 * $1 partitions, $2 entries in each, $3 time; per entry: $4 partition, $5 index within it, $6 id, $7 topic, $8 type,
 * $9 actor, $10 data, $11 trace (empty for none). Answers the base offset of each partition, and how many entries were
 * inserted in all.
 */
const appendWith = (onConflict: string): string => `
with locked as materialized (
  select part from eventlog_partition where part = any($1::smallint[]) order by part for no key update
), counter as (
  update eventlog_partition p set next_offset = p.next_offset + batch.entries
    from unnest($1::smallint[], $2::bigint[]) batch(part, entries), locked
   where p.part = batch.part and locked.part = p.part
  returning p.part, p.segment, p.next_offset - batch.entries as base,
            p.rotated_at > now() - interval '1 hour' as young
), inserted as (
  insert into eventlog_entry (segment, part, entry_offset, id, topic, type, time, actor, data, trace)
  select c.segment, e.part, c.base + e.index, e.id, e.topic, e.type, to_timestamp($3::float8), e.actor, e.data::json, nullif(e.trace, '')
    from unnest($4::smallint[], $5::int[], $6::uuid[], ${texts(7)}, ${texts(8)}, ${texts(9)}, ${texts(10)}, ${texts(11)})
         e(part, index, id, topic, type, actor, data, trace)
    join counter c using (part)
   where not (c.young and exists (
           select from eventlog_entry o where o.segment = c.segment - 1 and o.part = e.part and o.id = e.id))
  ${onConflict}
  returning 1
)
select part, base, (select count(*)::int from inserted) as inserted from counter`;

export type AppendStatement = { readonly name: string; readonly text: string };

/** For entries that may be in the log already: those change nothing. */
export const appendOnce: AppendStatement = {
  name: "eventlog_append_once",
  text: appendWith("on conflict (id, part, segment) do nothing"),
};

/**
 * For entries that are new, as nearly all are: fails as a whole with a unique violation when one is not. Looking for
 * each in both indexes before it is inserted, as `appendOnce` does, is a fifth of its cost.
 */
export const appendNew: AppendStatement = { name: "eventlog_append_new", text: appendWith("") };

export type AppendRow = { readonly part: number; readonly base: number; readonly inserted: number };

export type AppendItem = Pick<QueuedEntry, "entry" | "partition">;

/** The parameters of both statements, and each item's index within its partition. */
export function appendParameters(
  items: readonly AppendItem[],
  timeMs: number,
): { readonly values: readonly string[]; readonly indexes: readonly number[] } {
  const counts = new Map<number, number>();
  const indexes = items.map(({ partition }) => {
    const index = counts.get(partition) ?? 0;
    counts.set(partition, index + 1);
    return index;
  });
  const column = (pick: (entry: NewEntry) => string): string =>
    items.map(({ entry }) => pick(entry)).join(separator);
  return {
    indexes,
    values: [
      arrayLiteral([...counts.keys()]),
      arrayLiteral([...counts.values()]),
      String(timeMs / 1000),
      arrayLiteral(items.map(({ partition }) => partition)),
      arrayLiteral(indexes),
      arrayLiteral(items.map(({ entry }) => entry.id)),
      column((entry) => entry.topic),
      column((entry) => entry.type),
      column((entry) => entry.actor),
      column((entry) => entry.data),
      traceColumn(items),
    ],
  };
}

/** Most entries have none: the empty text is split into no row at all, and `unnest` fills up with nulls. */
function traceColumn(items: readonly AppendItem[]): string {
  if (items.every(({ entry }) => entry.trace === undefined)) return "";
  return items.map(({ entry }) => entry.trace ?? "").join(separator);
}

/** An array literal of numbers or UUIDs, which need no escaping. */
function arrayLiteral(values: readonly (number | string)[]): string {
  return `{${values.join(",")}}`;
}
