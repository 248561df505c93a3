import { type Queryable, type Tx, arrayLiteral } from "../lib/db.ts";
import { type Counters, availableOf } from "./account-state.ts";
import { scaleMax } from "./money.ts";
import { enterStage } from "./stages.ts";
import { wishesMax } from "./wishes.ts";

export const accountKinds = ["wallet", "earnings", "fees", "suspense", "outside"] as const;
/** What a person has, what they have been given; of the house: its share, what nobody is known for, and the world's money. */
export type AccountKind = (typeof accountKinds)[number];

/** Accounts that one call may name: for each wish of a batch one that pays and one that is paid, and some of the house. */
export const accountsMax = 2 * wishesMax + 10;

/** Of each owner, kind and currency there is one account at most. */
export type AccountName = {
  readonly kind: AccountKind;
  /** The person's id; null for an account of the house, and for the world outside. */
  readonly owner: number | null;
  readonly currency: string;
};

export type Balance = Counters &
  AccountName & {
    readonly id: number;
    /** What may be spent, in minor units. */
    readonly available: bigint;
    readonly closedAt: Date | null;
  };

/** Makes a currency known. Its scale is how many decimals its major unit has, and for ever: throws when it is known with another one. */
export async function openCurrency(db: Queryable, code: string, scale: number): Promise<void> {
  if (!/^[A-Z]{3}$/.test(code) || !Number.isInteger(scale) || scale < 0 || scale > scaleMax)
    throw new RangeError(`${code} with ${scale} decimals is no currency`);
  await db.query("insert into ledger_currency (code, scale) values ($1, $2) on conflict do nothing", [
    code,
    scale,
  ]);
  const { rows } = await db.query<{ scale: number }>("select scale from ledger_currency where code = $1", [
    code,
  ]);
  if (rows[0]?.scale !== scale)
    throw new RangeError(`${code} has ${rows[0]?.scale} decimals, and no others than these`);
}

/**
 * The ids of accounts, in order; those that are not there are made. At most once in a transaction, before it settles. Currencies
 * and owners must be there. Only the world outside may be overdrawn, unless `mayOverdraw` says so of an account that is new; a
 * wallet never may.
 */
export async function openAccounts(
  tx: Tx,
  wanted: readonly (AccountName & { readonly mayOverdraw?: boolean })[],
): Promise<readonly number[]> {
  if (wanted.length > accountsMax)
    throw new RangeError(`${wanted.length} accounts are more than ${accountsMax}`);
  if (wanted.some(({ kind, mayOverdraw }) => kind === "wallet" && mayOverdraw === true))
    throw new RangeError("a wallet cannot be overdrawn");
  enterStage(tx, "open accounts");
  const found = await findAccounts(tx, wanted);
  if (!found.includes(undefined)) return found.filter((id) => id !== undefined);
  // In one order: of two that make the same accounts, one waits for the other.
  await tx.query(
    `insert into ledger_account (kind, owner, currency, may_overdraw)
     select * from unnest($1::text[], $2::bigint[], $3::text[], $4::boolean[]) k(kind, owner, currency, may_overdraw)
      order by owner, kind, currency on conflict (owner, kind, currency) do nothing`,
    [
      wanted.map(({ kind }) => kind),
      wanted.map(({ owner }) => owner),
      wanted.map(({ currency }) => currency),
      wanted.map(({ kind, mayOverdraw }) => mayOverdraw ?? kind === "outside"),
    ],
  );
  return (await findAccounts(tx, wanted)).map((id) => {
    if (id === undefined) throw new Error("an account that was just made is gone");
    return id;
  });
}

/** The ids of accounts, in order; undefined for those that are not there. */
export async function findAccounts(
  db: Queryable,
  wanted: readonly AccountName[],
): Promise<readonly (number | undefined)[]> {
  if (wanted.length > accountsMax)
    throw new RangeError(`${wanted.length} accounts are more than ${accountsMax}`);
  // Apart for those without an owner: no index is used to find what "is not distinct from" something.
  const { rows } = await db.query<{ n: number; id: number }>(
    `select k.n, a.id from unnest($1::text[], $2::bigint[], $3::text[]) with ordinality k(kind, owner, currency, n)
      cross join lateral (
        select id from ledger_account where owner = k.owner and kind = k.kind and currency = k.currency
         union all
        select id from ledger_account
         where k.owner is null and owner is null and kind = k.kind and currency = k.currency) a`,
    [
      wanted.map(({ kind }) => kind),
      wanted.map(({ owner }) => owner),
      wanted.map(({ currency }) => currency),
    ],
  );
  const found = new Map(rows.map(({ n, id }) => [n, id]));
  return wanted.map((_, i) => found.get(i + 1));
}

/**
 * From now on it takes no transfers; what holds have set aside on it can still go back. What is on it stays there. Resolves with
 * false when there is no such account. A transaction that closes one settles nothing.
 */
export async function closeAccount(tx: Tx, id: number, nowMs: number): Promise<boolean> {
  enterStage(tx, "lock accounts");
  const { rowCount } = await tx.query(
    "update ledger_account set closed_at = coalesce(closed_at, $2) where id = $1",
    [id, new Date(nowMs)],
  );
  return rowCount > 0;
}

type BalanceRow = AccountName & {
  readonly id: number;
  readonly closed_at: Date | null;
  readonly debits_posted: string;
  readonly credits_posted: string;
  readonly debits_pending: string;
  readonly credits_pending: string;
};

/** What is on accounts at this moment, by their ids; those that are not there are left out. */
export async function balancesOf(
  db: Queryable,
  ids: readonly number[],
): Promise<ReadonlyMap<number, Balance>> {
  if (ids.length > accountsMax) throw new RangeError(`${ids.length} accounts are more than ${accountsMax}`);
  const { rows } = await db.query<BalanceRow>(
    `select id, kind, owner, currency, closed_at, debits_posted::text, credits_posted::text, debits_pending::text,
            credits_pending::text
       from ledger_account where id = any($1::bigint[])`,
    [arrayLiteral(ids)],
    { name: "ledger_balances" },
  );
  return new Map(rows.map((row) => [row.id, toBalance(row)]));
}

function toBalance({ id, kind, owner, currency, closed_at: closedAt, ...row }: BalanceRow): Balance {
  const counters: Counters = {
    debitsPosted: BigInt(row.debits_posted),
    creditsPosted: BigInt(row.credits_posted),
    debitsPending: BigInt(row.debits_pending),
    creditsPending: BigInt(row.credits_pending),
  };
  return { id, kind, owner, currency, closedAt, ...counters, available: availableOf(counters) };
}
