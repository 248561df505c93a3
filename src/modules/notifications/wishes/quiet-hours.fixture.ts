import type { QuietHours } from "../../../../protocol/preferences.ts";

const dayMs = 86_400_000;

/** What the wall shows, as the milliseconds at which UTC shows it: read in another way than the code does. */
export function wallOf(timeZone: string): (ms: number) => number {
  const format = formats.get(timeZone) ?? formatOf(timeZone);
  formats.set(timeZone, format);
  return (ms) => Date.parse(`${format.format(ms).replace(" ", "T")}Z`);
}

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(timeZone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "short" });
}

export function timeOf(shown: number): string {
  return new Date(shown).toISOString().slice(11, 16);
}

/** The definition, word by word. */
export function isQuiet({ from, to, days = [1, 2, 3, 4, 5, 6, 7] }: QuietHours, shown: number): boolean {
  const time = timeOf(shown);
  const isOneOf = (at: number): boolean => days.some((day) => day % 7 === new Date(at).getUTCDay());
  if (from < to) return from <= time && time < to && isOneOf(shown);
  return from > to && ((from <= time && isOneOf(shown)) || (time < to && isOneOf(shown - dayMs)));
}
