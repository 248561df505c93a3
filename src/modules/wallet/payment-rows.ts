import type { Payment, PaymentPage, PaymentQuery, SuspenseReason } from "../../../protocol/wallet.ts";
import { limits } from "../../../protocol/limits.ts";
import { textOfAmount } from "../../ledger/money.ts";
import { decodeCursor, encodeCursor } from "../../lib/cursor.ts";
import type { Queryable } from "../../lib/db.ts";

/** Money that has come, as it is stored. */
export type PaymentRow = {
  readonly id: string;
  readonly n: number;
  readonly provider: string;
  readonly event_id: string;
  readonly user_id: number | null;
  readonly login: string | null;
  /** In minor units, as text. */
  readonly amount: string;
  readonly currency: string;
  readonly scale: number;
  readonly received_at: Date;
  readonly suspended: SuspenseReason | null;
  readonly credited_to: number | null;
  readonly assigned_at: Date | null;
  readonly assigned_by: string | null;
};

const selectPayments = `
  select p.id, p.n, p.provider, p.event_id, p.user_id, p.login, p.amount::text, p.currency, c.scale, p.received_at, p.suspended,
         p.credited_to, p.assigned_at, p.assigned_by
    from wallet_payment p join ledger_currency c on c.code = p.currency`;

/** Those that are there, by their ids. */
export async function findPayments(
  db: Queryable,
  ids: readonly string[],
): Promise<ReadonlyMap<string, PaymentRow>> {
  const { rows } = await db.query<PaymentRow>(
    `${selectPayments} where p.id = any($1::uuid[])`,
    [[...new Set(ids)]],
    { name: "wallet_find_payments" },
  );
  return new Map(rows.map((row) => [row.id, row]));
}

/** One that nobody else changes until the transaction ends. */
export async function lockPayment(tx: Queryable, id: string): Promise<PaymentRow | undefined> {
  const { rows } = await tx.query<PaymentRow>(`${selectPayments} where p.id = $1 for update of p`, [id]);
  return rows[0];
}

/** Payments, the newest first. */
export async function listPayments(
  db: Queryable,
  { state, limit = limits.pageRowsDefault, cursor }: PaymentQuery,
): Promise<PaymentPage> {
  const list = `payments ${state ?? "all"}`;
  const [before = null] = cursor === undefined ? [] : decodeCursor(cursor, list, ["number"]);
  const where = {
    all: "true",
    credited: "p.credited_to is not null",
    suspense: "p.credited_to is null",
  } as const;
  const { rows } = await db.query<PaymentRow>(
    `${selectPayments} where ${where[state ?? "all"]} and ($1::bigint is null or p.n < $1) order by p.n desc limit $2`,
    [before, limit + 1],
  );
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const more = rows.length > limit && last !== undefined;
  return { payments: page.map(toPayment), next_cursor: more ? encodeCursor(list, [last.n]) : null };
}

export function toPayment(row: PaymentRow): Payment {
  const { provider, event_id, user_id, login, currency, credited_to, assigned_by } = row;
  return {
    payment_id: row.id,
    provider,
    event_id,
    user_id,
    login,
    amount: textOfAmount(BigInt(row.amount), row.scale),
    currency,
    received_at: row.received_at.toISOString(),
    state: credited_to === null ? "suspense" : "credited",
    reason: row.suspended,
    credited_to,
    assigned_at: row.assigned_at?.toISOString() ?? null,
    assigned_by,
  };
}
