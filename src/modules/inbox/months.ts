import type { Db, Queryable } from "../../lib/db.ts";

/**
 * Messages lie in one table per month of their arrival. Months are made ahead by a timer; a batch that meets one that
 * is missing (a replay of old entries) makes it itself.
 */

/** Serialises those who make the same month. */
const monthLock = 7_319_204_560;
/** Months that stand ready beyond the current one. */
const monthsAhead = 2;
const dayMs = 86_400_000;

/** `2026_11` for any moment of November 2026, UTC. */
function monthOf(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 7).replace("-", "_");
}

function startOf(month: string, plus = 0): Date {
  const [year = 0, number = 1] = month.split("_").map(Number);
  return new Date(Date.UTC(year, number - 1 + plus, 1));
}

/** Makes the months of these times where they are missing. */
export async function ensureMonths(tx: Queryable, timesMs: readonly number[]): Promise<void> {
  let [first = 0] = timesMs;
  let last = first;
  for (const time of timesMs) {
    first = Math.min(first, time);
    last = Math.max(last, time);
  }
  for (const month of new Set([
    monthOf(first),
    monthOf(last),
    ...(last - first > dayMs ? timesMs.map(monthOf) : []),
  ])) {
    await makeMonth(tx, month);
  }
}

async function makeMonth(db: Queryable, month: string): Promise<void> {
  const table = `inbox_message_${month}`;
  const { rows } = await db.query<{ there: boolean }>("select to_regclass($1) is not null as there", [table]);
  if (rows[0]?.there === true) return;
  await db.query("select pg_advisory_xact_lock($1)", [monthLock]);
  await db.query(
    `create table if not exists ${table} partition of inbox_message
       for values from ('${startOf(month).toISOString()}') to ('${startOf(month, 1).toISOString()}')`,
  );
}

/** Makes the current month and those ahead. */
export async function makeMonthsAhead(db: Db, nowMs: number): Promise<void> {
  const month = monthOf(nowMs);
  for (let plus = 0; plus <= monthsAhead; plus++) {
    await db.transaction((tx) => makeMonth(tx, monthOf(startOf(month, plus).getTime())));
  }
}

/** Drops the months that are older than `keepMonths` whole months, with their keys; 0 keeps all. Resolves with their tables. */
export async function dropOldMonths(
  db: Db,
  keep: { readonly keepMonths: number; readonly nowMs: number },
): Promise<readonly string[]> {
  if (keep.keepMonths === 0) return [];
  const oldest = startOf(monthOf(keep.nowMs), -keep.keepMonths);
  const { rows } = await db.query<{ name: string }>(
    `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = 'inbox_message'::regclass and c.relname < $1 order by 1`,
    [`inbox_message_${monthOf(oldest.getTime())}`],
  );
  for (const { name } of rows) {
    await db.transaction(async (tx) => {
      await tx.query("set local lock_timeout = '2s'");
      await tx.query("delete from inbox_message_key where received_at < $1", [startOf(name.slice(-7), 1)]);
      await tx.query(`drop table ${name}`);
    });
  }
  return rows.map(({ name }) => name);
}
