import { type Queryable, type Tx, arrayLiteral } from "../lib/db.ts";
import type { AccountState } from "./account-state.ts";
import { throwTaken } from "./again.ts";
import type { Known, SettleFacts } from "./decide-settle.ts";
import { isPayoutHalted } from "./halt.ts";
import { type NumberedLeg, type Resolution, type Target, reversedKey } from "./plan-wish.ts";
import type { AnyWish, Refusal } from "./wishes.ts";

/**
 * What decides about a batch. The targets are read first, for it is their legs that say which accounts to lock: they never
 * change. Everything that does is read under the locks.
 */
export async function readFacts(tx: Tx, wishes: readonly AnyWish[], nowMs: number): Promise<SettleFacts> {
  const named = new Set(wishes.flatMap((wish) => ("target" in wish ? [wish.target] : [])));
  const targets = await findTargets(tx, [...named]);
  const accounts = await lockAccounts(tx, accountsOf(wishes, targets));
  const isHalted = mayTakeOut(wishes, targets, accounts) && (await isPayoutHalted(tx));
  const missing = [...named].filter((id) => !targets.has(id));
  const known = await findKnown(tx, [...new Set([...wishes.map(({ id }) => id), ...missing])]);
  // It came while the locks were waited for, and what it has moved may not be among them.
  if (missing.some((id) => known.has(id))) return throwTaken(tx);
  const fates = await findFates(tx, [...targets.keys()]);
  return { accounts, known, targets, ...fates, isHalted, nowMs };
}

function accountsOf(wishes: readonly AnyWish[], targets: ReadonlyMap<string, Target>): readonly number[] {
  const legs = [
    ...wishes.flatMap((wish) => ("legs" in wish ? wish.legs : [])),
    ...[...targets.values()].flatMap(({ legs }) => legs),
  ];
  const ids = new Set(legs.flatMap(({ debit, credit }) => [debit, credit]));
  return [...ids].filter((id) => Number.isSafeInteger(id) && id > 0);
}

/** Whether any of it would leave the house. Of what is aimed at a wish of the same batch that is not looked into. */
function mayTakeOut(
  wishes: readonly AnyWish[],
  targets: ReadonlyMap<string, Target>,
  accounts: ReadonlyMap<number, AccountState>,
): boolean {
  const isOutside = (id: number): boolean => accounts.get(id)?.isOutside === true;
  const touchesOutside = [...accounts.values()].some((account) => account.isOutside);
  return wishes.some((wish) => {
    if ("legs" in wish) return wish.legs.some(({ credit }) => isOutside(credit));
    if (wish.kind === "release" || wish.kind === "expiry") return false;
    const target = targets.get(wish.target);
    if (target === undefined) return touchesOutside;
    return target.legs.some(({ debit, credit }) => isOutside(wish.kind === "reversal" ? debit : credit));
  });
}

type AccountRow = {
  readonly id: number;
  readonly currency: string;
  readonly may_overdraw: boolean;
  readonly is_closed: boolean;
  readonly is_outside: boolean;
  readonly debits_posted: string;
  readonly credits_posted: string;
  readonly debits_pending: string;
  readonly credits_pending: string;
};

/**
 * The accounts that there are, all locked at once and by everybody in one order, so that nobody waits in a circle; those
 * through which much goes come last, and are held shortest. What the order hangs on never changes.
 */
async function lockAccounts(
  tx: Queryable,
  ids: readonly number[],
): Promise<ReadonlyMap<number, AccountState>> {
  if (ids.length === 0) return new Map();
  const { rows } = await tx.query<AccountRow>(
    `select id, currency, may_overdraw, closed_at is not null as is_closed, kind = 'outside' as is_outside,
            debits_posted::text, credits_posted::text, debits_pending::text, credits_pending::text
       from ledger_account where id = any($1::bigint[])
      order by case kind when 'wallet' then 0 when 'earnings' then 1 else 2 end, id for no key update`,
    [arrayLiteral(ids)],
    { name: "ledger_lock_accounts" },
  );
  return new Map(
    rows.map((row) => [
      row.id,
      {
        currency: row.currency,
        mayOverdraw: row.may_overdraw,
        isClosed: row.is_closed,
        isOutside: row.is_outside,
        debitsPosted: BigInt(row.debits_posted),
        creditsPosted: BigInt(row.credits_posted),
        debitsPending: BigInt(row.debits_pending),
        creditsPending: BigInt(row.credits_pending),
      },
    ]),
  );
}

