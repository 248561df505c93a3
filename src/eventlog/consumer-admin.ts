import { AppError } from "../lib/errors.ts";
import type { Db, Queryable } from "../lib/db.ts";
import type { Consumer } from "./consumer.ts";
import type { EventLog } from "./eventlog.ts";
import { parkedMax } from "./parking.ts";

/** Where a group stands in one partition. */
export type PartitionState = {
  readonly partition: number;
  /** Entries between the checkpoint and the log's end, of all types, removed ones included. */
  readonly lagEntries: number;
  /** Age of the oldest of them, seconds; where retention has removed it, at least the age of what came next. */
  readonly lagSeconds: number;
  readonly parked: number;
  readonly dead: number;
  /**
   * Why nobody reads it until a person acts. `expired`: retention has removed entries that the group has not read.
   * `full`: so many entries are parked that no more may join them.
   */
  readonly stopped: "expired" | "full" | undefined;
};

export type GroupState = {
  readonly group: string;
  /** Entries between the checkpoints and the log's end, of all types. */
  readonly lagEntries: number;
  /** Age of the oldest of them, seconds. */
  readonly lagSeconds: number;
  readonly parked: number;
  readonly dead: number;
  /** Nodes that hold partitions of it. */
  readonly owners: number;
  readonly partitions: readonly PartitionState[];
};

/** The figures of a group that are too many for an overview: how many of its partitions stand still, by reason. */
export function stoppedPartitions({ partitions }: GroupState): {
  readonly expired: number;
  readonly full: number;
} {
  const count = (reason: PartitionState["stopped"]) =>
    partitions.filter(({ stopped }) => stopped === reason).length;
  return { expired: count("expired"), full: count("full") };
}

type StateRow = {
  readonly group_name: string;
  readonly part: number;
  readonly owner: string | null;
  readonly lag_entries: number;
  readonly lag_s: number;
  readonly expired: boolean;
  readonly parked: number;
  readonly dead: number;
};

/** Where every group stands in the PostgreSQL log. */
export async function groupStates(db: Queryable): Promise<readonly GroupState[]> {
  const { rows } = await db.query<StateRow>(
    `with parked as (
       select group_name, part, count(*) filter (where state = 'parked') as parked, count(*) filter (where state = 'dead') as dead
         from eventlog_parked group by group_name, part
     ), oldest as (
       select distinct on (part) part, segment, first_offset, opened_at from eventlog_segment order by part, segment
     )
     select g.group_name, g.part, case when g.lease_until > now() then g.owner end as owner,
            p.next_offset - 1 - g.checkpoint as lag_entries, g.checkpoint + 1 < o.first_offset as expired,
            coalesce(greatest(extract(epoch from now() - least(first.time,
              case when g.checkpoint + 1 < o.first_offset then o.opened_at end)), 0), 0)::float8 as lag_s,
            coalesce(k.parked, 0) as parked, coalesce(k.dead, 0) as dead
       from eventlog_group g join eventlog_partition p using (part) join oldest o using (part)
       left join parked k on k.group_name = g.group_name and k.part = g.part
       left join lateral (
         select e.time from eventlog_entry e
          where p.next_offset - 1 > g.checkpoint and e.part = g.part and e.entry_offset > g.checkpoint
            and e.segment >= coalesce((select max(s.segment) from eventlog_segment s
                                        where s.part = g.part and s.first_offset <= g.checkpoint + 1), o.segment)
          order by e.entry_offset limit 1) first on true
      order by g.group_name, g.part`,
  );
  return [...Map.groupBy(rows, ({ group_name }) => group_name)].map(([group, found]) =>
    toGroup(group, found),
  );
}

function toGroup(group: string, rows: readonly StateRow[]): GroupState {
  const partitions = rows.map((row) => ({
    partition: row.part,
    lagEntries: row.lag_entries,
    lagSeconds: row.lag_s,
    parked: row.parked,
    dead: row.dead,
    stopped: row.expired ? ("expired" as const) : row.parked >= parkedMax ? ("full" as const) : undefined,
  }));
  const sum = (figure: (state: PartitionState) => number) =>
    partitions.reduce((total, state) => total + figure(state), 0);
  return {
    group,
    lagEntries: sum(({ lagEntries }) => lagEntries),
    lagSeconds: Math.max(0, ...partitions.map(({ lagSeconds }) => lagSeconds)),
    parked: sum(({ parked }) => parked),
    dead: sum(({ dead }) => dead),
    owners: new Set(rows.flatMap(({ owner }) => owner ?? [])).size,
    partitions,
  };
}

/**
 * Sets a group's checkpoints to the oldest retained entry or to the log's end. The epoch grows, so a batch under way
 * rolls back. Reactions are not replayed from the first entry: their effects are outside.
 * Throws `not_found` for an unknown group, `conflict` for a reaction from `first`.
 */
export async function replayGroup(
  deps: { readonly db: Db; readonly eventlog: EventLog },
  consumers: readonly Consumer[],
  replay: { readonly group: string; readonly from: "first" | "head" },
): Promise<void> {
  const consumer = consumers.find(({ group }) => group === replay.group);
  if (consumer === undefined)
    throw new AppError("not_found", { detail: `there is no consumer group "${replay.group}"` });
  if (consumer.kind === "reaction" && replay.from === "first") {
    throw new AppError("conflict", { detail: `"${replay.group}" has outside effects and is never replayed` });
  }
  const offsets = await (replay.from === "first" ? deps.eventlog.tails() : deps.eventlog.heads());
  await deps.db.query(
    `with locked as materialized (
       select part from eventlog_group where group_name = $1 order by part for no key update
     )
     update eventlog_group g set checkpoint = c.checkpoint, epoch = epoch + 1, owner = null, lease_until = '-infinity'
       from locked join unnest($2::bigint[]) with ordinality as c(checkpoint, number) on c.number - 1 = locked.part
      where g.group_name = $1 and g.part = locked.part`,
    [replay.group, offsets],
  );
}
