import { errorRules, type ErrorCode } from "../../protocol/errors.ts";
import type { EntryFrame, FrameError, ServerFrame } from "../../protocol/frames.ts";
import { type Entry, redactedData } from "../eventlog/eventlog.ts";
import { formatPosition } from "../eventlog/position.ts";
import type { AppError } from "../lib/errors.ts";
import { frameText, textFrame } from "./frame-bytes.ts";

/** The bytes of a frame that is a JSON object. */
export function frameOf(frame: ServerFrame): Buffer {
  return textFrame(JSON.stringify(frame));
}

/**
 * The bytes of an entry's frame (`EntryFrame`). Its data is JSON text already and is put in as it is: nothing is
 * parsed and nothing serialised again, however many read it.
 */
export function entryFrame(entry: Entry, generation: number): Buffer {
  const position = formatPosition({ generation, partition: entry.partition, offset: entry.offset });
  const { id, topic, type, time, actor, data } = entry;
  const head = `{"type":"entry","topic":${JSON.stringify(topic)},"position":"${position}","entry":{"id":"${id}","type":${JSON.stringify(type)}`;
  return textFrame(
    `${head},"time":"${new Date(time).toISOString()}","actor":${JSON.stringify(actor)},"data":${data}}}`,
  );
}

/** What is left of an entry's frame when the entry is redacted. */
export function redactedFrame(frame: Buffer): Buffer {
  const parsed = JSON.parse(frameText(frame).toString()) as EntryFrame;
  const data: unknown = JSON.parse(redactedData);
  return frameOf({ ...parsed, entry: { ...parsed.entry, data } });
}

/** A refusal as frames carry it. */
export function frameError(error: AppError): FrameError {
  const { detail, fields, retryAfterS } = error.details;
  return {
    ...frameErrorOf(error.code),
    ...(detail === undefined ? {} : { detail }),
    ...(retryAfterS === undefined ? {} : { retry_after_s: retryAfterS }),
    ...(fields === undefined ? {} : { errors: fields }),
  };
}

function frameErrorOf(code: ErrorCode): FrameError {
  const { title, retry } = errorRules[code];
  return { code, title, retry };
}
