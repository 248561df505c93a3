import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import type { Counters } from "./account-state.ts";
import { amountMax } from "./money.ts";
import type { AnyWish, Answer, Leg, Refusal } from "./wishes.ts";

export type ReferenceAccount = {
  readonly currency: string;
  readonly mayOverdraw: boolean;
  readonly isOutside: boolean;
  closed: boolean;
};

type Past = { readonly wish: AnyWish; answer: Answer };
type PlacedLeg = Leg & { readonly n: number };

/**
 * The ledger in the plainest way: it keeps all that was ever asked for and no counter at all; whatever it wants to know it adds
 * up from the beginning.
 */
export class ReferenceLedger {
  readonly accounts = new Map<number, ReferenceAccount>();
  readonly past: Past[] = [];
  isHalted = false;

  settle(wish: AnyWish, nowMs: number): Answer {
    const earlier = this.past.find((one) => one.wish.id === wish.id);
    if (earlier !== undefined)
      return isDeepStrictEqual(contentsOf(earlier.wish), contentsOf(wish))
        ? earlier.answer
        : "different_contents";
    const now: Past = { wish, answer: this.#reason(wish, nowMs) ?? "done" };
    this.past.push(now);
    if (now.answer === "done" && [...this.accounts.keys()].some((id) => this.#isOverdrawn(id)))
      now.answer = "insufficient_funds";
    return now.answer;
  }

  /** Takes an answer on trust. */
  note(wish: AnyWish, answer: Answer): void {
    this.past.push({ wish, answer });
  }

  expire(hold: string, nowMs: number): void {
    const wish = {
      id: `expiry ${hold}`,
      kind: "expiry",
      target: hold,
      purpose: "expiry",
      actor: "",
    } as const;
    const { wish: held } = this.#done(hold) ?? assert.fail("what expires was held");
    assert.ok(held.kind === "hold" && (held.expiresMs ?? Infinity) <= nowMs, "it expires when it is over");
    assert.equal(this.#resolution(hold), undefined, "and was not resolved");
    this.past.push({ wish, answer: "done" });
  }

  counters(id: number): Counters {
    const sum = { debitsPosted: 0n, creditsPosted: 0n, debitsPending: 0n, creditsPending: 0n };
    for (const { wish, answer } of this.past) {
      if (answer !== "done") continue;
      const isPending = wish.kind === "hold";
      if (isPending && this.#resolution(wish.id) !== undefined) continue;
      for (const { debit, credit, amount } of this.#legs(wish)) {
        if (debit === id) sum[isPending ? "debitsPending" : "debitsPosted"] += amount;
        if (credit === id) sum[isPending ? "creditsPending" : "creditsPosted"] += amount;
      }
    }
    return sum;
  }

  #isOverdrawn(id: number): boolean {
    const { debitsPosted, debitsPending, creditsPosted } = this.counters(id);
    return this.accounts.get(id)?.mayOverdraw === false && debitsPosted + debitsPending > creditsPosted;
  }

  #done(id: string): Past | undefined {
    return this.past.find(({ wish, answer }) => wish.id === id && answer === "done");
  }

  #resolution(hold: string): Past["wish"]["kind"] | undefined {
    const kinds = new Set(["capture", "release", "expiry"]);
    return this.past.find(
      ({ wish, answer }) =>
        answer === "done" && kinds.has(wish.kind) && "target" in wish && wish.target === hold,
    )?.wish.kind;
  }

  #legs(wish: AnyWish): readonly PlacedLeg[] {
    if (wish.kind === "transfer" || wish.kind === "hold") return wish.legs.map((leg, n) => ({ ...leg, n }));
    if (wish.kind === "release" || wish.kind === "expiry") return [];
    const target = this.#done(wish.target);
    const legs = target === undefined ? [] : this.#legs(target.wish);
    const parts = legs
      .map((leg) => ({
        ...leg,
        amount: wish.amounts === undefined ? leg.amount : (wish.amounts[leg.n] ?? 0n),
      }))
      .filter(({ amount }) => amount !== 0n);
    return wish.kind === "capture"
      ? parts
      : parts.map(({ debit, credit, ...leg }) => ({ ...leg, debit: credit, credit: debit }));
  }

  #currency(wish: AnyWish): string | undefined {
    if ("currency" in wish) return wish.currency;
    const target = this.#done(wish.target);
    return target === undefined ? undefined : this.#currency(target.wish);
  }

