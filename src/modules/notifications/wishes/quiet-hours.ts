import type { Preferences, QuietHours } from "../../../../protocol/preferences.ts";
import { Lru } from "../../../lib/lru.ts";

const minuteMs = 60_000;
const dayMinutes = 24 * 60;
const weekMinutes = 7 * dayMinutes;
/** Unix time began on a Thursday, which is this many minutes after a Monday began. */
const thursdayMinutes = 3 * dayMinutes;

/** Zones of which days are known: more than there are names in Intl, so that a batch from all over the world fits. */
export const zonesMax = 2048;
/** Days that are known of each zone: those who are asked about live now, and their quiet hours end within a day. */
const daysMax = 8;

/** While it lasts, the clock of a zone is `offset` minutes ahead of UTC: to before the minute `until` since 1970. */
type Stretch = { readonly offset: number; readonly until: number };
/** A day of UTC in a zone: until its clock is changed, and from then on. Mostly it is not, and both are the same. */
type Day = { readonly first: Stretch; readonly last: Stretch };
/** Its days by their number since 1970. The format that reads them is not kept: Intl takes 50 KiB for each. */
type Zone = { readonly name: string; readonly days: Lru<number, Day> };

/** By their names in lower case: Intl does not tell case apart, and so nobody fills it with one zone. */
const zones = new Lru<string, Zone>(zonesMax);

/** How many zones are known at this moment, never more than `zonesMax`. */
export function zonesKnown(): number {
  return zones.size;
}

/**
 * Until when somebody is left in peace: the first moment at or after `nowMs` at which they are not in their quiet hours,
 * in unix milliseconds; undefined when they are not in them now.
 *
 * They are in them at a moment when the clock on their wall, read at that moment, shows a weekday and a time such that
 * - `from` is before `to`: from <= time < to, and the weekday is one of `days`;
 * - `from` is after `to`: from <= time and the weekday is one of `days`, or time < to and the day before is one of them;
 * - never, if `from` is `to`, which the preferences refuse.
 *
 * It all follows from that where a clock is changed. Is `to` skipped, they end when the clock jumps, unless it jumps into
 * quiet hours again. Is it shown twice, they end the first time; are the hours shown again, they are quiet again. Skips
 * a zone a whole day, nothing begins or ends on it. By a zone that this Node does not know (another one may have saved
 * it) nobody is quiet: one name must not hold up a batch.
 */
export function quietUntil(
  { time_zone, quiet_hours }: Pick<Preferences, "time_zone" | "quiet_hours">,
  nowMs: number,
): number | undefined {
  if (quiet_hours === null) return undefined;
  const zone = zoneNamed(time_zone);
  if (zone === undefined) return undefined;
  const hours = { from: minuteOf(quiet_hours.from), to: minuteOf(quiet_hours.to), days: quiet_hours.days };
  const now = Math.floor(nowMs / minuteMs);
  // No hours are quiet around the clock, so this ends with the first day on which the clock is not changed.
  for (let minute = now; ;) {
    const { offset, until } = stretchAt(zone, minute);
    const left = quietMinutesLeft(hours, minute + offset);
    if (left === 0) return minute === now ? undefined : minute * minuteMs;
    minute = Math.min(minute + left, until);
  }
}

/**
 * Whether there is such a zone, which Intl decides. Offsets it would take, too, are none: they are no IANA names, do not
 * follow the clock of any place, and PostgreSQL reads them the other way round (`+03` is west of Greenwich there).
 */
export function isTimeZone(name: string): boolean {
  return zoneNamed(name) !== undefined;
}

/** How many minutes it stays quiet while nobody changes the clock, which shows `local` minutes since 1970; 0: it is not. */
function quietMinutesLeft(
  { from, to, days }: { from: number; to: number; days: QuietHours["days"] },
  local: number,
): number {
  const sinceMonday = local + thursdayMinutes;
  const time = sinceMonday % dayMinutes;
  const mayBeginOn = (weekMinute: number): boolean =>
    days === undefined || days.includes(Math.floor((weekMinute % weekMinutes) / dayMinutes) + 1);
  if (from === to) return 0;
  if (from < to) return from <= time && time < to && mayBeginOn(sinceMonday) ? to - time : 0;
  if (from <= time) return mayBeginOn(sinceMonday) ? dayMinutes - time + to : 0;
  return time < to && mayBeginOn(sinceMonday - dayMinutes) ? to - time : 0;
}

function minuteOf(dayTime: string): number {
  return Number(dayTime.slice(0, 2)) * 60 + Number(dayTime.slice(3));
}

function zoneNamed(name: string): Zone | undefined {
  // Before case is forgotten: lower case makes an ASCII letter of a few others.
  if (!/^[A-Za-z][A-Za-z0-9_+/-]*$/.test(name)) return undefined;
  const key = name.toLowerCase();
  const known = zones.get(key);
  if (known !== undefined) return known;
  try {
    formatOf(name);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  const zone: Zone = { name, days: new Lru(daysMax) };
  zones.set(key, zone);
  return zone;
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat("en-US", { timeZone, timeZoneName: "longOffset" });
}

/** Reading a day takes a tenth of a millisecond, so what was read is kept. */
function stretchAt({ name, days }: Zone, minute: number): Stretch {
  const number = Math.floor(minute / dayMinutes);
  let day = days.get(number);
  if (day === undefined) {
    day = readDay(formatOf(name), number * dayMinutes);
    days.set(number, day);
  }
  return minute < day.first.until ? day.first : day.last;
}

/** No zone has changed its clock twice within a day, or by less than a minute, since 2000: the nearest are a week apart. */
function readDay(format: Intl.DateTimeFormat, start: number): Day {
  const end = start + dayMinutes;
  const offset = offsetAt(format, start);
  const last = { offset: offsetAt(format, end - 1), until: end };
  if (offset === last.offset) return { first: last, last };
  let before = start;
  let after = end - 1;
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (offsetAt(format, middle) === offset) before = middle;
    else after = middle;
  }
  return { first: { offset, until: after }, last };
}

/** Minutes ahead of UTC. Intl writes `GMT`, `GMT+05:45`, and `GMT-00:44:30` of times long ago. */
function offsetAt(format: Intl.DateTimeFormat, minute: number): number {
  const text = format.formatToParts(minute * minuteMs).find(({ type }) => type === "timeZoneName")?.value;
  const [, sign, hours, minutes] = /^GMT(?:([+-])(\d\d):(\d\d))?/.exec(text ?? "") ?? [];
  const ahead = Number(hours ?? 0) * 60 + Number(minutes ?? 0);
  return sign === "-" ? -ahead : ahead;
}
