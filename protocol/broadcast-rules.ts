import type { Notification } from "./notifications.ts";
import type { Preferences } from "./preferences.ts";

/** What servers and clients go by alike. Without schemas, so that browsers load none. */

/**
 * The counts of broadcasts' stream ids begin here, where those of a person's own never come: so no place is given twice,
 * and a place tells of which of the two it is.
 */
export const broadcastCountMin = 500_000_000;

export function isBroadcastPlace(streamId: string): boolean {
  return Number(streamId.split("-")[1]) >= broadcastCountMin;
}

/**
 * Whether somebody with these preferences, at this moment in Unix milliseconds, is not shown a broadcast: its category is
 * turned off, or they have muted everything. What is critical is always shown. Quiet hours and digests hold nothing that
 * everybody is told.
 */
export function hidesBroadcast(
  { muted_until, categories, default: others }: Preferences,
  { category, critical }: Pick<Notification, "category" | "critical">,
  nowMs: number,
): boolean {
  if (critical) return false;
  if (muted_until !== null && Date.parse(muted_until) > nowMs) return true;
  const wish = Object.hasOwn(categories, category) ? categories[category] : undefined;
  return (wish ?? others).inbox === "off";
}
