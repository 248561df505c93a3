import { uuidv7 } from "../../protocol/ids.ts";
import { type NewEntry, type Redactable, type RedactedData, jsonText, redactedType } from "./eventlog.ts";

/** Ids that are redacted at once, and that a notice names at most: 39 bytes each, so that its data stays below its bound. */
export const redactIdsMax = 1_000;

/** An id, and the topic that is to be told, where the caller knows it. */
export type Target = { readonly id: string; readonly topic: string | undefined };

/** The targets in parts of `redactIdsMax`, none of them twice. */
export function partsToRedact(targets: readonly (string | Redactable)[]): readonly (readonly Target[])[] {
  const topics = new Map<string, string | undefined>();
  for (const target of targets) {
    if (typeof target !== "string") topics.set(target.id, target.topic);
    else if (!topics.has(target)) topics.set(target, undefined);
  }
  const once = [...topics].map(([id, topic]) => ({ id, topic }));
  return Array.from({ length: Math.ceil(once.length / redactIdsMax) }, (_, i) =>
    once.slice(i * redactIdsMax, (i + 1) * redactIdsMax),
  );
}

/** What readers are told: of what was erased, and of what the log had not, but the caller knows the topic of. */
export function toldOf(part: readonly Target[], erased: readonly Redactable[]): readonly Redactable[] {
  const found = new Set(erased.map(({ id }) => id));
  const others = part.flatMap(({ id, topic }) => (topic === undefined || found.has(id) ? [] : { id, topic }));
  return [...erased, ...others];
}

/** The entries that tell of a part's redaction, one for each topic. */
export function noticesOf(told: readonly Redactable[], reason: string): readonly NewEntry[] {
  return [...Map.groupBy(told, ({ topic }) => topic)].map(([topic, found]) => ({
    id: uuidv7(),
    topic,
    type: redactedType,
    actor: "system",
    data: jsonText({ entry_ids: [...new Set(found.map(({ id }) => id))], reason } satisfies RedactedData),
  }));
}
