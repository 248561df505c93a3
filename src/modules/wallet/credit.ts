import { usernamePattern } from "../../../protocol/accounts.ts";
import type { SuspenseReason } from "../../../protocol/wallet.ts";
import { derivedId } from "../../eventlog/derived-id.ts";
import { balancesOf, openAccounts } from "../../ledger/accounts.ts";
import { attemptsMax, settling } from "../../ledger/again.ts";
import { holdOwnCurrency } from "../../ledger/own-currency.ts";
import { settle } from "../../ledger/settle.ts";
import type { TransferWish } from "../../ledger/wishes.ts";
import type { Deps } from "../../deps.ts";
import type { Queryable, Tx } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";
import { outsideIn, suspenseIn, walletOf } from "./account-names.ts";
import { type PaymentRow, findPayments } from "./payment-rows.ts";
import { countedOutError } from "./refusals.ts";

/** An event that a payment provider tells. */
export type Arrival = {
  readonly provider: string;
  readonly eventId: string;
  /** Whom it names: by their id, or by their username. */
  readonly userId: number | null;
  readonly login: string | null;
  /** In minor units. */
  readonly amount: bigint;
  readonly currency: string;
};

export type CreditDeps = Pick<Deps, "db" | "clock" | "log">;

type Named = Arrival & { readonly id: string };
/** Where the money goes. */
type Placed = Named & {
  readonly to: number;
  readonly creditedTo: number | null;
  readonly suspended: SuspenseReason | null;
};

/** A wallet was closed between the look at it and its lock; or an account of the house is, which nobody does but by hand. */
class ClosedMeanwhileError extends Error {
  override readonly message = "an account that a payment goes through is closed";
}

/** The id of a payment and of the transfer that brings it in: the same for every attempt at telling of it. */
export function paymentIdOf({ provider, eventId }: Pick<Arrival, "provider" | "eventId">): string {
  // No provider's name has a space in it.
  return derivedId("wallet.payment", `${provider} ${eventId}`);
}

/**
 * Brings in money that has come, in one transaction: each event once, however often, by how many and in what order it is told.
 * What nobody can be credited with goes to suspense. Answers each in order: what is stored of it, or `conflict` for one that was
 * told before with other contents.
 */
export async function creditArrivals(
  deps: CreditDeps,
  arrivals: readonly Arrival[],
): Promise<readonly (PaymentRow | AppError)[]> {
  const named = arrivals.map((arrival): Named => ({ ...arrival, id: paymentIdOf(arrival) }));
  for (let attempt = 1; ; attempt++) {
    try {
      return await settling(deps.db, (tx) => creditIn(tx, deps, named));
    } catch (error) {
      if (!(error instanceof ClosedMeanwhileError) || attempt >= attemptsMax) throw error;
    }
  }
}

async function creditIn(
  tx: Tx,
  { clock, log }: CreditDeps,
  arrivals: readonly Named[],
): Promise<readonly (PaymentRow | AppError)[]> {
  const ids = arrivals.map(({ id }) => id);
  let stored = await findPayments(tx, ids);
  const fresh = arrivals.filter(({ id }, i) => !stored.has(id) && ids.indexOf(id) === i);
  if (fresh.length > 0) {
    for (const currency of new Set(fresh.map((one) => one.currency)))
      await holdOwnCurrency(tx, currency, log);
    const { placed, outside } = await place(tx, fresh);
    const nowMs = clock.now();
    const claimed = await claim(tx, placed, nowMs);
    const wishes = claimed.map((one) => wishOf(one, outside));
    const answers = await settle(tx, wishes, nowMs);
    if (answers.includes("account_closed")) throw new ClosedMeanwhileError();
    if (answers.includes("amount_out_of_range")) throw countedOutError(log, fresh[0]?.currency ?? "");
    const wrong = answers.find((answer) => answer !== "done");
    if (wrong !== undefined) throw new Error(`the ledger did not take a payment: ${wrong}`);
    tx.afterCommit(() => {
      for (const { id, provider, suspended } of claimed.filter((one) => one.suspended !== null))
        log.warn(
          { payment: id, provider, reason: suspended },
          "money has come for nobody: it is in suspense",
        );
    });
    // Those that others were quicker with as well.
    stored = await findPayments(tx, ids);
  }
  return arrivals.map((arrival) => answerTo(arrival, stored.get(arrival.id)));
}

function wishOf({ id, provider, amount, currency, to }: Placed, outside: number): TransferWish {
  const legs = [{ debit: outside, credit: to, amount }];
  return { id, kind: "transfer", purpose: "top-up", actor: `provider:${provider}`, currency, legs };
}

