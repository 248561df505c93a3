import { uuidv7 } from "../../protocol/ids.ts";
import { type NewEntry, type RedactedData, jsonText, redactedType } from "./eventlog.ts";

/** Ids that are redacted at once, and that a notice names at most: 39 bytes each, so that its data stays below its bound. */
export const redactIdsMax = 1_000;

/** The ids in parts of `redactIdsMax`, none of them twice. */
export function partsToRedact(ids: readonly string[]): readonly (readonly string[])[] {
  const once = [...new Set(ids)];
  return Array.from({ length: Math.ceil(once.length / redactIdsMax) }, (_, i) =>
    once.slice(i * redactIdsMax, (i + 1) * redactIdsMax),
  );
}

/** The entries that tell of a part's redaction, one for each topic. */
export function noticesOf(
  redacted: readonly { readonly id: string; readonly topic: string }[],
  reason: string,
): readonly NewEntry[] {
  return [...Map.groupBy(redacted, ({ topic }) => topic)].map(([topic, found]) => ({
    id: uuidv7(),
    topic,
    type: redactedType,
    actor: "system",
    data: jsonText({ entry_ids: found.map(({ id }) => id), reason } satisfies RedactedData),
  }));
}
