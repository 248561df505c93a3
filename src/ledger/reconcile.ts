import { type Db, boundTo } from "../lib/db.ts";
import { awaitPayouts, writeHalt } from "./halt.ts";
import { type Law, laws } from "./reconcile-laws.ts";

/** Mismatches of one law that are named; the others are counted. */
export const mismatchesNamed = 20;
/** How long reconciling waits for a lock, and for payouts under way when it halts them, milliseconds. */
const lockTimeoutMs = 10_000;

export type Mismatch = {
  readonly law: Law;
  /** An account, a transfer or a currency. */
  readonly place: string;
  readonly stands: string | null;
  readonly ought: string | null;
};

export type Reconciled = {
  /** How many there are, and the first of each law. */
  readonly mismatchCount: number;
  readonly mismatches: readonly Mismatch[];
  readonly accounts: number;
  readonly transfers: number;
  /** Why payouts go on in spite of mismatches: the halt could not be written. */
  readonly haltFault?: unknown;
};

type FoundRow = Omit<Mismatch, "law"> & { readonly total: number };

/**
 * Computes anew from the legs, in one snapshot and for as long as that takes, everything that the ledger counts, and halts
 * payouts on any mismatch: better to stop than to be wrong. It mends nothing, and lifts no halt. Nobody waits while it reads, but what
 * is updated meanwhile is not tidied up: everything that is hot gets slower by and by. What it has found it tells, whatever fails then.
 */
export async function reconcile(
  db: Pick<Db, "unhurried">,
  nowMs: number,
  signal?: AbortSignal,
): Promise<Reconciled> {
  return db.unhurried(lockTimeoutMs, async (own) => {
    const found = await readAll(boundTo(own, signal));
    if (found.mismatchCount === 0) return found;
    try {
      // At once, whoever has a payout under way, and even when it is just told to end.
      await own.transaction((tx) => writeHalt(tx, reasonOf(found), nowMs));
    } catch (haltFault) {
      return { ...found, haltFault };
    }
    // So that afterwards none is made which was decided before. It stands without that as well: there is no harm in one that takes long.
    await boundTo(own, signal)
      .transaction(awaitPayouts)
      .catch(() => undefined);
    return found;
  });
}

function readAll(db: Pick<Db, "transaction">): Promise<Reconciled> {
  return db.transaction(async (tx) => {
    await tx.query("set transaction isolation level repeatable read, read only");
    const { rows: counts } = await tx.query<{ accounts: number; transfers: number }>(
      "select (select count(*) from ledger_account) as accounts, (select count(*) from ledger_transfer) as transfers",
    );
    const mismatches: Mismatch[] = [];
    let mismatchCount = 0;
    for (const [law, text] of Object.entries(laws) as [Law, string][]) {
      const { rows } = await tx.query<FoundRow>(
        `select place, stands, ought, count(*) over () as total from (${text}) broken order by place limit $1`,
        [mismatchesNamed],
      );
      mismatchCount += rows[0]?.total ?? 0;
      mismatches.push(...rows.map(({ place, stands, ought }) => ({ law, place, stands, ought })));
    }
    return {
      mismatchCount,
      mismatches,
      accounts: counts[0]?.accounts ?? 0,
      transfers: counts[0]?.transfers ?? 0,
    };
  });
}

function reasonOf({ mismatchCount, mismatches }: Reconciled): string {
  const [first] = mismatches;
  if (first === undefined) return "";
  const { law, place, stands, ought } = first;
  return `reconciling found ${mismatchCount} mismatches, the first of ${law} at ${place}: ${stands} where it ought to be ${ought}`;
}
