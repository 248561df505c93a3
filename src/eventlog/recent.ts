import { type Entry, countWithin, redactedType } from "./eventlog.ts";

export type RecentBounds = {
  /** Entries of one partition. */
  readonly entriesMax: number;
  /** Bytes of one partition's entries. */
  readonly bytesMax: number;
  /** Bytes of all partitions' entries: beyond them go the partitions that were appended to the longest time ago. */
  readonly totalBytesMax: number;
};

/**
 * The newest entries of each partition that this process appended itself, or heard of with the notice of another, so
 * that its readers need not ask the database for what just passed through. A ring without holes: whatever would leave
 * one empties it.
 */
export class RecentEntries {
  /** The one that was appended to last comes last. */
  readonly #rings = new Map<number, Ring>();
  readonly #bounds: RecentBounds;
  #bytes = 0;

  constructor(bounds: RecentBounds) {
    this.#bounds = bounds;
  }

  /** Adds entries that this process has appended together: those of each partition lie in the log without a hole. */
  add(entries: readonly Entry[]): void {
    for (const [partition, own] of Map.groupBy(entries, (entry) => entry.partition))
      this.#add(partition, own);
  }

  /**
   * Adds entries that another process has appended, in any order. Those of a partition that leave a hole are not kept;
   * where something was redacted, nothing is: what is kept may be what was meant.
   */
  addForeign(entries: readonly Entry[]): void {
    for (const [partition, unsorted] of Map.groupBy(entries, (entry) => entry.partition)) {
      const sorted = unsorted.toSorted((a, b) => a.offset - b.offset);
      const first = sorted[0]?.offset ?? 0;
      const hasHole = sorted.some(({ offset }, i) => offset !== first + i);
      if (hasHole || sorted.some(({ type }) => type === redactedType)) this.clear(partition);
      else this.#add(partition, sorted);
    }
  }

  #add(partition: number, entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    let ring = this.#rings.get(partition);
    this.clear(partition);
    if (ring === undefined || ring.end + 1 !== first.offset) {
      ring = { start: first.offset, end: first.offset - 1, bytes: 0, entries: [], head: 0 };
    }
    for (const entry of entries) {
      ring.entries.push(entry);
      ring.bytes += entry.data.length * 2 + entryOverheadBytes;
      ring.end = entry.offset;
    }
    this.#trim(ring);
    this.#rings.set(partition, ring);
    this.#bytes += ring.bytes;
    for (const other of this.#rings.keys()) {
      if (this.#bytes <= this.#bounds.totalBytesMax || other === partition) break;
      this.clear(other);
    }
  }

  /**
   * Up to `limit` entries after `after` with up to `bytesMax` bytes of data, at least one; undefined when the next one is not here. Only the database
   * knows whether there is a next one at all: others append too.
   */
  read(
    partition: number,
    after: number,
    limit: number,
    bytesMax = Number.POSITIVE_INFINITY,
  ): readonly Entry[] | undefined {
    const ring = this.#rings.get(partition);
    if (ring === undefined || after + 1 < ring.start || after >= ring.end) return undefined;
    const from = ring.head + (after + 1 - ring.start);
    const found = ring.entries.slice(from, from + limit);
    // What counts as two bytes here has three at the most: a small ring need not be measured.
    return ring.bytes * 1.5 <= bytesMax ? found : found.slice(0, countWithin(found, bytesMax));
  }

  /**
   * The log has grown past what is kept here, so another process appends to this partition too. It may have redacted as
   * well, and told so only in the log: readers must get its notice and not what was kept.
   */
  outgrown(partition: number, head: number): void {
    const ring = this.#rings.get(partition);
    if (ring !== undefined && ring.end < head) this.clear(partition);
  }

  /** Forgets a partition, or all: what lies in the log may no longer be what was kept here. */
  clear(partition?: number): void {
    for (const each of partition === undefined ? [...this.#rings.keys()] : [partition]) {
      this.#bytes -= this.#rings.get(each)?.bytes ?? 0;
      this.#rings.delete(each);
    }
  }

  #trim(ring: Ring): void {
    const { entriesMax, bytesMax } = this.#bounds;
    while (ring.end - ring.start + 1 > entriesMax || ring.bytes > bytesMax) {
      const oldest = ring.entries[ring.head];
      if (oldest === undefined) break;
      ring.bytes -= oldest.data.length * 2 + entryOverheadBytes;
      ring.head++;
      ring.start++;
    }
    // Half of the array at the most is what was dropped.
    if (ring.head * 2 > ring.entries.length) {
      ring.entries = ring.entries.slice(ring.head);
      ring.head = 0;
    }
  }
}

/** What an entry costs beside its data, roughly. */
const entryOverheadBytes = 400;

/** `entries[head]` has offset `start`; the last one has offset `end`. */
type Ring = { start: number; end: number; bytes: number; entries: Entry[]; head: number };
