import type { Queryable } from "../lib/db.ts";

/**
 * Who works on which partition of a group. A lease lasts 10 s by the database's clock and is renewed every 3 s. It
 * decides who should work; the epoch decides whose work counts: it grows with each change of owner, and every
 * checkpoint is moved by compare-and-set on it, so a stale owner's effects roll back.
 *
 * A lease that was given before the database last started is void: an embedded database never outlives its server,
 * so after a crash nobody waits for a dead owner, and a live one only has to claim again.
 *
 * Statements that change several rows lock them by group and partition, as those of the checkpoints do: none deadlocks.
 */
export const leaseS = 10;
export const renewEveryMs = 3_000;
/** A member that has not been seen for this long is not counted when partitions are shared out, seconds. */
const memberSeenS = 10;

export type Lease = {
  readonly group: string;
  readonly partition: number;
  readonly epoch: number;
  readonly checkpoint: number;
};

type LeaseRow = {
  readonly group_name: string;
  readonly part: number;
  readonly epoch: number;
  readonly checkpoint: number;
};

const valid = "lease_until > now() and leased_at > pg_postmaster_start_time()";

function toLease(row: LeaseRow): Lease {
  return { group: row.group_name, partition: row.part, epoch: row.epoch, checkpoint: row.checkpoint };
}

/** Marks the node as alive; resolves with the number of members that are and know the group, for each of its groups. */
export async function beat(
  db: Queryable,
  { node, groups }: { readonly node: string; readonly groups: readonly string[] },
): Promise<readonly number[]> {
  const { rows } = await db.query<{ members: number }>(
    `with me as (
       insert into eventlog_member (node, groups) values ($1, $3)
       on conflict (node) do update set seen_at = now(), groups = excluded.groups
     ), gone as (
       delete from eventlog_member where seen_at < now() - interval '1 hour' and node <> $1
     )
     select (select count(*) from eventlog_member m
              where m.node <> $1 and m.seen_at > now() - make_interval(secs => $2)
                and m.seen_at > pg_postmaster_start_time() and g.group_name = any(m.groups)) + 1 as members
       from unnest($3::text[]) with ordinality g(group_name, n) order by g.n`,
    [node, memberSeenS, groups],
  );
  return rows.map(({ members }) => members);
}

/** Renews what the node holds; resolves with it. What is missing from the answer was lost to another. */
export async function renewLeases(db: Queryable, node: string): Promise<readonly Lease[]> {
  const { rows } = await db.query<LeaseRow>(
    `with mine as materialized (
       select group_name, part from eventlog_group where owner = $1 and ${valid} order by group_name, part for no key update
     )
     update eventlog_group g set lease_until = now() + make_interval(secs => $2), leased_at = now()
       from mine where g.group_name = mine.group_name and g.part = mine.part and g.owner = $1
     returning g.group_name, g.part, g.epoch, g.checkpoint`,
    [node, leaseS],
  );
  return rows.map(toLease);
}

/** How many partitions of a group a node may hold. */
export type Share = { readonly group: string; readonly share: number };

/** Claims free partitions, so that the node holds up to its share of each group. Resolves with the new ones. */
export async function claimLeases(
  db: Queryable,
  { node, shares }: { readonly node: string; readonly shares: readonly Share[] },
): Promise<readonly Lease[]> {
  const { rows } = await db.query<LeaseRow>(
    `with free as materialized (
       select group_name, part from eventlog_group
        where group_name = any($2::text[]) and not (${valid} and owner is not null)
        order by group_name, part for update skip locked
     ), held as (
       select group_name, count(*)::int as held from eventlog_group
        where group_name = any($2::text[]) and owner = $1 and ${valid} group by group_name
     ), ranked as (
       select f.group_name, f.part, s.share,
              row_number() over (partition by f.group_name order by f.part) + coalesce(h.held, 0) as rank
         from free f join unnest($2::text[], $3::int[]) s(group_name, share) using (group_name)
         left join held h using (group_name)
     )
     update eventlog_group g
        set owner = $1, epoch = g.epoch + 1, leased_at = now(), lease_until = now() + make_interval(secs => $4)
       from ranked r
      where g.group_name = r.group_name and g.part = r.part and r.rank <= r.share
     returning g.group_name, g.part, g.epoch, g.checkpoint`,
    [node, shares.map(({ group }) => group), shares.map(({ share }) => share), leaseS],
  );
  return rows.map(toLease);
}

/** Whether any of the groups has a partition that nobody holds; a claim passes over those that a batch has locked. */
export async function hasFreePartitions(db: Queryable, groups: readonly string[]): Promise<boolean> {
  const { rows } = await db.query<{ free: boolean }>(
    `select exists (select from eventlog_group
                     where group_name = any($1::text[]) and not (${valid} and owner is not null)) as free`,
    [groups],
  );
  return rows[0]?.free ?? false;
}

/** Gives partitions back, so that others need not wait for the lease to end. Harmless for what is no longer held. */
export async function releaseLeases(
  db: Queryable,
  node: string,
  leases: readonly Pick<Lease, "group" | "partition" | "epoch">[],
): Promise<void> {
  await db.query(
    `with mine as materialized (
       select g.group_name, g.part from eventlog_group g
         join unnest($2::text[], $3::smallint[], $4::bigint[]) r(group_name, part, epoch) using (group_name, part, epoch)
        where g.owner = $1 order by g.group_name, g.part for no key update of g
     )
     update eventlog_group g set owner = null, lease_until = '-infinity'
       from mine where g.group_name = mine.group_name and g.part = mine.part and g.owner = $1`,
    [
      node,
      leases.map(({ group }) => group),
      leases.map(({ partition }) => partition),
      leases.map(({ epoch }) => epoch),
    ],
  );
}

/** Gives everything back and forgets the node, so that its share goes to the others at once. */
export async function leave(db: Queryable, node: string): Promise<void> {
  await db.query(
    `with mine as materialized (
       select group_name, part from eventlog_group where owner = $1 order by group_name, part for no key update
     ), released as (
       update eventlog_group g set owner = null, lease_until = '-infinity'
         from mine where g.group_name = mine.group_name and g.part = mine.part and g.owner = $1
     )
     delete from eventlog_member where node = $1`,
    [node],
  );
}

/** Creates the checkpoints that a group lacks. `after` gives the offset per partition to start behind. */
export async function ensureGroup(db: Queryable, group: string, after: readonly number[]): Promise<void> {
  await db.query(
    `insert into eventlog_group (group_name, part, checkpoint)
     select $1, part - 1, checkpoint from unnest($2::bigint[]) with ordinality as c(checkpoint, part)
     on conflict do nothing`,
    [group, after],
  );
}
