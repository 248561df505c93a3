import { type Queryable, type Tx, arrayLiteral } from "../lib/db.ts";
import type { AccountState } from "./account-state.ts";
import { throwTaken } from "./again.ts";
import type { Written } from "./decide-settle.ts";

/** What has been decided under the locks of its accounts. */
export type Settled = {
  readonly written: readonly Written[];
  readonly before: ReadonlyMap<number, AccountState>;
  readonly after: ReadonlyMap<number, AccountState>;
  readonly nowMs: number;
};

/** Writes transfers, then their legs, then what the accounts count. */
export async function saveSettled(tx: Tx, { written, before, after, nowMs }: Settled): Promise<void> {
  if (written.length === 0) return;
  await insertTransfers(tx, written, nowMs);
  await insertLegs(tx, written);
  await saveOpenHolds(tx, written);
  await moveAccounts(tx, before, after);
}

/**
 * In the order of their ids: whoever uses the same id at the same moment is waited for, and with different accounts that may
 * be others than those who were waited for before.
 */
async function insertTransfers(tx: Queryable, written: readonly Written[], nowMs: number): Promise<void> {
  const { rowCount } = await tx.query(
    `insert into ledger_transfer (id, kind, purpose, currency, target, expires_at, refused, actor, fingerprint, places,
                                  created_at)
     select id, kind, purpose, currency, target, expires_at, refused, actor, decode(fingerprint, 'hex'), places, $11
       from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[], $7::text[], $8::text[],
                   $9::text[], $10::int[])
            k(id, kind, purpose, currency, target, expires_at, refused, actor, fingerprint, places)
      order by id on conflict (id) do nothing`,
    [
      arrayLiteral(written.map(({ wish }) => wish.id)),
      arrayLiteral(written.map(({ wish }) => wish.kind)),
      arrayLiteral(written.map(({ wish }) => wish.purpose)),
      written.map(({ currency }) => currency),
      written.map(({ target }) => target),
      written.map(({ wish }) => endOf(wish)),
      written.map(({ refused }) => refused),
      written.map(({ wish }) => wish.actor),
      arrayLiteral(written.map(({ fingerprint }) => fingerprint)),
      arrayLiteral(written.map(({ legs }) => legs.reduce((places, { n }) => places | (1 << n), 0))),
      new Date(nowMs),
    ],
    { name: "ledger_insert_transfers" },
  );
  if (rowCount < written.length) await throwTaken(tx);
}

function endOf(wish: Written["wish"]): string | null {
  return wish.kind === "hold" && wish.expiresMs !== undefined ? new Date(wish.expiresMs).toISOString() : null;
}

async function insertLegs(tx: Queryable, written: readonly Written[]): Promise<void> {
  const legs = written.flatMap(({ wish, currency, legs }) => {
    return legs.map((leg) => ({ ...leg, id: wish.id, currency }));
  });
  if (legs.length === 0) return;
  await tx.query(
    `insert into ledger_leg (transfer, n, debit, credit, amount, currency)
     select * from unnest($1::uuid[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[])`,
    [
      arrayLiteral(legs.map(({ id }) => id)),
      arrayLiteral(legs.map(({ n }) => n)),
      arrayLiteral(legs.map(({ debit }) => debit)),
      arrayLiteral(legs.map(({ credit }) => credit)),
      arrayLiteral(legs.map(({ amount }) => String(amount))),
      legs.map(({ currency }) => currency),
    ],
    { name: "ledger_insert_legs" },
  );
}

/** A hold that was made and resolved in one batch comes and goes. */
async function saveOpenHolds(tx: Queryable, written: readonly Written[]): Promise<void> {
  const done = written.filter(({ refused }) => refused === null).map(({ wish }) => wish);
  const holds = done.filter((wish) => wish.kind === "hold");
  if (holds.length > 0) {
    await tx.query(
      "insert into ledger_open_hold (hold, expires_at) select * from unnest($1::uuid[], $2::timestamptz[])",
      [arrayLiteral(holds.map(({ id }) => id)), holds.map(endOf)],
      { name: "ledger_insert_open_holds" },
    );
  }
  const resolved = done.flatMap((wish) =>
    "target" in wish && wish.kind !== "reversal" ? [wish.target] : [],
  );
  if (resolved.length > 0) {
    await tx.query("delete from ledger_open_hold where hold = any($1::uuid[])", [arrayLiteral(resolved)], {
      name: "ledger_delete_open_holds",
    });
  }
}

/** By how much, not to what: even without its lock an account would lose nothing, and the database would refuse an overdraft. */
async function moveAccounts(
  tx: Queryable,
  before: ReadonlyMap<number, AccountState>,
  after: ReadonlyMap<number, AccountState>,
): Promise<void> {
  if (after.size === 0) return;
  const moved = [...after].map(([id, account]) => ({ id, account, from: before.get(id) ?? account }));
  const by = (counter: "debitsPosted" | "creditsPosted" | "debitsPending" | "creditsPending"): string =>
    arrayLiteral(moved.map(({ account, from }) => String(account[counter] - from[counter])));
  // The ids are said twice: by the join alone, a plan that is made while the table is small reads all of it, and is kept.
  await tx.query(
    `update ledger_account a
        set debits_posted = a.debits_posted + k.debits_posted, credits_posted = a.credits_posted + k.credits_posted,
            debits_pending = a.debits_pending + k.debits_pending, credits_pending = a.credits_pending + k.credits_pending
       from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
            k(id, debits_posted, credits_posted, debits_pending, credits_pending)
      where a.id = any($1::bigint[]) and a.id = k.id`,
    [
      arrayLiteral(moved.map(({ id }) => id)),
      by("debitsPosted"),
      by("creditsPosted"),
      by("debitsPending"),
      by("creditsPending"),
    ],
    { name: "ledger_move_accounts" },
  );
}
