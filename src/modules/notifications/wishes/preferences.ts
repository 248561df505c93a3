import { isDeepStrictEqual } from "node:util";
import {
  type NewPreferences,
  type Preferences,
  type PreferencesChangedData,
  defaultPreferences,
} from "../../../../protocol/preferences.ts";
import { uuidv7 } from "../../../../protocol/ids.ts";
import { topics } from "../../../../protocol/topics.ts";
import { jsonText } from "../../../eventlog/eventlog.ts";
import { type Queryable, type Tx, arrayLiteral } from "../../../lib/db.ts";
import { AppError } from "../../../lib/errors.ts";
import { calendarTime } from "../calendar-time.ts";
import type { MarkDeps } from "../mark.ts";
import { isTimeZone } from "./quiet-hours.ts";
import { wishOf } from "./when-to-tell.ts";

/** What somebody wishes; what holds for everybody if they have wished nothing. */
export async function readPreferences(db: Queryable, userId: number): Promise<Preferences> {
  const { rows } = await db.query<{ preferences: Preferences | null }>(
    "select preferences from notification_person where user_id = $1",
    [userId],
    { name: "notification_preferences" },
  );
  return rows[0]?.preferences ?? defaultPreferences;
}

/**
 * Puts new wishes in the place of the old ones and tells the person's devices. They hold for what is held as well: what may
 * be told now is due at once. Throws `invalid_body` for wishes that nobody can fulfil.
 */
export async function savePreferences(
  { db, eventlog, clock, people }: MarkDeps,
  { userId, actor }: { readonly userId: number; readonly actor: string },
  wished: NewPreferences,
): Promise<Preferences> {
  const preferences = checked(wished);
  return db.transaction(async (tx) => {
    const { people: states, nowMs } = await people.lock(tx, [userId], clock);
    const before = states.get(userId);
    if (before === undefined) throw new Error("a person whose row is locked has none");
    // Who says the same again tells nobody anything.
    if (isDeepStrictEqual(before.preferences ?? defaultPreferences, preferences)) return preferences;
    await tx.query("update notification_person set preferences = $2 where user_id = $1", [
      userId,
      JSON.stringify(preferences),
    ]);
    if (before.held > 0) await rescheduleHeld(tx, userId, preferences, nowMs);
    const data: PreferencesChangedData = { preferences };
    await eventlog.appendIn(tx, [
      {
        id: uuidv7(),
        topic: topics.user(userId),
        type: "notification.preferences",
        actor,
        data: jsonText(data),
      },
    ]);
    return preferences;
  });
}

/**
 * All that is held is due now, and judged by the new wishes then. What is due already is not written again: there may be ten
 * thousand of it.
 */
async function rescheduleHeld(
  tx: Tx,
  userId: number,
  preferences: Preferences,
  nowMs: number,
): Promise<void> {
  await tx.query(
    "update notification_held set release_at = $2 where user_id = $1 and digest_id is null and release_at > $2",
    [userId, new Date(nowMs)],
  );
  const { rows } = await tx.query<{ id: string; category: string; opened_at: Date; closes_at: Date }>(
    "select id, category, opened_at, closes_at from notification_digest where user_id = $1",
    [userId],
  );
  const closings = rows.flatMap(({ id, category, opened_at: openedAt, closes_at: closesAt }) => {
    const isWanted = wishOf(preferences, category).inbox === "digest";
    const closesMs = openedAt.getTime() + preferences.digest_minutes * 60_000;
    const atMs = isWanted ? Math.max(closesMs, nowMs) : nowMs;
    return atMs === closesAt.getTime() || Math.max(atMs, closesAt.getTime()) <= nowMs ? [] : [{ id, atMs }];
  });
  await tx.query(
    `update notification_digest d set closes_at = k.at from unnest($1::uuid[], $2::timestamptz[]) k(id, at) where d.id = k.id`,
    [arrayLiteral(closings.map(({ id }) => id)), closings.map(({ atMs }) => new Date(atMs).toISOString())],
  );
}

/** With what was left out, and in one form. The schema has let through only what looks right. */
function checked(wished: NewPreferences): Preferences {
  const others = { ...defaultPreferences.default, ...wished.default };
  const categories = Object.fromEntries(
    Object.entries(wished.categories ?? {}).map(([name, wish]) => [name, { ...others, ...wish }]),
  );
  const preferences = { ...defaultPreferences, ...wished, default: others, categories };
  const { time_zone: zone, quiet_hours: quiet, muted_until: until } = preferences;
  if (!isTimeZone(zone)) throw wrong("/time_zone", "unknown", "is no time zone that this server knows");
  if (quiet !== null && quiet.from === quiet.to)
    throw wrong("/quiet_hours/to", "range", "must be another time than from");
  const days = quiet?.days === undefined ? undefined : [...new Set(quiet.days)].toSorted((a, b) => a - b);
  return {
    ...preferences,
    quiet_hours: quiet === null ? null : { from: quiet.from, to: quiet.to, ...(days && { days }) },
    muted_until: until === null ? null : calendarTime(until, "/muted_until"),
  };
}

function wrong(pointer: string, code: string, detail: string): AppError {
  return new AppError("invalid_body", {
    detail: `${pointer} ${detail}`,
    fields: [{ pointer, code, detail }],
  });
}
