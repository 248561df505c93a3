import { AppError } from "./errors.ts";

/**
 * Opaque to clients: which list a page belongs to, filters included, and where it ended, as base64url of JSON. The
 * list is in it because a place in one list is a wrong place, and not an error, in another one.
 */
export function encodeCursor(list: string, place: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify([list, ...place])).toString("base64url");
}

const isoTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;
const plainName = /^[a-z0-9._-]{1,64}$/;

/**
 * Whether a part of a cursor is what its place holds: an RFC 3339 time as `toISOString` writes it, a whole number, or a
 * name as sources have them.
 */
const fits = {
  time: (part: unknown) => typeof part === "string" && isoTime.test(part) && isRealTime(part),
  number: (part: unknown) => Number.isSafeInteger(part),
  name: (part: unknown) => typeof part === "string" && plainName.test(part),
} as const;

/** PostgreSQL knows neither the 30th of February nor a year 0. */
function isRealTime(text: string): boolean {
  const date = new Date(text);
  return !Number.isNaN(date.getTime()) && date.toISOString() === text && !text.startsWith("0000");
}

/** Throws `AppError` `invalid_cursor` unless the text is a cursor of this list, with a place of these parts. */
export function decodeCursor(
  cursor: string,
  list: string,
  parts: readonly (keyof typeof fits)[],
): readonly (string | number)[] {
  let decoded: unknown;
  try {
    decoded = JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
  } catch (cause) {
    throw new AppError("invalid_cursor", { cause });
  }
  if (!Array.isArray(decoded)) throw new AppError("invalid_cursor");
  const [madeFor, ...place] = decoded as unknown[];
  if (madeFor !== list || place.length !== parts.length || !parts.every((part, i) => fits[part](place[i]))) {
    throw new AppError("invalid_cursor");
  }
  return place as (string | number)[];
}
