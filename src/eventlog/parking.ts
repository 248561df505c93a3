import type { Queryable } from "../lib/db.ts";
import { type Entry, redactedData } from "./eventlog.ts";
import { type EntryRow, runningBytes, toEntry, withinBytes } from "./postgres-read.ts";

/**
 * The retry stage. An entry that fails is parked, and later entries of its topic behind it; the first of a topic is
 * tried again with back-off, the others follow in order. Only the owner of the partition parks and takes out, always
 * in a transaction that is fenced by its epoch.
 */

/**
 * Waiting entries of one partition of a group, dead letters not counted, from which on it is read no further: copying
 * the log is not what the stage is for. One batch more may already be on its way here.
 */
export const parkedMax = 100_000;
/** Longest stored error, in UTF-16 units. */
export const errorLengthMax = 2_000;

export type ParkedEntry = { readonly id: number; readonly attempts: number; readonly entry: Entry };

export type Failure = {
  readonly attempts: number;
  readonly error: string;
  readonly delayMs: number;
  readonly dead: boolean;
};

/** Whoever quotes an entry may quote what PostgreSQL's text refuses: NUL and lone surrogates. */
function storable(error: string): string {
  return error.slice(0, errorLengthMax).toWellFormed().replaceAll("\0", "\u2400");
}

/** An entry that is parked now and was not before, and whether it is the first of its topic there. */
export type Parked = { readonly partition: number; readonly offset: number; readonly first: boolean };

/**
 * Parks entries: the one that failed with its failure, others (`undefined`) behind an earlier one. Those that are parked
 * already, as a replay meets them, stay as they are, and are not in the answer.
 */
export async function park(
  tx: Queryable,
  group: string,
  items: readonly { readonly entry: Entry; readonly failure: Failure | undefined }[],
): Promise<readonly Parked[]> {
  const { rows } = await tx.query<{ part: number; entry_offset: number; first: boolean }>(
    `with parked as (
     insert into eventlog_parked (group_name, part, entry_offset, entry_id, topic, type, time, actor, data, trace,
                                  state, attempts, error, next_at)
     select $1, i.part, i.entry_offset, i.entry_id, i.topic, i.type, to_timestamp(i.time_ms / 1000), i.actor, i.data, i.trace,
            i.state, i.attempts, i.error, now() + make_interval(secs => i.delay_ms / 1000)
       from unnest($2::smallint[], $3::bigint[], $4::uuid[], $5::text[], $6::text[], $7::float8[], $8::text[], $9::json[],
                   $10::text[], $11::text[], $12::int[], $13::text[], $14::float8[])
            i(part, entry_offset, entry_id, topic, type, time_ms, actor, data, trace, state, attempts, error, delay_ms)
     on conflict (group_name, part, entry_offset) do nothing returning part, entry_offset, topic)
     select part, entry_offset, not exists (
              select from eventlog_parked o
               where o.group_name = $1 and o.topic = p.topic and o.entry_offset < p.entry_offset) as first
       from parked p`,
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
      items.map(({ failure }) => (failure === undefined ? null : storable(failure.error))),
      items.map(({ failure }) => failure?.delayMs ?? 0),
    ],
  );
  return rows.map((row) => ({ partition: row.part, offset: row.entry_offset, first: row.first }));
}

export type WaitingTopic = {
  readonly partition: number;
  readonly topic: string;
  readonly waiting: number;
  /** Dead letters; 0 unless they hold their topic. */
  readonly dead: number;
  /** Milliseconds until its first entry may be tried; infinite when that one is dead. */
  readonly dueInMs: number;
};

/**
 * The topics of these partitions of which entries wait; later ones must be parked behind them. Under `deadHold` a dead
 * letter in front holds its topic. Reads all that is parked there, so it is for taking over, not for every look.
 */
