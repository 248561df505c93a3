import type { Notification } from "../../../../protocol/notifications.ts";
import { type Preferences, defaultPreferences } from "../../../../protocol/preferences.ts";
import type { DuePush } from "./due.ts";
import { whenDue, wishOf } from "../wishes/when-to-tell.ts";

/**
 * How long after a notification was told somebody who seems to be connected may not have heard it, milliseconds: until a
 * gateway finds out that a connection is dead, and, should the gateway be killed itself, until nobody believes any more
 * what it has said of its people.
 */
export const deadAfterMs = 150_000;

/** What is to be done about a push that is due. */
export type PushDecision =
  | { readonly kind: "send"; readonly notification: Notification }
  /** Why it is not made: they have read it, hear it over a connection, do not wish it; or the sign-in is over. */
  | { readonly kind: "over"; readonly why: "read" | "online" | "unwanted" | "signed_out" }
  | { readonly kind: "wait"; readonly untilMs: number };

export function decidePush(
  { notification, signedIn, preferences, toldAt }: DuePush,
  isOnline: boolean,
  nowMs: number,
): PushDecision {
  if (notification === undefined) return { kind: "over", why: "read" };
  if (!signedIn) return { kind: "over", why: "signed_out" };
  const quietMs = quietUntil(preferences ?? defaultPreferences, notification, nowMs);
  if (quietMs === "never") return { kind: "over", why: "unwanted" };
  const lookAgainMs = toldAt.getTime() + deadAfterMs;
  if (isOnline && nowMs >= lookAgainMs) return { kind: "over", why: "online" };
  const untilMs = Math.max(isOnline ? lookAgainMs : 0, quietMs);
  return untilMs > nowMs ? { kind: "wait", untilMs } : { kind: "send", notification };
}

/** Until when somebody does not wish it, Unix milliseconds; 0 when they wish it now. */
function quietUntil(
  preferences: Preferences,
  { category, critical }: Notification,
  nowMs: number,
): number | "never" {
  if (critical) return 0;
  if (!wishOf(preferences, category).push) return "never";
  const due = whenDue(preferences, category, nowMs);
  if (due.kind === "muted") return "never";
  return due.kind === "held" ? due.untilMs : 0;
}
