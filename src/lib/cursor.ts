import { AppError } from "./errors.ts";

/** Opaque to clients: where a page ended, as base64url of JSON. */
export function encodeCursor(place: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(place)).toString("base64url");
}

const isoTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

/** Whether a part of a cursor is what its place holds: an RFC 3339 time as `toISOString` writes it, or a whole number. */
const fits = {
  time: (part: unknown) => typeof part === "string" && isoTime.test(part) && isRealTime(part),
  number: (part: unknown) => Number.isSafeInteger(part),
} as const;

/** PostgreSQL knows neither the 30th of February nor a year 0. */
function isRealTime(text: string): boolean {
  const date = new Date(text);
  return !Number.isNaN(date.getTime()) && date.toISOString() === text && !text.startsWith("0000");
}

/** Throws `AppError` `invalid_cursor` unless the text is a cursor of these parts. */
export function decodeCursor(
  cursor: string,
  parts: readonly (keyof typeof fits)[],
): readonly (string | number)[] {
  let place: unknown;
  try {
    place = JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
  } catch (cause) {
    throw new AppError("invalid_cursor", { cause });
  }
  if (
    !Array.isArray(place) ||
    place.length !== parts.length ||
    !parts.every((part, i) => fits[part](place[i]))
  ) {
    throw new AppError("invalid_cursor");
  }
  return place as (string | number)[];
}
