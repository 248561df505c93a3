import { AppError } from "../lib/errors.ts";
import type { Db, Queryable } from "../lib/db.ts";
import type { Consumer } from "./consumer.ts";
import type { EventLog } from "./eventlog.ts";

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
};

type GroupRow = {
  readonly group_name: string;
  readonly lag_entries: number;
  readonly lag_s: number;
  readonly parked: number;
  readonly dead: number;
  readonly owners: number;
};

/** Where every group stands in the PostgreSQL log. */
export async function groupStates(db: Queryable): Promise<readonly GroupState[]> {
  const { rows } = await db.query<GroupRow>(
    `with behind as (
       select g.group_name, g.owner, g.lease_until, p.next_offset - 1 - g.checkpoint as lag_entries, first.time
         from eventlog_group g join eventlog_partition p using (part)
         left join lateral (
           select e.time from eventlog_entry e
            where p.next_offset - 1 > g.checkpoint and e.part = g.part and e.entry_offset > g.checkpoint
              and e.segment >= (select max(s.segment) from eventlog_segment s where s.part = g.part and s.first_offset <= g.checkpoint + 1)
            order by e.entry_offset limit 1) first on true)
     select b.group_name, sum(b.lag_entries)::float8 as lag_entries,
            coalesce(greatest(extract(epoch from now() - min(b.time)), 0), 0)::float8 as lag_s,
            count(distinct b.owner) filter (where b.lease_until > now()) as owners,
            (select count(*) from eventlog_parked k where k.group_name = b.group_name and k.state = 'parked') as parked,
            (select count(*) from eventlog_parked k where k.group_name = b.group_name and k.state = 'dead') as dead
       from behind b group by b.group_name order by b.group_name`,
  );
  return rows.map((row) => ({
    group: row.group_name,
    lagEntries: row.lag_entries,
    lagSeconds: row.lag_s,
    parked: row.parked,
    dead: row.dead,
    owners: row.owners,
  }));
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
    `update eventlog_group g set checkpoint = c.checkpoint, epoch = epoch + 1, owner = null, lease_until = '-infinity'
       from unnest($2::bigint[]) with ordinality as c(checkpoint, part)
      where g.group_name = $1 and g.part = c.part - 1`,
    [replay.group, offsets],
  );
}
