import { backoffMs } from "../../../lib/backoff.ts";
import { errorCodeOf } from "../../../lib/errors.ts";
import type { PushAnswer } from "./call.ts";

/** Calls that may fail until a push is given up. With the pauses below that takes some three hours. */
export const failuresMax = 12;
const retry = { baseMs: 10_000, factor: 2, maxMs: 3_600_000 } as const;
/** Longest time that a push service is obeyed which says when to call again, milliseconds. */
export const retryAfterMaxMs = 3_600_000;

/** What becomes of a push. */
export type Verdict =
  | { readonly kind: "sent" }
  /** Its browser is not subscribed any more. */
  | { readonly kind: "gone" }
  /** It will never be taken. */
  | { readonly kind: "dropped"; readonly why: "refused" | "too_large" | "given_up" }
  | { readonly kind: "again"; readonly atMs: number };

/** What a call failed with, or what it was answered. `failures`: of this push, before this call. */
export function judge(
  answer: PushAnswer | Error,
  { failures, expiresAtMs }: { readonly failures: number; readonly expiresAtMs: number },
  nowMs: number,
): Verdict {
  if (answer instanceof Error) {
    if (errorCodeOf(answer) === "EPRIVATE") return { kind: "dropped", why: "refused" };
  } else {
    const { status } = answer;
    if (status >= 200 && status < 300) return { kind: "sent" };
    if (status === 404 || status === 410) return { kind: "gone" };
    if (status === 413) return { kind: "dropped", why: "too_large" };
    if (status !== 408 && status !== 429 && status < 500) return { kind: "dropped", why: "refused" };
  }
  const askedMs = answer instanceof Error ? 0 : waitMs(answer.retryAfter, nowMs);
  const atMs = nowMs + Math.max(askedMs, backoffMs(failures + 1, retry));
  if (failures + 1 >= failuresMax || atMs >= expiresAtMs) return { kind: "dropped", why: "given_up" };
  return { kind: "again", atMs };
}

/** `Retry-After`: seconds, or a date. */
function waitMs(retryAfter: string | undefined, nowMs: number): number {
  if (retryAfter === undefined) return 0;
  const ms = /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1_000 : Date.parse(retryAfter) - nowMs;
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(0, ms), retryAfterMaxMs);
}
