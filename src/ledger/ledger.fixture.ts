import { eventually, openTestDatabase, testLog } from "../../test/harness.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { type Db, type Tx, openDb } from "../lib/db.ts";
import { type AccountKind, type Balance, balancesOf, openAccounts, openCurrency } from "./accounts.ts";
import { settling } from "./again.ts";
import { settle } from "./settle.ts";
import type { Answer, HoldWish, Leg, TransferWish, Wish } from "./wishes.ts";

/** A moment that stands for now, Unix milliseconds. */
export const nowMs = Date.parse("2026-01-01T00:00:00Z");

/** A ledger with a currency XTS of two decimals, and the world outside. */
export type TestLedger = {
  readonly db: Db;
  readonly outside: number;
  /** The account of somebody new, or of the house; `funds` come from outside. */
  readonly open: (kind: AccountKind, options?: { funds?: bigint; mayOverdraw?: boolean }) => Promise<number>;
  /** In a transaction of its own. */
  readonly settle: (wishes: readonly Wish[], atMs?: number) => Promise<readonly Answer[]>;
  readonly balance: (id: number) => Promise<Balance>;
  readonly person: () => Promise<number>;
};

export async function openLedger(t?: Parameters<typeof openTestDatabase>[0]): Promise<TestLedger> {
  const db = await openTestDatabase(t);
  await openCurrency(db, "XTS", 2);
  let people = 0;
  const person = async (): Promise<number> => {
    const { rows } = await db.query<{ id: number }>(
      "insert into account_user (username, name) values ($1, $1) returning id",
      [`person-${++people}`],
    );
    return rows[0]?.id ?? 0;
  };
  const settleNow: TestLedger["settle"] = (wishes, atMs = nowMs) =>
    settling(db, (tx) => settle(tx, wishes, atMs));
  const open: TestLedger["open"] = async (kind, { funds = 0n, ...rest } = {}) => {
    const owner = kind === "wallet" || kind === "earnings" ? await person() : null;
    const [id = 0] = await db.transaction((tx) =>
      openAccounts(tx, [{ kind, owner, currency: "XTS", ...rest }]),
    );
    if (funds > 0n) await settleNow([transfer({ debit: outside, credit: id, amount: funds })]);
    return id;
  };
  const outside = await open("outside");
  const balance: TestLedger["balance"] = async (id) => {
    const found = (await balancesOf(db, [id])).get(id);
    if (found === undefined) throw new Error(`there is no account ${id}`);
    return found;
  };
  return { db, outside, open, settle: settleNow, balance, person };
}

export function transfer(legs: Leg | readonly Leg[], change: Partial<TransferWish> = {}): TransferWish {
  const common = { id: uuidv7(), purpose: "tip", actor: "user:1", currency: "XTS" } as const;
  return { ...common, kind: "transfer", legs: [legs].flat() as readonly Leg[], ...change };
}

export function hold(legs: Leg | readonly Leg[], change: Partial<HoldWish> = {}): HoldWish {
  return { ...transfer(legs), kind: "hold", ...change };
}

/** A wish about an earlier one. */
export function about<K extends "capture" | "release" | "reversal">(
  kind: K,
  target: string,
  amounts?: readonly bigint[],
): Extract<Wish, { readonly kind: K }> {
  const wish = { id: uuidv7(), purpose: "tip", actor: "user:1", kind, target, ...(amounts && { amounts }) };
  // One of the three kinds, which TypeScript does not follow through the type parameter.
  return wish as unknown as Extract<Wish, { readonly kind: K }>;
}

/** The same database through a pool of its own with so many connections. */
export function openPool({ address }: Pick<Db, "address">, poolMax: number): Db {
  return openDb(address, { poolMax, log: testLog });
}

/** Runs a statement as somebody does who owns the tables and has put the triggers out of action. */
export function behindItsBack(
  db: Pick<Db, "transaction">,
  text: string,
  values: readonly unknown[] = [],
): Promise<void> {
  return db.transaction(async (tx) => {
    await tx.query("set local session_replication_role = replica");
    await tx.query(text, values);
  });
}

/** Resolves once a transaction of this database waits for a lock. */
export function somebodyWaits(db: Db): Promise<void> {
  return eventually("somebody waits for a lock", async () => {
    const { rowCount } = await db.query(
      "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    return rowCount > 0;
  });
}

/** The transaction, which notes its statements. */
export function noting(tx: Tx, statements: string[]): Tx {
  return {
    ...tx,
    query: (text, values, options) => {
      statements.push(text);
      return tx.query(text, values, options);
    },
  };
}
