import { AppError } from "../../lib/errors.ts";

/**
 * The same moment in UTC. A schema has let only real-looking times through: the 30th of February is none, and the last
 * evening of a year west of Greenwich is of the next one.
 */
export function calendarTime(text: string, pointer: string): string {
  const date = new Date(text);
  const day = Number(text.slice(8, 10));
  const lastDay = new Date(Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)), 0)).getUTCDate();
  const year = date.getUTCFullYear();
  const isDay = !Number.isNaN(year) && day <= lastDay;
  if (isDay && year >= 1_000 && year < 3_000) return date.toISOString();
  const detail = isDay ? "must be in the years 1000 to 2999 of UTC" : "must be a day that the calendar has";
  throw new AppError("invalid_body", {
    detail: `${pointer} ${detail}`,
    fields: [{ pointer, code: "range", detail }],
  });
}
