import type { Queryable, Tx } from "../lib/db.ts";

/** Sets the lock of payouts apart from other advisory ones; any number that nothing else uses. */
const payoutLock = 7_319_204_570;
/** Longest reason, in Unicode code points. */
export const whyLength = 1_000;

export type Halt = { readonly since: Date; readonly why: string };

/** Since when no payouts are made, and why; undefined while they are. */
export async function findHalt(db: Queryable): Promise<Halt | undefined> {
  const { rows } = await db.query<Halt>("select since, why from ledger_halt");
  return rows[0];
}

/** Whether there is a halt, within a transaction: `haltPayouts` waits for its end. */
export async function isPayoutHalted(tx: Tx): Promise<boolean> {
  await tx.query("select pg_advisory_xact_lock_shared($1)", [payoutLock]);
  // By itself, after the lock: a statement sees what was there when it began.
  return (await findHalt(tx)) !== undefined;
}

/**
 * Stops whatever would leave the house from the commit on, and first waits for what is under way. What has stopped it already stays
 * the reason. In a transaction of its own.
 */
export async function haltPayouts(tx: Tx, why: string, nowMs: number): Promise<void> {
  await awaitPayouts(tx);
  await writeHalt(tx, why, nowMs);
}

/** Waits for all that have looked for a halt and are not committed yet; those who come meanwhile wait as well. */
export async function awaitPayouts(tx: Tx): Promise<void> {
  await tx.query("select pg_advisory_xact_lock($1)", [payoutLock]);
}

/** Stops payouts that begin after the commit, and waits for none. */
export async function writeHalt(tx: Tx, why: string, nowMs: number): Promise<void> {
  await tx.query(
    "insert into ledger_halt (since, why) values ($1, left($2, $3)) on conflict (only_one) do nothing",
    [new Date(nowMs), why, whyLength],
  );
}

/** Lets payouts be made again. Resolves with what had stopped them. */
export async function liftHalt(db: Queryable): Promise<Halt | undefined> {
  const { rows } = await db.query<Halt>("delete from ledger_halt returning since, why");
  return rows[0];
}
