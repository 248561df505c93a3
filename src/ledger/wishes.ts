import { hash } from "node:crypto";
import { isUuid } from "../../protocol/ids.ts";

/** Wishes of one batch. */
export const wishesMax = 1_000;
/** Legs of one transfer. */
export const legsMax = 8;
/** Longest name of an actor, in UTF-16 units. */
export const actorLength = 200;
/** Latest moment that may be named, Unix milliseconds: the end of the year 9999. */
export const momentMaxMs = 253_402_300_799_999;
/** What a payout is called wherever people see it. A halt does not go by this, but by where the money goes. */
export const payoutPurpose = "payout";

/** So much from one account to another one. */
export type Leg = {
  /** The account that it comes from. */
  readonly debit: number;
  readonly credit: number;
  /** In minor units. */
  readonly amount: bigint;
};

type Common = {
  /**
   * A UUID of the caller's, the same for every attempt at it: it is granted or refused once, for ever. Ids are everybody's: derive
   * one from a name of your own and whatever somebody else has chosen. One that is refused is used up, unless the transaction rolls
   * back: do so for what may be granted later, such as `payouts_halted`.
   *
   * An attempt is the same when its contents are. What is computed anew for each, such as an end from now on or a fee from today's
   * rate, makes it `different_contents`: store it before the first one.
   */
  readonly id: string;
  /** What for, as the caller's module calls it: `tip`, `payout`. */
  readonly purpose: string;
  /** Who wants it; not a part of its contents. */
  readonly actor: string;
};

export type TransferWish = Common & {
  readonly kind: "transfer";
  readonly currency: string;
  readonly legs: readonly Leg[];
};

/**
 * Sets money aside: whose it is cannot spend it, whose it will be does not have it. So no account can pass on what the hold itself
 * brings it (`passes_through`): instead of 100 to the streamer and 10 of these to the house, hold 90 for the one and 10 for the other.
 */
export type HoldWish = Common & {
  readonly kind: "hold";
  readonly currency: string;
  readonly legs: readonly Leg[];
  /** From this moment on it can only expire, Unix milliseconds; undefined: it waits for ever. */
  readonly expiresMs?: number | undefined;
};

/** Moves what a hold has set aside; what it leaves goes back. */
export type CaptureWish = Common & Parts & { readonly kind: "capture" };
/** Gives back what a hold has set aside. */
export type ReleaseWish = Common & { readonly kind: "release"; readonly target: string };
/** Moves what a transfer or a capture has moved the other way. */
export type ReversalWish = Common & Parts & { readonly kind: "reversal" };

type Parts = {
  readonly target: string;
  /**
   * Of each leg of the target, by its place there, how much: from none to all, and none of those at the end that are not named.
   * Undefined: all of all, which is no longer to be had of a transfer once any of it was reversed.
   */
  readonly amounts?: readonly bigint[] | undefined;
};

/** All legs of a wish are granted together, or none. */
export type Wish = TransferWish | HoldWish | CaptureWish | ReleaseWish | ReversalWish;
/** What `expireHolds` alone wishes. */
export type ExpiryWish = Common & { readonly kind: "expiry"; readonly target: string };
export type AnyWish = Wish | ExpiryWish;

/**
 * Why a wish is refused; where several reasons fit, the first of them in this order. `amount_out_of_range` is also, after all
 * others but the last, that an account would have moved more than it can count.
 */
export const refusals = [
  "different_contents",
  "unknown_transfer",
  "not_a_hold",
  "not_reversible",
  "hold_expired",
  "already_resolved",
  "amount_out_of_range",
  "exceeds_hold",
  "exceeds_original",
  "same_account",
  "passes_through",
  "unknown_account",
  "currency_mismatch",
  "account_closed",
  "payouts_halted",
  "insufficient_funds",
] as const;
export type Refusal = (typeof refusals)[number];
/** The same for every attempt under one id with the same contents, whenever it is made. */
export type Answer = "done" | Refusal;

/** Throws `RangeError` for a mistake of the program that asks, not of who has asked it. Ids come back as the database writes them. */
export function checkWishes<W extends AnyWish>(wishes: readonly W[]): readonly W[] {
  if (wishes.length > wishesMax) throw new RangeError(`${wishes.length} wishes are more than ${wishesMax}`);
  return wishes.map((wish) => {
    const fault = faultOf(wish);
    if (fault !== undefined) throw new RangeError(`wish ${wish.id}: ${fault}`);
    const id = wish.id.toLowerCase();
    return "target" in wish ? { ...wish, id, target: wish.target.toLowerCase() } : { ...wish, id };
  });
}

function faultOf(wish: AnyWish): string | undefined {
  if (!isUuid(wish.id.toLowerCase())) return "its id is no UUID";
  if (!/^[a-z][a-z0-9_-]{0,63}$/.test(wish.purpose)) return "its purpose is no word";
  if (wish.actor.length < 1 || wish.actor.length > actorLength)
    return `its actor is not named by 1 to ${actorLength} characters`;
  // No text of the database can have these.
  if (wish.actor.includes("\0") || !wish.actor.isWellFormed()) return "its actor's name is no text";
  if ("currency" in wish && !/^[A-Z]{3}$/.test(wish.currency)) return "its currency is no code";
  if ("target" in wish && !isUuid(wish.target.toLowerCase())) return "its target is no UUID";
  const parts = "legs" in wish ? wish.legs : "amounts" in wish ? wish.amounts : undefined;
  if (parts !== undefined && (parts.length < 1 || parts.length > legsMax))
    return `it has not 1 to ${legsMax} legs`;
  if (wish.kind === "hold" && !isMoment(wish.expiresMs ?? 0)) return "its end is no moment";
  return undefined;
}

export function isMoment(ms: number): boolean {
  return Number.isSafeInteger(ms) && ms >= 0 && ms <= momentMaxMs;
}

/**
 * Equal for wishes with the same contents, in hexadecimal digits. `reconcile-laws.ts` computes it from what is written, and what was
 * written stays: it can never be computed otherwise.
 */
export function fingerprintOf(wish: AnyWish): string {
  const { id, kind, purpose } = wish;
  const rest =
    "legs" in wish
      ? [
          wish.currency,
          wish.kind === "hold" ? (wish.expiresMs ?? null) : null,
          wish.legs.map(({ debit, credit, amount }) => [debit, credit, String(amount)]),
        ]
      : [wish.target, "amounts" in wish && wish.amounts !== undefined ? trimmed(wish.amounts) : null];
  return hash("sha256", JSON.stringify([id, kind, purpose, ...rest]), "hex");
}

/** Nothing of the last legs is the same whether it is said or not. */
function trimmed(amounts: readonly bigint[]): readonly string[] {
  return amounts.slice(0, amounts.findLastIndex((amount) => amount !== 0n) + 1).map(String);
}
