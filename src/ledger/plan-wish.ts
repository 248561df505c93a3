import type { Movement } from "./account-state.ts";
import { amountMax } from "./money.ts";
import type { AnyWish, CaptureWish, ExpiryWish, Leg, Refusal, ReleaseWish, ReversalWish } from "./wishes.ts";

const outOfRange = "amount_out_of_range";

export type NumberedLeg = Leg & { readonly n: number };
export type Resolution = "capture" | "release" | "expiry";

/** What was asked for earlier, as whoever names it as a target sees it. */
export type Target = {
  readonly kind: AnyWish["kind"];
  readonly isDone: boolean;
  /** Null only of what was refused. */
  readonly currency: string | null;
  /** Null unless it is a hold that ends by itself. */
  readonly expiresMs: number | null;
  readonly legs: readonly NumberedLeg[];
};

/** What has become of the targets so far. */
export type Targets = {
  readonly targets: ReadonlyMap<string, Target>;
  /** How holds were resolved. */
  readonly resolved: ReadonlyMap<string, Resolution>;
  /** How much of a leg was reversed, by `reversedKey`. */
  readonly reversed: ReadonlyMap<string, bigint>;
};

/** Names a leg of a transfer. */
export function reversedKey(id: string, n: number): string {
  return `${id} ${n}`;
}

/** What a wish comes to, as far as that is known; `refusal`: what is wrong with it or its target, whatever the accounts say. */
export type Plan = {
  readonly currency: string | null;
  /** Null, too, when there is no such transfer. */
  readonly target: string | null;
  /** What is written of it. */
  readonly legs: readonly NumberedLeg[];
  readonly movements: readonly Movement[];
  readonly refusal?: Refusal | undefined;
};

export function planWish(wish: AnyWish, facts: Targets, nowMs: number): Plan {
  if (wish.kind === "transfer" || wish.kind === "hold") {
    const legs = wish.legs.map((leg, n): NumberedLeg => ({ ...leg, n }));
    const place = wish.kind === "hold" ? "pending" : "posted";
    const isOver = wish.kind === "hold" && wish.expiresMs !== undefined && wish.expiresMs <= nowMs;
    const refusal = isOver ? "hold_expired" : faultOfAmounts(legs);
    return { currency: wish.currency, target: null, legs, movements: [{ legs, place, sign: 1n }], refusal };
  }
  const plan = { currency: null, target: null, legs: [], movements: [] };
  const target = facts.targets.get(wish.target);
  if (target === undefined) return { ...plan, refusal: "unknown_transfer" };
  const named = { ...plan, currency: target.currency, target: wish.target };
  // It has moved nothing, and never will.
  if (!target.isDone) return { ...named, refusal: "unknown_transfer" };
  if (wish.kind === "reversal") return { ...named, ...planReversal(wish, target, facts.reversed) };
  return { ...named, ...planResolution(wish, target, { earlier: facts.resolved.get(wish.target), nowMs }) };
}

type Planned = Partial<Pick<Plan, "legs" | "movements" | "refusal">>;

function planResolution(
  wish: CaptureWish | ReleaseWish | ExpiryWish,
  hold: Target,
  { earlier, nowMs }: { readonly earlier: Resolution | undefined; readonly nowMs: number },
): Planned {
  if (hold.kind !== "hold") return { refusal: "not_a_hold" };
  const { legs, refusal } =
    wish.kind === "capture"
      ? partsOf(hold.legs, wish.amounts, { left: ({ amount }) => amount, excess: "exceeds_hold" })
      : { legs: [] };
  const planned: Planned = {
    legs,
    movements: [
      { legs: hold.legs, place: "pending", sign: -1n },
      { legs, place: "posted", sign: 1n },
    ],
  };
  // Also before the timer has come by: the answer must not hang on how often that does.
  const isOver = hold.expiresMs !== null && hold.expiresMs <= nowMs && wish.kind !== "expiry";
  if (earlier === "expiry" || (earlier === undefined && isOver))
    return { ...planned, refusal: "hold_expired" };
  if (earlier !== undefined) return { ...planned, refusal: "already_resolved" };
  return { ...planned, refusal };
}

function planReversal(
  { target, amounts }: ReversalWish,
  original: Target,
  reversed: ReadonlyMap<string, bigint>,
): Planned {
  if (original.kind !== "transfer" && original.kind !== "capture") return { refusal: "not_reversible" };
  const left = ({ n, amount }: NumberedLeg): bigint => amount - (reversed.get(reversedKey(target, n)) ?? 0n);
  const parts = partsOf(original.legs, amounts, { left, excess: "exceeds_original" });
  const legs = parts.legs.map((leg) => ({ ...leg, debit: leg.credit, credit: leg.debit }));
  return { legs, movements: [{ legs, place: "posted", sign: 1n }], refusal: parts.refusal };
}

/** So much of each leg, without those of which it is nothing; and what is wrong with that. */
function partsOf(
  legs: readonly NumberedLeg[],
  amounts: readonly bigint[] | undefined,
  { left, excess }: { readonly left: (leg: NumberedLeg) => bigint; readonly excess: Refusal },
): { readonly legs: readonly NumberedLeg[]; readonly refusal: Refusal | undefined } {
  const parts = legs.map((leg) => ({
    leg,
    amount: amounts === undefined ? leg.amount : (amounts[leg.n] ?? 0n),
  }));
  const moved = parts.filter(({ amount }) => amount !== 0n).map(({ leg, amount }) => ({ ...leg, amount }));
  const places = new Set(legs.map(({ n }) => n));
  const beyond = (amounts ?? []).filter((amount, n) => amount !== 0n && !places.has(n));
  const exceeds = beyond.length > 0 || parts.some(({ leg, amount }) => amount > left(leg));
  const isInRange = beyond.every(isAmount);
  return {
    legs: moved,
    refusal: (isInRange ? faultOfAmounts(moved) : outOfRange) ?? (exceeds ? excess : undefined),
  };
}

/** A wish that would move nothing is none. */
function faultOfAmounts(legs: readonly Leg[]): Refusal | undefined {
  return legs.length > 0 && legs.every(({ amount }) => isAmount(amount)) ? undefined : outOfRange;
}

export function isAmount(amount: bigint): boolean {
  return amount > 0n && amount <= amountMax;
}
