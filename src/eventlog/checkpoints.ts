import type { Queryable } from "../lib/db.ts";

/** A move of one partition's checkpoint, valid only for the owner of this epoch. */
export type CheckpointMove = {
  readonly partition: number;
  readonly epoch: number;
  readonly from: number;
  readonly to: number;
};

/** Another owner has taken over: whatever this one did in the transaction must roll back. */
export class FencedError extends Error {
  override readonly name = "FencedError";

  constructor(group: string) {
    super(`group ${group}: another owner has taken over`);
  }
}

/**
 * Moves checkpoints by compare-and-set on epoch and old value, last in the transaction of the effects: while it is
 * locked, the row's lease cannot be renewed. Rows are locked in the order of partitions, as everywhere, so nothing
 * deadlocks. Throws `FencedError` unless every one of them was still this owner's.
 */
export async function moveCheckpoints(
  tx: Queryable,
  group: string,
  moves: readonly CheckpointMove[],
): Promise<void> {
  const { rowCount } = await tx.query(
    `with locked as materialized (
       select part from eventlog_group where group_name = $1 and part = any($2::smallint[]) order by part for no key update
     )
     update eventlog_group g set checkpoint = m.checkpoint_to
       from locked join unnest($2::smallint[], $3::bigint[], $4::bigint[], $5::bigint[])
                     m(part, epoch, checkpoint_from, checkpoint_to) using (part)
      where g.group_name = $1 and g.part = m.part and g.epoch = m.epoch and g.checkpoint = m.checkpoint_from`,
    [
      group,
      moves.map(({ partition }) => partition),
      moves.map(({ epoch }) => epoch),
      moves.map(({ from }) => from),
      moves.map(({ to }) => to),
    ],
    { name: "eventlog_checkpoint" },
  );
  if (rowCount !== moves.length) throw new FencedError(group);
}

/**
 * Locks one partition's row for its owner until the transaction ends, last in it: see `moveCheckpoints`. Throws
 * `FencedError` for anybody else.
 */
export async function holdPartition(
  tx: Queryable,
  group: string,
  owned: { readonly partition: number; readonly epoch: number },
): Promise<void> {
  const { rowCount } = await tx.query(
    "select 1 from eventlog_group where group_name = $1 and part = $2 and epoch = $3 for no key update",
    [group, owned.partition, owned.epoch],
  );
  if (rowCount !== 1) throw new FencedError(group);
}
