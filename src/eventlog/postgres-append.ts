import { type Queryable, arrayLiteral } from "../lib/db.ts";
import type { QueuedEntry } from "./group-commit.ts";
import { type NewEntry, redactedData } from "./eventlog.ts";
import type { KnownLog } from "./postgres-known.ts";

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
 *   one by a look-up for as long as the rotation is young. Such an entry leaves a gap in the offsets;
 * - an id that was redacted, ever, gets a tombstone for its data.
 * Everything but the locked row is seen as it was when the statement began, before it waited. If a segment was opened or
 * ids were redacted in the meantime, that is too old. So the caller says what it knew of both before it began, and where
 * the locked row says otherwise, nothing is inserted.
 * $1 partitions, $2 entries in each, $3 time; per entry: $4 partition, $5 index within it, $6 id, $7 topic, $8 type,
 * $9 actor, $10 data, $11 trace (empty for none); $12 segment, $13 redactions as they were known. Answers for each
 * partition its base offset, segment and redactions, and how many entries were inserted and may be tombstones in all.
 */
const appendWith = (
  onConflict: string,
  { data, redacted, tombstones }: { data: string; redacted: string; tombstones: string },
): string => `
with locked as materialized (
  select part from eventlog_partition where part = any($1::smallint[]) order by part for no key update
), counter as (
  update eventlog_partition p set next_offset = p.next_offset + batch.entries
    from unnest($1::smallint[], $2::bigint[]) batch(part, entries), locked
   where p.part = batch.part and locked.part = p.part
  returning p.part, p.segment, p.redactions, p.next_offset - batch.entries as base,
            p.rotated_at > now() - interval '1 hour' as young
)${redacted}, inserted as (
  insert into eventlog_entry (segment, part, entry_offset, id, topic, type, time, actor, data, trace)
  select c.segment, e.part, c.base + e.index, e.id, e.topic, e.type, to_timestamp($3::float8), e.actor, ${data}, nullif(e.trace, '')
    from unnest($4::smallint[], $5::int[], $6::uuid[], ${texts(7)}, ${texts(8)}, ${texts(9)}, ${texts(10)}, ${texts(11)})
         e(part, index, id, topic, type, actor, data, trace)
    join counter c using (part)
   where c.segment = $12::int and c.redactions = $13::bigint
     and not (c.young and exists (
           select from eventlog_entry o where o.segment = c.segment - 1 and o.part = e.part and o.id = e.id))
  ${onConflict}
  returning 1
)
select part, base, segment, redactions, (select count(*)::int from inserted) as inserted, ${tombstones} as tombstones
  from counter`;

/** Looking ids up costs 60 µs and more: it is left out where the process knows that none was redacted. */
const asGiven = { data: "e.data::json", redacted: "", tombstones: "0" };
const withTombstones = {
  data: `case when e.id in (select id from redacted) then '${redactedData}' else e.data::json end`,
  // The length of an array that comes from a sub-select is not looked at: otherwise each batch would be planned anew, for
  // twice what its execution costs.
  redacted: `, redacted as materialized (
  select r.id from unnest((select $6::uuid[])) given(id) join eventlog_redacted r on r.id = given.id
)`,
  tombstones: "(select count(*)::int from redacted)",
};

export type AppendStatement = { readonly name: string; readonly text: string };

const unlessThere = "on conflict (id, part, segment) do nothing";
/** For entries that may be in the log already: those change nothing. */
export const appendOnce: AppendStatement = {
  name: "eventlog_append_once",
  text: appendWith(unlessThere, asGiven),
};

/**
 * For entries that are new, as nearly all are: fails as a whole with a unique violation when one is not. Looking for
 * each in both indexes before it is inserted, as `appendOnce` does, is a fifth of its cost.
 */
export const appendNew: AppendStatement = { name: "eventlog_append_new", text: appendWith("", asGiven) };

/** The same for batches in which some ids may have been redacted. */
const lookingUp = new Map<AppendStatement, AppendStatement>([
  [appendOnce, { name: "eventlog_append_once_redacted", text: appendWith(unlessThere, withTombstones) }],
  [appendNew, { name: "eventlog_append_new_redacted", text: appendWith("", withTombstones) }],
]);

type AppendRow = {
  readonly part: number;
  readonly base: number;
  readonly segment: number;
  readonly redactions: number;
  readonly inserted: number;
  readonly tombstones: number;
};

export type Appended = {
  /** Where each entry lies if it was inserted. */
  readonly assigned: readonly number[];
  readonly inserted: number;
  /** Whether some may be tombstones. */
  readonly tombstones: boolean;
};

/** More changes of the log than can fall between the same statement's beginning and its lock. */
export const viewsMax = 100;

/** Runs a statement, and again with a newer view of the log while that has changed. */
export async function append(
  queryable: Queryable,
  batch: readonly AppendItem[],
  how: { readonly time: number; readonly statement: AppendStatement; readonly known: KnownLog },
): Promise<Appended> {
  const { time, statement, known } = how;
  const { values, indexes } = appendParameters(batch, time);
  const entries = batch.map(({ entry }) => entry);
  for (let view = 1; view <= viewsMax; view++) {
    const { state } = known;
    const { name, text } = known.mayBeRedacted(entries) ? (lookingUp.get(statement) ?? statement) : statement;
    const parameters = [...values, state.segment, state.redactions];
    const { rows } = await queryable.query<AppendRow>(text, parameters, { name });
    const newer = rows.find((row) => row.segment !== state.segment || row.redactions !== state.redactions);
    if (newer === undefined) return toAppended(batch, indexes, rows);
    await known.learn(queryable, { segment: newer.segment, redactions: newer.redactions });
  }
  throw new Error("the partitions of the log are not in the same segment");
}

function toAppended(
  batch: readonly AppendItem[],
  indexes: readonly number[],
  rows: readonly AppendRow[],
): Appended {
  const bases = new Map(rows.map(({ part, base }) => [part, base]));
  return {
    assigned: batch.map(({ partition }, i) => (bases.get(partition) ?? 0) + (indexes[i] ?? 0)),
    inserted: rows[0]?.inserted ?? 0,
    tombstones: (rows[0]?.tombstones ?? 0) > 0,
  };
}

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
