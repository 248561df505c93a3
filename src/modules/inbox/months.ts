import { backoffMs, pause } from "../../lib/backoff.ts";
import { type Db, type Queryable, isLockTimeout } from "../../lib/db.ts";
import { emptyMonth } from "./months-empty.ts";

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
  if (await isThere(db, table)) return;
  await db.query("select pg_advisory_xact_lock($1)", [monthLock]);
  await db.query(`create table if not exists ${table} (like inbox_message including all)`);
  const { rowCount } = await db.query("select from pg_inherits where inhrelid = $1::regclass", [table]);
  if (rowCount > 0) return;
  // ATTACH takes a weaker lock than CREATE … PARTITION OF: reading and saving go on.
  await db.query(
    `alter table inbox_message attach partition ${table}
       for values from ('${startOf(month).toISOString()}') to ('${startOf(month, 1).toISOString()}')`,
  );
}

async function isThere(db: Queryable, table: string): Promise<boolean> {
  const { rows } = await db.query<{ there: boolean }>("select to_regclass($1) is not null as there", [table]);
  return rows[0]?.there === true;
}

/** Makes the current month and those ahead. */
export async function makeMonthsAhead(db: Db, nowMs: number): Promise<void> {
  const current = monthOf(nowMs);
  for (let plus = 0; plus <= monthsAhead; plus++) {
    const month = monthOf(startOf(current, plus).getTime());
    if (await isThere(db, `inbox_message_${month}`)) continue;
    await db.unhurried(lockWaitMs, (own) =>
      givingWay(retentionPace.attemptsMax, () => own.transaction((tx) => makeMonth(tx, month))),
    );
  }
}

export type RetentionPace = {
  /** Pages of a month, 8 KiB each, that one transaction empties. */
  readonly pagesAtOnce: number;
  /** How long one run empties and drops months, milliseconds; the next one goes on from there. */
  readonly workMaxMs: number;
  /** How often a step that met a lock is begun before the run fails. */
  readonly attemptsMax: number;
};

/** A run is short, since a server that stops waits for it. */
const retentionPace: RetentionPace = { pagesAtOnce: 100, workMaxMs: 3_000, attemptsMax: 8 };
/** How long a step waits for a lock, milliseconds: less than what PostgreSQL takes to look for a deadlock. */
const lockWaitMs = 500;
const lockRetry = { baseMs: 20, factor: 2, maxMs: 500 } as const;

/**
 * Removes the months that are older than `keepMonths` whole months, oldest first, with all that is known of their
 * messages elsewhere; 0 keeps all. Resolves with the tables that were dropped; what a run has no time for is left to the
 * next one.
 */
export async function dropOldMonths(
  db: Db,
  keep: { readonly keepMonths: number; readonly nowMs: number },
  pace: RetentionPace = retentionPace,
): Promise<readonly string[]> {
  if (keep.keepMonths === 0) return [];
  const oldest = startOf(monthOf(keep.nowMs), -keep.keepMonths);
  const { rows } = await db.query<{ name: string; pages: number }>(
    `select c.relname as name, pg_relation_size(c.oid) / current_setting('block_size')::int as pages
       from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = 'inbox_message'::regclass and c.relname < $1 order by 1`,
    [`inbox_message_${monthOf(oldest.getTime())}`],
  );
  if (rows.length === 0) return [];
  return db.unhurried(lockWaitMs, (own) => removeMonths(own, rows, pace));
}

async function removeMonths(
  db: Db,
  months: readonly { readonly name: string; readonly pages: number }[],
  { pagesAtOnce, workMaxMs, attemptsMax }: RetentionPace,
): Promise<readonly string[]> {
  const deadline = performance.now() + workMaxMs;
  const dropped: string[] = [];
  for (const { name, pages } of months) {
    const end = startOf(name.slice(-7), 1);
    for (let from = await firstPage(db, name); from < pages; from += pagesAtOnce) {
      const part = { table: name, from, to: from + pagesAtOnce, end };
      await givingWay(attemptsMax, () => db.transaction((tx) => emptyMonth(tx, part)));
      if (performance.now() > deadline) return dropped;
    }
    if (await givingWay(attemptsMax, () => dropIfEmpty(db, name))) dropped.push(name);
  }
  return dropped;
}

/** Where a row is found first: the run before this one has left off there. */
async function firstPage(db: Db, table: string): Promise<number> {
  const { rows } = await db.query<{ page: number }>(
    `select (ctid::text::point)[0]::int as page from ${table} limit 1`,
  );
  return rows[0]?.page ?? Number.POSITIVE_INFINITY;
}

/** A replay may have saved something in the meantime: that is for the next run. */
function dropIfEmpty(db: Db, table: string): Promise<boolean> {
  return db.transaction(async (tx) => {
    await tx.query("lock table only inbox_message in access exclusive mode");
    const { rowCount } = await tx.query(`select from ${table} limit 1`);
    if (rowCount > 0) return false;
    await tx.query(`drop table ${table}`);
    return true;
  });
}

/** A step of housekeeping that lets others pass: who waits for a strong lock has everybody else waiting behind. */
async function givingWay<T>(attemptsMax: number, step: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await step();
    } catch (error) {
      if (!isLockTimeout(error) || attempt >= attemptsMax) throw error;
    }
    await pause(backoffMs(attempt, lockRetry));
  }
}
