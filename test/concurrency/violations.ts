/** An entry that a writer wrote. Times are microseconds of the machine's monotonic clock, which processes share. */
export type Written = {
  readonly id: string;
  readonly topic: string;
  /** A writer's calls in one chain follow one another; `number` grows along the chain, also within a call. */
  readonly chain: string;
  readonly number: number;
  readonly sentUs: number;
  readonly acknowledgedUs: number;
  /** Its transaction was rolled back on purpose: nobody may ever see it. */
  readonly rolledBack: boolean;
};

/** An entry that a reader saw. A list of them is in the order of reading. */
export type Seen = { readonly partition: number; readonly offset: number; readonly id: string };

export type Violations = {
  readonly missed: number;
  readonly doubled: number;
  /** Rolled back, or never written at all. */
  readonly phantoms: number;
  /** Offsets that did not grow while the partition was read. */
  readonly backwards: number;
  /** Seen behind an entry of its topic that was sent only after it had been acknowledged, or before it in its chain. */
  readonly disordered: number;
};

export const noViolations: Violations = { missed: 0, doubled: 0, phantoms: 0, backwards: 0, disordered: 0 };

/** Compares what one reader saw with what was written. */
export function violations(written: readonly Written[], seen: readonly Seen[]): Violations {
  const kept = new Map(written.filter(({ rolledBack }) => !rolledBack).map((entry) => [entry.id, entry]));
  const ids = new Set(seen.map(({ id }) => id));
  const inOrder = seen.map(({ id }) => kept.get(id)).filter((entry) => entry !== undefined);
  return {
    missed: [...kept.keys()].filter((id) => !ids.has(id)).length,
    doubled: seen.length - ids.size,
    phantoms: seen.filter(({ id }) => !kept.has(id)).length,
    backwards: [...Map.groupBy(seen, ({ partition }) => partition).values()]
      .map((list) => list.filter(({ offset }, i) => i > 0 && offset <= (list[i - 1]?.offset ?? 0)).length)
      .reduce((sum, count) => sum + count, 0),
    disordered: countDisorder(inOrder),
  };
}

function countDisorder(inOrder: readonly Written[]): number {
  const latestSentUs = new Map<string, number>();
  const lastInChain = new Map<string, number>();
  let count = 0;
  for (const { topic, chain, number, sentUs, acknowledgedUs } of inOrder) {
    const latest = latestSentUs.get(topic) ?? -Infinity;
    const place = `${chain} ${topic}`;
    if (acknowledgedUs < latest || number <= (lastInChain.get(place) ?? -1)) count++;
    latestSentUs.set(topic, Math.max(latest, sentUs));
    lastInChain.set(place, number);
  }
  return count;
}
