import { AppError } from "../lib/errors.ts";
import type { Position } from "./eventlog.ts";

export type PositionParts = {
  readonly generation: number;
  readonly partition: number;
  readonly offset: number;
};

/** Only drivers and those who keep checkpoints make positions or look inside. */
export function formatPosition(parts: PositionParts): Position {
  return `${parts.generation}-${parts.partition}-${parts.offset}` as Position;
}

/** Throws `AppError` `invalid_cursor` for a text that is not a position. */
export function parsePosition(text: string): PositionParts {
  const match = /^(\d{1,9})-(\d{1,3})-(\d{1,16})$/.exec(text);
  if (match === null) throw new AppError("invalid_cursor");
  return { generation: Number(match[1]), partition: Number(match[2]), offset: Number(match[3]) };
}
