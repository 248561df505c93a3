import type { Entry } from "./eventlog.ts";
import type { OwnedPartition } from "./runner-partitions.ts";

/** Part of a batch: consecutive entries of one partition, and the offset that they reach. */
export type Slice = {
  readonly owned: OwnedPartition;
  readonly entries: readonly Entry[];
  /** What redaction notices among them name: parked copies follow, whichever log the entries lie in. */
  readonly redacted: readonly Redaction[];
  readonly to: number;
};

/** A notice: its own offset, and the ids of the entries whose data is gone. */
export type Redaction = { readonly offset: number; readonly ids: readonly string[] };

export function entryCount(slices: readonly Slice[]): number {
  return slices.reduce((sum, { entries }) => sum + entries.length, 0);
}

/** Two halves that together are the whole, in order: by partitions, or, when there is one, by its entries. */
export function halve(slices: readonly Slice[]): readonly [readonly Slice[], readonly Slice[]] {
  const busy = slices.filter(({ entries }) => entries.length > 0);
  const [only] = busy;
  if (busy.length > 1 || only === undefined) {
    const middle = slices.indexOf(busy[busy.length >> 1] ?? (slices[0] as Slice));
    return [slices.slice(0, middle), slices.slice(middle)];
  }
  const middle = only.entries.length >> 1;
  const to = only.entries[middle - 1]?.offset ?? only.to;
  const first = {
    ...only,
    entries: only.entries.slice(0, middle),
    redacted: only.redacted.filter(({ offset }) => offset <= to),
    to,
  };
  const second = {
    ...only,
    entries: only.entries.slice(middle),
    redacted: only.redacted.filter(({ offset }) => offset > to),
  };
  const rest = slices.filter((slice) => slice !== only);
  return [[...rest, first], [second]];
}