  #reason(wish: AnyWish, nowMs: number): Refusal | undefined {
    return this.#reasonOfTarget(wish, nowMs) ?? this.#reasonOfAmounts(wish) ?? this.#reasonOfAccounts(wish);
  }

  #reasonOfTarget(wish: AnyWish, nowMs: number): Refusal | undefined {
    if (wish.kind === "hold") return (wish.expiresMs ?? Infinity) <= nowMs ? "hold_expired" : undefined;
    if (!("target" in wish)) return undefined;
    const target = this.#done(wish.target)?.wish;
    if (target === undefined) return "unknown_transfer";
    if (wish.kind === "reversal")
      return target.kind === "transfer" || target.kind === "capture" ? undefined : "not_reversible";
    if (target.kind !== "hold") return "not_a_hold";
    const resolution = this.#resolution(wish.target);
    if (resolution === "expiry") return "hold_expired";
    if (resolution !== undefined) return "already_resolved";
    return (target.expiresMs ?? Infinity) <= nowMs ? "hold_expired" : undefined;
  }

  #reasonOfAmounts(wish: AnyWish): Refusal | undefined {
    if (wish.kind === "release") return undefined;
    const legs = this.#legs(wish);
    const all = [...legs.map(({ amount }) => amount), ...("amounts" in wish ? (wish.amounts ?? []) : [])];
    if (legs.length === 0 || all.some((amount) => amount < 0n || amount > amountMax))
      return "amount_out_of_range";
    if ("legs" in wish && all.includes(0n)) return "amount_out_of_range";
    if (wish.kind !== "capture" && wish.kind !== "reversal") return undefined;
    const there = this.#legs(this.#done(wish.target)?.wish ?? assert.fail());
    const before = this.past.flatMap(({ wish: past, answer }) => {
      const counts = wish.kind === "reversal" && past.kind === "reversal" && answer === "done";
      return counts && past.target === wish.target ? this.#legs(past) : [];
    });
    const left = (n: number): bigint => {
      const gone = before.filter((leg) => leg.n === n).reduce((sum, { amount }) => sum + amount, 0n);
      return (there.find((leg) => leg.n === n)?.amount ?? 0n) - gone;
    };
    const wanted =
      wish.amounts ?? legs.reduce<bigint[]>((all, { n, amount }) => ((all[n] = amount), all), []);
    const exceeds = [...wanted.entries()].some(([n, amount]) => amount !== undefined && amount > left(n));
    if (!exceeds) return undefined;
    return wish.kind === "capture" ? "exceeds_hold" : "exceeds_original";
  }

  #reasonOfAccounts(wish: AnyWish): Refusal | undefined {
    if (wish.kind === "release") return undefined;
    const legs = this.#legs(wish);
    if (legs.some(({ debit, credit }) => debit === credit)) return "same_account";
    const isBoth = (id: number): boolean => legs.some(({ credit }) => credit === id);
    if (wish.kind === "hold" && legs.some(({ debit }) => isBoth(debit))) return "passes_through";
    const accounts = legs.flatMap(({ debit, credit }) => [
      this.accounts.get(debit),
      this.accounts.get(credit),
    ]);
    if (accounts.some((account) => account === undefined)) return "unknown_account";
    if (accounts.some((account) => account?.currency !== this.#currency(wish))) return "currency_mismatch";
    if (accounts.some((account) => account?.closed === true)) return "account_closed";
    const goesOut = legs.some(({ credit }) => this.accounts.get(credit)?.isOutside === true);
    return this.isHalted && goesOut ? "payouts_halted" : undefined;
  }
}

/** All but who wanted it. */
function contentsOf(wish: AnyWish): unknown {
  const { actor: _actor, ...contents } = wish;
  return JSON.parse(
    JSON.stringify(contents, (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value)),
  );
}
