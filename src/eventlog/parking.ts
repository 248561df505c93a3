import type { Queryable } from "../lib/db.ts";
import { type Entry, redactedData } from "./eventlog.ts";
import { type EntryRow, toEntry } from "./postgres-read.ts";

/**
 * The retry stage. An entry that fails is parked, and later entries of its topic behind it; the first of a topic is
 * tried again with back-off, the others follow in order. Only the owner of the partition parks and takes out, always
 * in a transaction that is fenced by its epoch.
 */

/** Delay before attempt n + 1 of a parked entry. */
export const retryRule = { baseMs: 100, factor: 4, maxMs: 60_000 } as const;
/** Parked entries of one group beyond which its partitions stop rather than park more. */
export const parkedMax = 100_000;
/** Longest stored error, in UTF-16 units. */
const errorLengthMax = 2_000;

export type ParkedEntry = { readonly id: number; readonly attempts: number; readonly entry: Entry };

export type Failure = {
  readonly attempts: number;
  readonly error: string;
  readonly delayMs: number;
  readonly dead: boolean;
};

/** Parks entries: the one that failed with its failure, others (`undefined`) behind an earlier one. */
export async function park(
  tx: Queryable,
  group: string,
  items: readonly { readonly entry: Entry; readonly failure: Failure | undefined }[],
): Promise<void> {
  await tx.query(
    `insert into eventlog_parked (group_name, part, entry_offset, entry_id, topic, type, time, actor, data, trace,
                                  state, attempts, error, next_at)
     select $1, i.part, i.entry_offset, i.entry_id, i.topic, i.type, to_timestamp(i.time_ms / 1000), i.actor, i.data, i.trace,
            i.state, i.attempts, i.error, now() + make_interval(secs => i.delay_ms / 1000)
       from unnest($2::smallint[], $3::bigint[], $4::uuid[], $5::text[], $6::text[], $7::float8[], $8::text[], $9::json[],
                   $10::text[], $11::text[], $12::int[], $13::text[], $14::float8[])
            i(part, entry_offset, entry_id, topic, type, time_ms, actor, data, trace, state, attempts, error, delay_ms)
     on conflict (group_name, part, entry_offset) do nothing`,
    [
      group,
      items.map(({ entry }) => entry.partition),
      items.map(({ entry }) => entry.offset),
      items.map(({ entry }) => entry.id),
      items.map(({ entry }) => entry.topic),
      items.map(({ entry }) => entry.type),
      items.map(({ entry }) => entry.time),
      items.map(({ entry }) => entry.actor),
      items.map(({ entry }) => entry.data),
      items.map(({ entry }) => entry.trace ?? null),
      items.map(({ failure }) => (failure?.dead === true ? "dead" : "parked")),
      items.map(({ failure }) => failure?.attempts ?? 0),
      items.map(({ failure }) => failure?.error.slice(0, errorLengthMax) ?? null),
      items.map(({ failure }) => failure?.delayMs ?? 0),
    ],
  );
}

/** Topics of these partitions that have waiting entries; later ones must be parked behind them. */
export async function parkedTopics(
  db: Queryable,
  group: string,
  scope: { readonly partitions: readonly number[]; readonly deadHold: boolean },
): Promise<ReadonlySet<string>> {
  const { rows } = await db.query<{ topic: string }>(
    `select distinct topic from eventlog_parked
      where group_name = $1 and part = any($2::smallint[]) and (state = 'parked' or $3)`,
    [group, scope.partitions, scope.deadHold],
  );
  return new Set(rows.map(({ topic }) => topic));
}

export async function countParked(db: Queryable, group: string): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    "select count(*) from eventlog_parked where group_name = $1",
    [group],
  );
  return rows[0]?.count ?? 0;
}

export type DueTopic = { readonly partition: number; readonly topic: string };

/** Topics whose first waiting entry may be tried now. Under `deadHold` a dead entry in front holds the topic. */
export async function dueTopics(
  db: Queryable,
  group: string,
  scope: { readonly partitions: readonly number[]; readonly deadHold: boolean; readonly limit: number },
): Promise<readonly DueTopic[]> {
  const { rows } = await db.query<{ part: number; topic: string }>(
    `select part, topic from (
       select distinct on (part, topic) part, topic, state, next_at from eventlog_parked
        where group_name = $1 and part = any($2::smallint[]) and (state = 'parked' or $3)
        order by part, topic, entry_offset) first
      where state = 'parked' and next_at <= now() limit $4`,
    [group, scope.partitions, scope.deadHold, scope.limit],
  );
  return rows.map(({ part, topic }) => ({ partition: part, topic }));
}

/** The first waiting entries of a topic in log order, up to a dead one where `deadHold`. */
export async function parkedEntries(
  tx: Queryable,
  group: string,
  scope: DueTopic & { readonly deadHold: boolean; readonly limit: number },
): Promise<readonly ParkedEntry[]> {
  const { rows } = await tx.query<EntryRow & { parked_id: number; attempts: number }>(
    `select id as parked_id, attempts, entry_id as id, part, entry_offset, topic, type,
            (extract(epoch from time) * 1000)::float8 as time_ms, actor, data, trace
       from eventlog_parked p
      where group_name = $1 and part = $2 and topic = $3 and state = 'parked'
        and not ($4 and exists (select from eventlog_parked d where d.group_name = $1 and d.topic = $3 and d.part = $2
                                   and d.state = 'dead' and d.entry_offset < p.entry_offset))
      order by entry_offset limit $5`,
    [group, scope.partition, scope.topic, scope.deadHold, scope.limit],
  );
  return rows.map((row) => ({ id: row.parked_id, attempts: row.attempts, entry: toEntry(row) }));
}

export async function unpark(tx: Queryable, ids: readonly number[]): Promise<void> {
  await tx.query("delete from eventlog_parked where id = any($1::bigint[])", [ids]);
}

/** Notes another failed attempt; the last one makes the entry a dead letter. */
export async function noteFailure(tx: Queryable, id: number, failure: Failure): Promise<void> {
  await tx.query(
    `update eventlog_parked set attempts = $2, error = $3, state = $4, next_at = now() + make_interval(secs => $5::float8 / 1000)
      where id = $1`,
    [
      id,
      failure.attempts,
      failure.error.slice(0, errorLengthMax),
      failure.dead ? "dead" : "parked",
      failure.delayMs,
    ],
  );
}

/** Groups that have entries in the retry stage. */
export async function groupsWithParked(db: Queryable): Promise<ReadonlySet<string>> {
  const { rows } = await db.query<{ group_name: string }>(
    "select distinct group_name from eventlog_parked where state = 'parked'",
  );
  return new Set(rows.map(({ group_name }) => group_name));
}

/** Replaces the data of parked copies, in every group. */
export async function redactParked(tx: Queryable, entryIds: readonly string[]): Promise<void> {
  await tx.query("update eventlog_parked set data = $2::json where entry_id = any($1::uuid[])", [
    entryIds,
    redactedData,
  ]);
}