export async function waitingTopics(
  db: Queryable,
  group: string,
  scope: { readonly partitions: readonly number[]; readonly deadHold: boolean },
): Promise<readonly WaitingTopic[]> {
  type TopicRow = { part: number; topic: string; waiting: number; dead: number; due_in_ms: number };
  const { rows } = await db.query<TopicRow>(
    `select t.part, t.topic, t.waiting, t.total - t.waiting as dead,
            case first.state when 'dead' then 'infinity'
                 else (extract(epoch from first.next_at - now()) * 1000)::float8 end as due_in_ms
       from (select part, topic, min(entry_offset) as first_offset, count(*) as total,
                    count(*) filter (where state = 'parked') as waiting
               from eventlog_parked
              where group_name = $1 and part = any($2::smallint[]) and ${held(scope.deadHold)}
              group by part, topic) t
       join eventlog_parked first
         on first.group_name = $1 and first.part = t.part and first.entry_offset = t.first_offset`,
    [group, scope.partitions],
  );
  return rows.map((row) => ({
    partition: row.part,
    topic: row.topic,
    waiting: row.waiting,
    dead: row.dead,
    dueInMs: row.due_in_ms,
  }));
}

/** The condition on rows that hold their topic; text instead of a parameter, so that a partial index is used. */
function held(deadHold: boolean): string {
  return deadHold ? "true" : "state = 'parked'";
}

/** The first waiting entries of a topic in log order, up to a dead one where `deadHold`. */
export async function parkedEntries(
  tx: Queryable,
  group: string,
  scope: {
    readonly partition: number;
    readonly topic: string;
    readonly deadHold: boolean;
    readonly limit: number;
    /** Of data; a first entry beyond it is taken all the same. */
    readonly bytesMax: number;
  },
): Promise<readonly ParkedEntry[]> {
  const { rows } = await tx.query<EntryRow & { parked_id: number; attempts: number; state: string }>(
    `select id as parked_id, attempts, state, entry_id as id, part, entry_offset, topic, type,
            (extract(epoch from time) * 1000)::float8 as time_ms, actor, data, trace
       from (select *, ${runningBytes} from (
               select * from eventlog_parked
                where group_name = $1 and part = $2 and topic = $3 and ${held(scope.deadHold)}
                order by entry_offset limit $4) allowed
             window inorder as (order by entry_offset rows unbounded preceding)) p
      where ${withinBytes("p", "$5::bigint")} order by entry_offset`,
    [group, scope.partition, scope.topic, scope.limit, scope.bytesMax],
  );
  const dead = rows.findIndex(({ state }) => state === "dead");
  return (dead === -1 ? rows : rows.slice(0, dead)).map((row) => ({
    id: row.parked_id,
    attempts: row.attempts,
    entry: toEntry(row),
  }));
}

export async function unpark(tx: Queryable, ids: readonly number[]): Promise<void> {
  await tx.query("delete from eventlog_parked where id = any($1::bigint[])", [ids]);
}

/** Notes another failed attempt; the last one makes the entry a dead letter, and this the time since when it is one. */
export async function noteFailure(tx: Queryable, id: number, failure: Failure): Promise<void> {
  await tx.query(
    `update eventlog_parked
        set attempts = $2, error = case when data::text = $6 then null else $3 end, state = $4,
            next_at = now() + make_interval(secs => $5::float8 / 1000),
            parked_at = case $4 when 'dead' then now() else parked_at end
      where id = $1`,
    [
      id,
      failure.attempts,
      storable(failure.error),
      failure.dead ? "dead" : "parked",
      failure.delayMs,
      redactedData,
    ],
  );
}

/** Replaces the data of parked copies, in every group, and what was noted of them: an error may quote the data. */
export async function redactParked(tx: Queryable, entryIds: readonly string[]): Promise<void> {
  await tx.query(
    "update eventlog_parked set data = $2::json, error = null where entry_id = any($1::uuid[])",
    [entryIds, redactedData],
  );
}

/** How often persons have retried or dropped dead letters of the partitions that the node owns. */
export async function parkedChanges(
  db: Queryable,
  node: string,
): Promise<readonly { readonly group: string; readonly partition: number; readonly changes: number }[]> {
  const { rows } = await db.query<{ group_name: string; part: number; parked_changes: number }>(
    "select group_name, part, parked_changes from eventlog_group where owner = $1",
    [node],
  );
  return rows.map((row) => ({
    group: row.group_name,
    partition: row.part,
    changes: row.parked_changes,
  }));
}
