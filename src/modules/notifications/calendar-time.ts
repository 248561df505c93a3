import { AppError } from "../../lib/errors.ts";

/** The same moment in UTC. A schema has let only real-looking times through; the 30th of February is none. */
export function calendarTime(text: string, pointer: string): string {
  const date = new Date(text);
  const day = Number(text.slice(8, 10));
  const lastDay = new Date(Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)), 0)).getUTCDate();
  if (!Number.isNaN(date.getTime()) && day <= lastDay) return date.toISOString();
  const detail = "must be a day that the calendar has";
  throw new AppError("invalid_body", {
    detail: `${pointer} ${detail}`,
    fields: [{ pointer, code: "range", detail }],
  });
}
