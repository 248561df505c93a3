import { uuidv7 } from "../../protocol/ids.ts";
import { checkEntries, checkTargets } from "./check-entries.ts";
import { type NewEntry, type Redactable, type RedactedData, jsonText, redactedType } from "./eventlog.ts";

/** Ids that are redacted at once, and that a notice names at most: 39 bytes each, so that its data stays below its bound. */
export const redactIdsMax = 1_000;

/** An id, and the topic that is to be told, where the caller knows it. */
export type Target = { readonly id: string; readonly topic: string | undefined };

/**
 * The targets in parts of `redactIdsMax`, none of them twice. Throws for what the log would refuse: nothing is
 * remembered then.
 */
export function partsToRedact(
  targets: readonly (string | Redactable)[],
  reason: string,
): readonly (readonly Target[])[] {
  const given = targets.map((target): Target => {
    const { id, topic } = typeof target === "string" ? { id: target, topic: undefined } : target;
    // As PostgreSQL compares them: in capitals it is the same id.
    return { id: id.toLowerCase(), topic };
  });
  checkTargets(given);
  const topics = new Map<string, string | undefined>();
  for (const { id, topic } of given) if (topic !== undefined || !topics.has(id)) topics.set(id, topic);
  const once = [...topics].map(([id, topic]) => ({ id, topic }));
  // The largest notice that there can be, with this reason.
  checkEntries(
    noticesOf(
      once.slice(0, redactIdsMax).map(({ id }) => ({ id, topic: "any" })),
      reason,
    ),
  );
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