/** Each by itself: a plan for all of them that is made while the table is young reads the whole table, and is kept. */
async function findKnown(tx: Queryable, ids: readonly string[]): Promise<ReadonlyMap<string, Known>> {
  const { rows } = await tx.query<{ id: string; fingerprint: string; refused: Refusal | null }>(
    `select t.id, encode(t.fingerprint, 'hex') as fingerprint, t.refused from unnest($1::uuid[]) k(id)
      cross join lateral (select id, fingerprint, refused from ledger_transfer where id = k.id limit 1) t`,
    [arrayLiteral(ids)],
    { name: "ledger_find_known" },
  );
  return new Map(
    rows.map(({ id, fingerprint, refused }) => [id, { fingerprint, answer: refused ?? "done" }]),
  );
}

type TargetRow = {
  readonly id: string;
  readonly kind: Target["kind"];
  readonly is_done: boolean;
  readonly currency: string | null;
  readonly expires_ms: number | null;
  readonly legs: string;
};

async function findTargets(tx: Queryable, ids: readonly string[]): Promise<ReadonlyMap<string, Target>> {
  if (ids.length === 0) return new Map();
  const { rows } = await tx.query<TargetRow>(
    `select t.id, t.kind, t.refused is null as is_done, t.currency,
            (extract(epoch from t.expires_at) * 1000)::bigint as expires_ms,
            (select coalesce(string_agg(concat_ws(' ', l.n, l.debit, l.credit, l.amount), ',' order by l.n), '')
               from ledger_leg l where l.transfer = t.id) as legs
       from unnest($1::uuid[]) k(id)
      cross join lateral (
        select id, kind, refused, currency, expires_at from ledger_transfer where id = k.id limit 1) t`,
    [arrayLiteral(ids)],
    { name: "ledger_find_targets" },
  );
  return new Map(
    rows.map(({ id, kind, is_done: isDone, currency, expires_ms: expiresMs, legs }) => [
      id,
      { kind, isDone, currency, expiresMs, legs: readLegs(legs) },
    ]),
  );
}

function readLegs(text: string): readonly NumberedLeg[] {
  if (text === "") return [];
  return text.split(",").map((leg) => {
    const [n, debit, credit, amount = "0"] = leg.split(" ");
    return { n: Number(n), debit: Number(debit), credit: Number(credit), amount: BigInt(amount) };
  });
}

type FateRow = {
  readonly target: string;
  readonly kind: Resolution | "reversal";
  readonly n: number | null;
  readonly amount: string | null;
};

/** What has been done with transfers since: whoever does something has locked their accounts. */
async function findFates(
  tx: Queryable,
  ids: readonly string[],
): Promise<Pick<SettleFacts, "resolved" | "reversed">> {
  const resolved = new Map<string, Resolution>();
  const reversed = new Map<string, bigint>();
  if (ids.length === 0) return { resolved, reversed };
  const { rows } = await tx.query<FateRow>(
    `select target, kind, null::int as n, null::text as amount from ledger_transfer
      where target = any($1::uuid[]) and kind in ('capture', 'release', 'expiry') and refused is null
      union all
     select t.target, t.kind, l.n, sum(l.amount)::text from ledger_transfer t join ledger_leg l on l.transfer = t.id
      where t.target = any($1::uuid[]) and t.kind = 'reversal' and t.refused is null group by t.target, t.kind, l.n`,
    [arrayLiteral(ids)],
    { name: "ledger_find_fates" },
  );
  for (const { target, kind, n, amount } of rows) {
    if (kind !== "reversal") resolved.set(target, kind);
    else if (n !== null) reversed.set(reversedKey(target, n), BigInt(amount ?? 0));
  }
  return { resolved, reversed };
}
