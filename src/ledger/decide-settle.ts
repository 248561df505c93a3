import { type AccountState, afterMovements, isBeyondCounting, isOverdrawn } from "./account-state.ts";
import {
  type NumberedLeg,
  type Plan,
  type Resolution,
  type Target,
  type Targets,
  isAmount,
  planWish,
  reversedKey,
} from "./plan-wish.ts";
import { type AnyWish, type Answer, type Refusal, fingerprintOf } from "./wishes.ts";

/** What was answered to the first who used an id. */
export type Known = { readonly fingerprint: string; readonly answer: Answer };

/** What the database says about a batch, read under the locks of its accounts. */
export type SettleFacts = Targets & {
  /** All that there are of those that the batch and its targets name. */
  readonly accounts: ReadonlyMap<number, AccountState>;
  /** Of the batch's ids, those that were used before. */
  readonly known: ReadonlyMap<string, Known>;
  /** Looked up only when something may leave the house. */
  readonly isHalted: boolean;
  readonly nowMs: number;
};

/** What is written under an id that is new; of what was refused, as far as it names what there is. */
export type Written = {
  readonly wish: AnyWish;
  readonly fingerprint: string;
  readonly refused: Refusal | null;
  readonly currency: string | null;
  readonly target: string | null;
  readonly legs: readonly NumberedLeg[];
};

export type SettleDecision = {
  /** For each wish, in order. */
  readonly answers: readonly Answer[];
  readonly written: readonly Written[];
  /** The accounts that were moved, as they are afterwards. */
  readonly accounts: ReadonlyMap<number, AccountState>;
};

/** Grants or refuses each wish of a batch on its own, in order: a later one finds what the earlier ones have done. */
export function decideSettle(wishes: readonly AnyWish[], facts: SettleFacts): SettleDecision {
  const progress: Progress = {
    facts,
    accounts: new Map(),
    known: new Map(facts.known),
    targets: new Map(facts.targets),
    resolved: new Map(facts.resolved),
    reversed: new Map(facts.reversed),
    written: [],
  };
  const answers = wishes.map((wish): Answer => {
    const fingerprint = fingerprintOf(wish);
    const earlier = progress.known.get(wish.id);
    if (earlier === undefined) return settleNew(wish, fingerprint, progress);
    return earlier.fingerprint === fingerprint ? earlier.answer : "different_contents";
  });
  return { answers, written: progress.written, accounts: progress.accounts };
}

type Progress = {
  readonly facts: SettleFacts;
  readonly accounts: Map<number, AccountState>;
  readonly known: Map<string, Known>;
  readonly targets: Map<string, Target>;
  readonly resolved: Map<string, Resolution>;
  readonly reversed: Map<string, bigint>;
  readonly written: Written[];
};

function settleNew(wish: AnyWish, fingerprint: string, progress: Progress): Answer {
  const plan = planWish(wish, progress, progress.facts.nowMs);
  const refusal = plan.refusal ?? faultOfAccounts(wish, plan, progress) ?? move(plan, progress);
  // Whoever looks for what is over has asked for nothing when somebody else was quicker.
  if (refusal !== undefined && wish.kind === "expiry") return refusal;
  const { currency, target } = plan;
  const isDone = refusal === undefined;
  const legs = isDone || canBeWritten(plan, progress) ? plan.legs : [];
  progress.written.push({ wish, fingerprint, refused: refusal ?? null, currency, target, legs });
  progress.known.set(wish.id, { fingerprint, answer: refusal ?? "done" });
  const expiresMs = wish.kind === "hold" ? (wish.expiresMs ?? null) : null;
  progress.targets.set(wish.id, { kind: wish.kind, isDone, currency, expiresMs, legs });
  if (isDone) remember(wish, plan, progress);
  return refusal ?? "done";
}

function remember(wish: AnyWish, { legs }: Plan, { resolved, reversed }: Progress): void {
  if (wish.kind === "capture" || wish.kind === "release" || wish.kind === "expiry")
    resolved.set(wish.target, wish.kind);
  if (wish.kind !== "reversal") return;
  for (const { n, amount } of legs) {
    const key = reversedKey(wish.target, n);
    reversed.set(key, (reversed.get(key) ?? 0n) + amount);
  }
}

/** What is wrong with the accounts, whatever is on them. */
function faultOfAccounts(wish: AnyWish, { legs, currency }: Plan, { facts }: Progress): Refusal | undefined {
  // What was set aside goes back to an account that was closed since, and from one.
  if (wish.kind === "release" || wish.kind === "expiry") return undefined;
  if (legs.some(({ debit, credit }) => debit === credit)) return "same_account";
  if (wish.kind === "hold" && passesThrough(legs)) return "passes_through";
  const accounts = legs.flatMap(({ debit, credit }) => [
    facts.accounts.get(debit),
    facts.accounts.get(credit),
  ]);
  if (accounts.includes(undefined)) return "unknown_account";
  if (accounts.some((account) => account?.currency !== currency)) return "currency_mismatch";
  if (accounts.some((account) => account?.isClosed)) return "account_closed";
  // Whatever it is called: what goes out is gone, and what comes home, as by the reversal of a payout, is welcome.
  const leaves = legs.some(({ credit }) => facts.accounts.get(credit)?.isOutside);
  return facts.isHalted && leaves ? "payouts_halted" : undefined;
}

/** What is pending cannot be spent: the leg that spends it would set aside what the account had before. */
function passesThrough(legs: readonly NumberedLeg[]): boolean {
  const credited = new Set(legs.map(({ credit }) => credit));
  return legs.some(({ debit }) => credited.has(debit));
}

/** Moves all of it or, when an account does not stand that, nothing. */
function move({ movements }: Plan, { accounts, facts }: Progress): Refusal | undefined {
  const after = afterMovements((id) => {
    const account = accounts.get(id) ?? facts.accounts.get(id);
    // That it is locked is what everything here rests on.
    if (account === undefined) throw new Error(`account ${id} was to be moved and is not locked`);
    return account;
  }, movements);
  const states = [...after.values()];
  if (states.some(isBeyondCounting)) return "amount_out_of_range";
  if (states.some(isOverdrawn)) return "insufficient_funds";
  for (const [id, account] of after) accounts.set(id, account);
  return undefined;
}

/** Whether the database can take the legs of what was refused. */
function canBeWritten({ legs, currency }: Plan, { facts }: Progress): boolean {
  return legs.every(({ debit, credit, amount }) => {
    const isThere = [debit, credit].every((id) => facts.accounts.get(id)?.currency === currency);
    return isThere && debit !== credit && isAmount(amount);
  });
}
