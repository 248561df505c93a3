import fc from "fast-check";
import { amountMax } from "./money.ts";
import type { Leg, Wish } from "./wishes.ts";

/** Accounts of a small world. */
export type World = {
  /** Of one currency; those that are named more often are chosen more often. */
  readonly good: readonly number[];
  /** Of another currency, closed, not there. */
  readonly odd: readonly number[];
  readonly outside: number;
  readonly nextId: () => string;
};

const purposes = ["tip", "tip", "tip", "payout"] as const;
/** Mostly what an account can pay, now and then what nobody can. */
const amount = fc.oneof(
  { weight: 30, arbitrary: fc.bigInt({ min: 1n, max: 40n }) },
  { weight: 1, arbitrary: fc.constantFrom(0n, -1n, amountMax, amountMax + 1n) },
);
const account = fc.nat(99);
/** In one of sixteen an account that does not fit. */
const leg = fc.record({ debit: account, credit: account, amount, odd: fc.nat(15) });
const legs = fc.array(leg, { minLength: 1, maxLength: 3 });
type LegStep = Leg & { readonly odd: number };
const parts = fc.option(
  fc.array(fc.oneof(fc.bigInt({ min: 0n, max: 25n }), fc.constantFrom(0n, -1n)), {
    minLength: 1,
    maxLength: 4,
  }),
  { nil: undefined, freq: 2 },
);

/** Something that somebody may wish, relative to what was wished before. */
export const wishStep = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom("transfer" as const, "hold" as const),
      legs,
      currency: fc.nat(29).map((n) => (n === 0 ? "XXX" : "XTS")),
      purpose: fc.constantFrom(...purposes),
      endsIn: fc.option(fc.integer({ min: -1, max: 12 }), { nil: undefined }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom("capture" as const, "release" as const, "reversal" as const),
      which: fc.nat(99),
      fits: fc.nat(3).map((n) => n > 0),
      parts,
      purpose: fc.constantFrom(...purposes),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom("repeat" as const, "repeat" as const, "alter" as const),
      which: fc.nat(99),
      how: fc.nat(3),
    }),
  },
);
export type WishStep = typeof wishStep extends fc.Arbitrary<infer S> ? S : never;

/** The wish that a step comes to after those that were made; it is added to them. */
export function toWish(
  step: WishStep,
  world: World,
  { made, nowMs }: Made & { readonly made: Wish[] },
): Wish {
  const wish = wishOf(step, world, { made, nowMs });
  made.push(wish);
  return wish;
}

type Made = { readonly made: readonly Wish[]; readonly nowMs: number };

function wishOf(step: WishStep, world: World, { made, nowMs }: Made): Wish {
  const common = { id: world.nextId(), actor: "user:1" };
  if ("how" in step) {
    const legs = [{ debit: world.outside, credit: world.good[0] ?? 0, amount: 10n }];
    const first = { ...common, purpose: "tip", kind: "transfer", currency: "XTS", legs } as const;
    const wish = pick(made, step.which) ?? first;
    return step.do === "repeat" ? { ...wish, actor: "user:2" } : alter(wish, step.how);
  }
  const { purpose } = step;
  if ("legs" in step) {
    const { currency, endsIn } = step;
    const moved = { ...common, purpose, currency, legs: step.legs.map((one) => legOf(world, one)) };
    if (step.do === "transfer") return { ...moved, kind: "transfer" };
    return { ...moved, kind: "hold", ...(endsIn !== undefined && { expiresMs: nowMs + endsIn }) };
  }
  const kinds = step.do === "reversal" ? ["transfer", "capture"] : ["hold"];
  const fitting = step.fits ? made.filter(({ kind }) => kinds.includes(kind)) : made;
  const target = pick(fitting, step.which)?.id ?? world.nextId();
  if (step.do === "release") return { ...common, purpose, kind: "release", target };
  return { ...common, purpose, kind: step.do, target, ...(step.parts && { amounts: step.parts }) };
}

/** The same id with contents that are others in one thing. */
function alter(wish: Wish, how: number): Wish {
  if (how === 0) return { ...wish, purpose: "other" };
  if ("target" in wish) {
    if (how === 1) return { ...wish, target: wish.id };
    if (wish.kind === "release") return { ...wish, kind: "capture" };
    return { ...wish, amounts: wish.amounts === undefined ? [1n] : undefined };
  }
  if (how === 1 && wish.kind === "hold") return { ...wish, expiresMs: (wish.expiresMs ?? 0) + 1 };
  if (how === 2) return { ...wish, currency: wish.currency === "XTS" ? "XXX" : "XTS" };
  return { ...wish, legs: wish.legs.map((leg) => ({ ...leg, amount: leg.amount + 1n })) };
}

function pick(made: readonly Wish[], which: number): Wish | undefined {
  return made[which % Math.max(1, made.length)];
}

function legOf({ good, odd }: World, step: LegStep): Leg {
  const { debit, amount } = step;
  const from = good[debit % good.length] ?? 0;
  if (step.odd === 0) return { debit: from, credit: odd[step.credit % odd.length] ?? 0, amount };
  // Another one, but for now and then.
  const others = step.odd === 1 ? good : good.filter((id) => id !== from);
  return { debit: from, credit: others[step.credit % others.length] ?? 0, amount };
}

/** What everybody begins with comes from outside. */
export function funding({ good, outside, nextId }: World): readonly Wish[] {
  return [...new Set(good)]
    .filter((id) => id !== outside)
    .map((credit) => ({
      id: nextId(),
      kind: "transfer",
      purpose: "top-up",
      actor: "system",
      currency: "XTS",
      legs: [{ debit: outside, credit, amount: 100n }],
    }));
}
