import type { Db } from "../lib/db.ts";

/**
 * Segments: the unit of retention. A segment is one partition table; it is opened for all partitions at once and
 * dropped as a whole, which costs milliseconds where deleting its rows would cost minutes and a vacuum.
 */

export type SegmentRules = {
  /** A new segment is opened when the current one is this old, milliseconds… */
  readonly openAfterMs: number;
  /** …or has this many entries. */
  readonly openAfterEntries: number;
  /** A closed segment is kept this long after its last entry, milliseconds. */
  readonly keepMs: number;
  /** After this it goes even if a group has not read it: the group gets an explicit error. */
  readonly keepMaxMs: number;
};

/** Opens a segment when the current one is old or large enough and not empty; resolves with its number. */
export async function openSegmentIfDue(db: Db, rules: SegmentRules): Promise<number | undefined> {
  const { rows } = await db.query<{ age_ms: number; entries: number }>(
    `select (extract(epoch from now() - min(s.opened_at)) * 1000)::float8 as age_ms,
            sum(p.next_offset - s.first_offset)::float8 as entries
       from eventlog_partition p join eventlog_segment s using (part, segment)`,
  );
  const current = rows[0];
  if (current === undefined || current.entries === 0) return undefined;
  if (current.age_ms < rules.openAfterMs && current.entries < rules.openAfterEntries) return undefined;
  return openSegment(db);
}

/** Keeps two leaders (a stale one and its successor) from opening the same segment. */
const segmentLock = 7_319_204_552;

/**
 * Opens the next segment and turns all appends to it. The table is attached before the counters turn, so an append
 * never meets a missing one. Resolves with the new segment's number.
 */
async function openSegment(db: Db): Promise<number> {
  const next = await db.transaction(async (tx) => {
    await tx.query("select pg_advisory_xact_lock($1)", [segmentLock]);
    const { rows } = await tx.query<{ next: number }>(
      "select max(segment) + 1 as next from eventlog_partition",
    );
    const number = rows[0]?.next ?? 2;
    const table = segmentTable(number);
    await tx.query(`create table if not exists ${table} (like eventlog_entry including all)`);
    const { rowCount } = await tx.query("select 1 from pg_inherits where inhrelid = $1::regclass", [table]);
    // ATTACH takes a weaker lock than CREATE … PARTITION OF: appends and reads go on.
    if (rowCount === 0)
      await tx.query(`alter table eventlog_entry attach partition ${table} for values in (${number})`);
    return number;
  });
  await db.transaction(async (tx) => {
    await tx.query(
      `with turned as (
         update eventlog_partition p set segment = $1, rotated_at = now()
           from (select part from eventlog_partition where segment < $1 order by part for no key update) locked
          where p.part = locked.part
         returning p.part, p.next_offset)
       insert into eventlog_segment (segment, part, first_offset) select $1, part, next_offset from turned`,
      [next],
    );
  });
  return next;
}

/** Forgets the closed segments that retention no longer wants; resolves with their numbers. Their tables are left. */
export async function dropSegments(
  db: Db,
  retention: Pick<SegmentRules, "keepMs" | "keepMaxMs"> & { readonly now: number },
): Promise<readonly number[]> {
  const { rows } = await db.query<{ segment: number }>(
    `with closed as (
       select s.segment, s.part, n.first_offset - 1 as last_offset, n.opened_at as closed_at
         from eventlog_segment s join eventlog_segment n on n.part = s.part and n.segment = s.segment + 1
     ), behind as (
       select distinct c.segment from closed c join eventlog_group g on g.part = c.part
        where g.checkpoint < c.last_offset
     )
     select c.segment from closed c group by c.segment
     having max(c.closed_at) < to_timestamp($1::float8 / 1000)
        and (c.segment not in (select segment from behind) or max(c.closed_at) < to_timestamp($2::float8 / 1000))
     order by c.segment`,
    [retention.now - retention.keepMs, retention.now - retention.keepMaxMs],
  );
  // Readers look segments up in this table: once the row is gone, the entries are, whatever becomes of the table.
  for (const { segment } of rows)
    await db.query("delete from eventlog_segment where segment = $1", [segment]);
  return rows.map(({ segment }) => segment);
}

/**
 * Detaches and drops the tables of segments that are no longer listed. CONCURRENTLY, so that neither appends nor
 * reads wait; what a crash or a lock between two of the steps has left is finished the next time, and first: while one
 * detachment is pending, PostgreSQL begins no other.
 */
export async function dropForgottenTables(db: Db): Promise<void> {
  const { rows } = await db.query<{ name: string; attached: boolean; pending: boolean }>(
    `select c.relname as name, i.inhrelid is not null as attached, coalesce(i.inhdetachpending, false) as pending
       from pg_class c left join pg_inherits i on i.inhrelid = c.oid
      where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace and c.relname ~ '^eventlog_entry_[0-9]+$'
        and substring(c.relname from '[0-9]+$')::int < (select min(segment) from eventlog_segment)
      order by pending desc, c.oid`,
  );
  for (const { name, attached, pending } of rows) {
    if (attached) {
      await db.query(
        `alter table eventlog_entry detach partition ${name} ${pending ? "finalize" : "concurrently"}`,
      );
    }
    await db.query(`drop table ${name}`);
  }
}

function segmentTable(segment: number): string {
  if (!Number.isSafeInteger(segment)) throw new TypeError("a segment is numbered");
  return `eventlog_entry_${segment}`;
}
