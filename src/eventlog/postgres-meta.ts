import { randomInt } from "node:crypto";
import type { Db, Queryable } from "../lib/db.ts";

/** Few digits, since every position carries them; later generations count up from there. */
const firstGenerationMax = 99_999_999;

export type LogMeta = { readonly generation: number; readonly partitions: number };

/** Makes the partitions of a log that has none; resolves with what it was made with the first time. */
export async function initialiseLog(db: Db, partitions: number): Promise<LogMeta> {
  return db.transaction(async (tx) => {
    // A position of another log must not look like one of this: another log has most likely another generation.
    await tx.query(
      "insert into eventlog_meta (partitions, generation) values ($1, $2) on conflict do nothing",
      [partitions, randomInt(1, firstGenerationMax + 1)],
    );
    const { rows } = await tx.query<LogMeta>("select generation, partitions from eventlog_meta for update");
    const meta = rows[0];
    if (meta === undefined) throw new Error("eventlog_meta is empty");
    await tx.query(
      "insert into eventlog_partition (part) select generate_series(0, $1 - 1) on conflict do nothing",
      [meta.partitions],
    );
    await tx.query(
      `insert into eventlog_segment (segment, part, first_offset)
       select 1, p.part, 1 from eventlog_partition p
        where not exists (select from eventlog_segment s where s.part = p.part)`,
    );
    return meta;
  });
}

/** Resolves with the generation after this one, which somebody else may have begun already. */
export async function beginGeneration(db: Queryable, generation: number): Promise<number> {
  await db.query("update eventlog_meta set generation = generation + 1 where generation = $1", [generation]);
  const { rows } = await db.query<{ generation: number }>("select generation from eventlog_meta");
  const [meta] = rows;
  if (meta === undefined) throw new Error("eventlog_meta is empty");
  return meta.generation;
}
