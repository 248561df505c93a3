import type { Db, Queryable, Tx } from "../lib/db.ts";
import { AppError, StartupError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import { openCurrency } from "./accounts.ts";

/** Sets the lock of the ledger's own currency apart from other advisory ones; any number that nothing else uses. */
const currencyLock = 7_319_204_571;

/** Somebody's money, or the house's, in one currency. */
export type Holdings = { readonly currency: string; readonly accounts: number };

export type Claimed = {
  /** Decimals of the currency: those by which the ledger counts it. */
  readonly scale: number;
  /** Money in other currencies, which nothing moves: somebody has made it past this. */
  readonly others: readonly Holdings[];
};

/**
 * Makes `code` the one currency of all servers on this database, and known to the ledger if need be, with `scale` decimals
 * then. Another one gives way only while there is no money in any other than `code`: whoever just moves some is waited for. Rejects with
 * `StartupError` while there is. May be repeated.
 */
export async function claimOwnCurrency(
  db: Pick<Db, "query" | "transaction">,
  code: string,
  scale: number,
): Promise<Claimed> {
  const known = await knownScale(db, code);
  if (known !== undefined && (await findOwnCurrency(db)) === code)
    return { scale: known, others: (await holdingsOf(db, code)).others };
  return db.transaction(async (tx) => {
    await tx.query("select pg_advisory_xact_lock($1)", [currencyLock]);
    const own = await findOwnCurrency(tx);
    const { all, others } = await holdingsOf(tx, code);
    if (own !== code && others.length > 0) throw new StartupError(sentenceOf(code, own, all));
    const counted = (await knownScale(tx, code)) ?? scale;
    await openCurrency(tx, code, counted);
    await tx.query(
      "insert into ledger_own_currency (code) values ($1) on conflict (only_one) do update set code = excluded.code",
      [code],
    );
    return { scale: counted, others };
  });
}

/**
 * Keeps the currency what it is until the transaction ends, and rejects with `unavailable` when it is not `code`: another server
 * has claimed the ledger for its own one meanwhile, and this one must make no money any more. Whoever moves money in a transaction does this
 * before it opens accounts.
 */
export async function holdOwnCurrency(tx: Tx, code: string, log: Pick<Logger, "error">): Promise<void> {
  await tx.query("select pg_advisory_xact_lock_shared($1)", [currencyLock]);
  // By itself, after the lock: a statement sees what was there when it began.
  const own = await findOwnCurrency(tx);
  if (own === code) return;
  log.error(
    { currency: code, ledger: own },
    "no money is moved: the ledger has another currency than this server",
  );
  throw new AppError("unavailable", {
    detail: `this server's CURRENCY is ${code}, and the ledger's is ${own ?? "none yet"}: nothing is moved until the server is set right`,
  });
}

/** Undefined before any server has claimed one. */
async function findOwnCurrency(db: Queryable): Promise<string | undefined> {
  const { rows } = await db.query<{ code: string }>("select code from ledger_own_currency");
  return rows[0]?.code;
}

async function knownScale(db: Queryable, code: string): Promise<number | undefined> {
  const { rows } = await db.query<{ scale: number }>("select scale from ledger_currency where code = $1", [
    code,
  ]);
  return rows[0]?.scale;
}

/** Where there is any balance or hold, and in which currency of those beside `code`. Accounts are not read where there is no other one. */
async function holdingsOf(
  db: Queryable,
  code: string,
): Promise<{ all: readonly Holdings[]; others: readonly Holdings[] }> {
  const { rowCount } = await db.query("select from ledger_currency where code <> $1 limit 1", [code]);
  if (rowCount === 0) return { all: [], others: [] };
  const { rows: all } = await db.query<Holdings>(
    `select currency, count(*) as accounts from ledger_account
      where credits_posted <> debits_posted or credits_pending > 0 or debits_pending > 0 group by currency order by currency`,
  );
  return { all, others: all.filter(({ currency }) => currency !== code) };
}

function sentenceOf(code: string, own: string | undefined, all: readonly Holdings[]): string {
  const money = all.map(({ currency, accounts }) => `${currency} on ${accounts} accounts`).join(", in ");
  const begin = `CURRENCY is ${code}, and the ledger holds money in ${money}`;
  const right = own ?? (all.length === 1 ? all[0]?.currency : undefined);
  if (right === undefined)
    return `${begin}: no server starts before all of it is in one; use another database`;
  return `${begin}: set CURRENCY=${right}, or use another database`;
}
