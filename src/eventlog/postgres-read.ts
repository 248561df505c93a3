import type { Queryable } from "../lib/db.ts";
import type { Session } from "../lib/session.ts";
import { type Entry, type JsonText, PositionExpiredError, type ReadResult } from "./eventlog.ts";

export type EntryRow = {
  readonly id: string;
  readonly part: number;
  readonly entry_offset: number;
  readonly topic: string;
  readonly type: string;
  readonly time_ms: number;
  readonly actor: string;
  readonly data: string;
  readonly trace: string | null;
};

/** Column `bytes` of a row: of its data and of that of the rows before it in the window `inorder`. */
export const runningBytes = "sum(octet_length(data::text)) over inorder as bytes";

/** The condition on rows with it that belong to the answer: the first one always does. */
export function withinBytes(row: string, parameter: number): string {
  return `(${row}.bytes <= $${parameter}::bigint or ${row}.bytes = octet_length(${row}.data::text))`;
}

/**
 * Reads within the one segment that holds the wanted offset, so the planner never merges segments. `head` and `next`
 * come from the same snapshot as the rows: below `head`, all that will ever be there is there. `following` tells of an
 * entry that the limit allows and the bound on bytes, $4, does not.
 */
const readStatement = `
with place as materialized (
  select (select next_offset - 1 from eventlog_partition where part = $1) as head,
         (select min(first_offset) from eventlog_segment where part = $1) as oldest,
         (select max(segment) from eventlog_segment where part = $1 and first_offset <= $2::bigint + 1) as segment,
         (select min(first_offset) from eventlog_segment where part = $1 and first_offset > $2::bigint + 1) as next_segment_at
)
select p.head, p.oldest, p.next_segment_at, e.following, e.id, e.part, e.entry_offset, e.topic, e.type,
       (extract(epoch from e.time) * 1000)::float8 as time_ms, e.actor, e.data, e.trace
  from place p left join lateral (
    select *, lead(entry_offset) over inorder as following, ${runningBytes} from (
      select * from eventlog_entry
       where part = $1 and entry_offset > $2::bigint and segment = p.segment
       order by entry_offset limit $3) allowed
    window inorder as (order by entry_offset rows unbounded preceding)) e on ${withinBytes("e", 4)}
 order by e.entry_offset`;

type ReadRow = {
  readonly head: number;
  readonly oldest: number;
  readonly next_segment_at: number | null;
  readonly following: number | null;
} & { readonly [K in keyof EntryRow]: EntryRow[K] | null };

export async function readEntries(
  session: Session,
  place: {
    readonly partition: number;
    readonly after: number;
    readonly limit: number;
    readonly bytesMax: number;
  },
): Promise<ReadResult> {
  const { partition, after, limit, bytesMax } = place;
  const { rows } = await session.query<ReadRow>({
    name: "eventlog_read",
    text: readStatement,
    values: [partition, after, limit, bytesMax],
  });
  const first = rows[0];
  if (first === undefined) throw new Error(`the log has no partition ${partition}`);
  if (after + 1 < first.oldest) throw new PositionExpiredError(partition, after, first.oldest - 1);
  const entries = rows.filter((row): row is ReadRow & EntryRow => row.id !== null).map(toEntry);
  // A short answer means that the segment ends here: the rest of its offsets, if any, are gaps.
  const segmentEnd = first.next_segment_at === null ? first.head : first.next_segment_at - 1;
  const more = entries.length === limit || rows.at(-1)?.following !== null;
  const end = more ? (entries.at(-1)?.offset ?? after) : Math.max(segmentEnd, after);
  return { entries, end };
}

export function toEntry(row: EntryRow): Entry {
  return {
    id: row.id,
    partition: row.part,
    offset: row.entry_offset,
    topic: row.topic,
    type: row.type,
    time: Math.round(row.time_ms),
    actor: row.actor,
    data: row.data as JsonText,
    trace: row.trace ?? undefined,
  };
}

/** The last offset of each partition that retention has removed. */
export async function tailOffsets(queryable: Queryable): Promise<readonly number[]> {
  const { rows } = await queryable.query<{ tail: number }>(
    "select min(first_offset) - 1 as tail from eventlog_segment group by part order by part",
  );
  return rows.map(({ tail }) => tail);
}
