import type { SocketLimits } from "../protocol/frames.ts";
import { type Question, byteLength } from "./requests.ts";

/** A topic, and up to where it was read. */
type Place = { readonly topic: string; readonly position: string | undefined };

export function subscribeTo(records: readonly Place[]): Question {
  return { type: "subscribe", topics: records.map(({ topic }) => topic) };
}

export function resume(records: readonly Place[]): Question {
  const positions = records.map(({ topic, position = "" }): [string, string] => [topic, position]);
  return { type: "resume", positions: Object.fromEntries(positions) };
}

/** What stands around the topics of a frame, and around each of them, at most, bytes. */
const frameFrillBytes = 100;
const topicFrillBytes = 6;

/** Parts that fit into a frame each. */
export function chunksOf<T extends Place>(records: readonly T[], limits: SocketLimits): readonly T[][] {
  const chunks: T[][] = [];
  let bytes = 0;
  for (const record of records) {
    const own = byteLength(JSON.stringify([record.topic, record.position ?? ""])) + topicFrillBytes;
    const last = chunks.at(-1);
    bytes += own;
    if (last !== undefined && last.length < limits.topics_per_frame && bytes < limits.frame_bytes)
      last.push(record);
    else {
      chunks.push([record]);
      bytes = frameFrillBytes + own;
    }
  }
  return chunks;
}
