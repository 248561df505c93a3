import { type CategoryWish, type Preferences } from "../../../../protocol/preferences.ts";
import { quietUntil } from "./quiet-hours.ts";

/** What somebody's wishes make of a notification. */
export type Telling =
  | { readonly kind: "now" }
  /** Not told at all: `why` says which wish it is. */
  | { readonly kind: "muted"; readonly why: string }
  /** Told at this moment, Unix milliseconds. */
  | { readonly kind: "held"; readonly untilMs: number }
  /** Goes into the digest of its category, which closes at this moment unless it is open already. */
  | { readonly kind: "gathered"; readonly untilMs: number };

const now = { kind: "now" } as const;

/** `preferences`: null for who has wished nothing. */
export function whenToTell(
  preferences: Preferences | null,
  { category, critical }: { readonly category: string; readonly critical: boolean },
  nowMs: number,
): Telling {
  if (preferences === null || critical) return now;
  if (isMuted(preferences, nowMs)) return { kind: "muted", why: "the person has muted notifications" };
  const due = whenDue(preferences, category, nowMs);
  if (due.kind === "muted" || wishOf(preferences, category).inbox !== "digest") return due;
  const closesMs = nowMs + preferences.digest_minutes * 60_000;
  return { kind: "gathered", untilMs: quietUntil(preferences, closesMs) ?? closesMs };
}

/**
 * The same for what has waited already, and is not gathered any more. It was accepted: a pause puts it off as quiet hours do,
 * and loses nothing of it.
 */
export function whenDue(
  preferences: Preferences | null,
  category: string,
  nowMs: number,
): Exclude<Telling, { kind: "gathered" }> {
  if (preferences === null) return now;
  if (wishOf(preferences, category).inbox === "off")
    return { kind: "muted", why: `the person has turned off the category ${category}` };
  const pausedMs = isMuted(preferences, nowMs) ? Date.parse(preferences.muted_until ?? "") : nowMs;
  const untilMs = quietUntil(preferences, pausedMs) ?? pausedMs;
  return untilMs === nowMs ? now : { kind: "held", untilMs };
}

/** What somebody wishes of a category. */
export function wishOf({ categories, default: others }: Preferences, category: string): CategoryWish {
  return Object.hasOwn(categories, category) ? (categories[category] ?? others) : others;
}

export function isMuted({ muted_until: until }: Preferences, nowMs: number): boolean {
  return until !== null && Date.parse(until) > nowMs;
}
