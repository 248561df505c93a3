import { verify } from "../harness/bench.ts";
import type { Queryable } from "../../src/lib/db.ts";

/** What both sides leave behind per item. The key would refuse an effect that happened twice. */
export const effectSchema = `
create table effect (id uuid primary key, topic text not null, at timestamptz not null default now(), data json not null)`;

export const insertEffects = `insert into effect (id, topic, data)
select * from unnest($1::uuid[], $2::text[], $3::json[])`;

export const insertEffect = "insert into effect (id, topic, data) values ($1, $2, $3)";

/** Every item must have had its effect exactly once. */
export async function verifyEffects(queryable: Queryable, expected: number, side: string): Promise<void> {
  const { rows } = await queryable.query<{ count: number }>("select count(*) from effect");
  verify(rows[0]?.count === expected, `${side}: ${expected} items added, ${rows[0]?.count} effects`);
}

/** How much work a side does before its measurement, and in it. */
export type Amount = { readonly warmUpItems: number; readonly items: number };

/** What `add` is given at once, on both sides. */
export const addBatch = 1_000;
/** Calls of `add` at a time, on both sides. */
const adders = 2;

/** Adds `count` items in batches and resolves when `done` says that all of them are. Answers items per second. */
export async function addAndDrain(
  count: number,
  add: (count: number) => Promise<unknown>,
  done: () => Promise<void>,
): Promise<number> {
  const startedAt = performance.now();
  let left = count;
  const addRest = async (): Promise<void> => {
    while (left > 0) {
      const size = Math.min(addBatch, left);
      left -= size;
      await add(size);
    }
  };
  await Promise.all(Array.from({ length: adders }, addRest));
  await done();
  return (count / (performance.now() - startedAt)) * 1_000;
}