function answerTo(arrival: Named, row: PaymentRow | undefined): PaymentRow | AppError {
  if (row === undefined) throw new Error("a payment that was just stored is gone");
  const told: readonly (readonly [pointer: string, isSame: boolean])[] = [
    ["/user_id", row.user_id === arrival.userId],
    ["/login", row.login === arrival.login],
    ["/amount", row.amount === String(arrival.amount)],
    ["/currency", row.currency === arrival.currency],
  ];
  const changed = told.filter(([, isSame]) => !isSame).map(([pointer]) => pointer);
  if (changed.length === 0) return row;
  return new AppError("conflict", {
    detail: "this event was told before with other contents, and those count: nothing has changed",
    fields: changed.map((pointer) => ({ pointer, code: "changed", detail: "was another one before" })),
  });
}

/** Finds whose wallets are meant, and makes those that are not there yet. */
async function place(
  tx: Tx,
  arrivals: readonly Named[],
): Promise<{ readonly placed: readonly Placed[]; readonly outside: number }> {
  const people = await findPeople(tx, arrivals);
  const currency = arrivals[0]?.currency ?? "";
  const owners = [...new Set([...people.values()].filter((one) => !one.disabled).map(({ id }) => id))];
  const [outside = 0, suspense = 0, ...wallets] = await openAccounts(tx, [
    outsideIn(currency),
    suspenseIn(currency),
    ...owners.map((owner) => walletOf(owner, currency)),
  ]);
  const walletById = new Map(owners.map((owner, i) => [owner, wallets[i] ?? 0]));
  const balances = await balancesOf(tx, wallets);
  const placed = arrivals.map((arrival): Placed => {
    const suspend = (suspended: SuspenseReason): Placed => {
      return { ...arrival, to: suspense, creditedTo: null, suspended };
    };
    const person = people.get(arrival.id);
    if (person === undefined) return suspend("unknown_person");
    if (person.disabled) return suspend("person_disabled");
    const wallet = balances.get(walletById.get(person.id) ?? 0);
    if (wallet === undefined) throw new Error("a wallet that was just opened is gone");
    if (wallet.closedAt !== null) return suspend("account_closed");
    return { ...arrival, to: wallet.id, creditedTo: person.id, suspended: null };
  });
  return { placed, outside };
}

type Meant = { readonly id: number; readonly disabled: boolean };

/** A username in small or capital letters. What a database takes for the small form of another letter is nobody's. */
const username = new RegExp(usernamePattern);

function usernameOf(login: string | null): string | null {
  if (login === null || !/^[!-~]+$/.test(login)) return null;
  const small = login.toLowerCase();
  return username.test(small) ? small : null;
}

/** By the ids of the payments. E-mail addresses name nobody: anybody may register with somebody else's. */
async function findPeople(tx: Queryable, arrivals: readonly Named[]): Promise<ReadonlyMap<string, Meant>> {
  const { rows } = await tx.query<Meant & { readonly payment: string }>(
    `select w.payment, u.id, u.disabled_at is not null as disabled
       from unnest($1::uuid[], $2::bigint[], $3::text[]) w(payment, user_id, username)
      cross join lateral (
        select id, disabled_at from account_user where id = w.user_id
         union all
        select id, disabled_at from account_user where username = w.username) u`,
    [
      arrivals.map(({ id }) => id),
      arrivals.map(({ userId }) => userId),
      arrivals.map(({ login }) => usernameOf(login)),
    ],
  );
  return new Map(rows.map(({ payment, id, disabled }) => [payment, { id, disabled }]));
}

/** Writes those that nobody else has written; who is just writing one is waited for, by everybody in the order of ids. */
async function claim(tx: Queryable, placed: readonly Placed[], nowMs: number): Promise<readonly Placed[]> {
  const { rows } = await tx.query<{ id: string }>(
    `insert into wallet_payment (id, provider, event_id, user_id, login, amount, currency, suspended, credited_to, received_at)
     select k.*, $10 from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::text[], $8::text[],
                                 $9::bigint[]) k(id, provider, event_id, user_id, login, amount, currency, suspended, credited_to)
      order by id on conflict do nothing returning id`,
    [
      placed.map(({ id }) => id),
      placed.map(({ provider }) => provider),
      placed.map(({ eventId }) => eventId),
      placed.map(({ userId }) => userId),
      placed.map(({ login }) => login),
      placed.map(({ amount }) => String(amount)),
      placed.map(({ currency }) => currency),
      placed.map(({ suspended }) => suspended),
      placed.map(({ creditedTo }) => creditedTo),
      new Date(nowMs),
    ],
  );
  const mine = new Set(rows.map(({ id }) => id));
  return placed.filter(({ id }) => mine.has(id));
}
