import type { Clock } from "../lib/clock.ts";
import type { Tx } from "../lib/db.ts";
import { checkEntries } from "./check-entries.ts";
import {
  type Entry,
  type EventLog,
  type EventLogCapabilities,
  type NewEntry,
  type PartitionGrowth,
  type Position,
  PositionExpiredError,
  type ReadResult,
  type Redactable,
  batchBytesMax,
  countWithin,
  redactedData,
  redactedType,
} from "./eventlog.ts";
import { partitionOf } from "./murmur2.ts";
import { formatPosition } from "./position.ts";
import { noticesOf, partsToRedact, toldOf } from "./redaction.ts";

/**
 * The log in the memory of one process: for tests, and as the shape of a log that lies outside the database (its
 * `appendIn` can only publish after the commit). Nothing survives the process.
 */
export class MemoryEventLog implements EventLog {
  generation = 1;
  readonly partitions: number;
  readonly capabilities: EventLogCapabilities = { durability: "memory", dedupeWindow: "for ever" };
  readonly #clock: Clock;
  readonly #partitions: { entries: Entry[]; tail: number; head: number }[];
  readonly #places = new Map<string, { partition: number; offset: number }>();
  readonly #redacted = new Set<string>();
  readonly #doubters = new Set<() => void>();
  readonly #listeners = new Set<(growth: readonly PartitionGrowth[]) => void>();

  constructor(options: { readonly partitions: number; readonly clock: Clock }) {
    this.partitions = options.partitions;
    this.#clock = options.clock;
    this.#partitions = Array.from({ length: options.partitions }, () => ({ entries: [], tail: 0, head: 0 }));
  }

  async append(entries: readonly NewEntry[]): Promise<readonly Position[]> {
    checkEntries(entries);
    // Callers must not see their entries durable in the same turn: no real log is that fast.
    await new Promise((resolve) => setImmediate(resolve));
    return this.#store(entries);
  }

  // oxlint-disable-next-line require-await -- refusals must reject, not throw
  async appendIn(tx: Tx, entries: readonly NewEntry[]): Promise<void> {
    checkEntries(entries);
    tx.afterCommit(() => {
      this.#store(entries);
    });
  }

  // oxlint-disable-next-line require-await -- refusals must reject, not throw
  async read(
    partition: number,
    after: number,
    limit: number,
    bytesMax: number = batchBytesMax,
  ): Promise<ReadResult> {
    const { entries, tail, head } = this.#partition(partition);
    if (after < tail) throw new PositionExpiredError(partition, after, tail);
    const next = entries.slice(after - tail, after - tail + limit);
    const found = next.slice(0, countWithin(next, bytesMax));
    const more = next.length === limit || found.length < next.length;
    return { entries: found, end: more ? (found.at(-1)?.offset ?? after) : Math.max(head, after) };
  }

  heads(): Promise<readonly number[]> {
    return Promise.resolve(this.#partitions.map(({ head }) => head));
  }

  tails(): Promise<readonly number[]> {
    return Promise.resolve(this.#partitions.map(({ tail }) => tail));
  }

  onGrowth(listener: (growth: readonly PartitionGrowth[]) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  beginGeneration(): Promise<void> {
    this.generation++;
    return Promise.resolve();
  }

  connect(): Promise<void> {
    return Promise.resolve();
  }

  onDoubt(listener: () => void): () => void {
    this.#doubters.add(listener);
    return () => {
      this.#doubters.delete(listener);
    };
  }

  /** Removes a partition's newest entries, as a failover to a standby does that had not received them. */
  loseAfter(partition: number, offset: number): void {
    const place = this.#partition(partition);
    for (const { id } of place.entries.splice(offset - place.tail)) this.#places.delete(id);
    place.head = Math.min(place.head, offset);
    for (const listener of this.#doubters) listener();
  }

  // oxlint-disable-next-line require-await -- refusals must reject, not throw
  async redact(targets: readonly (string | Redactable)[], reason: string): Promise<number> {
    let changed = 0;
    for (const part of partsToRedact(targets, reason)) {
      const erased = part.map(({ id }) => this.#erase(id)).filter((entry) => entry !== undefined);
      const notices = noticesOf(toldOf(part, erased), reason);
      checkEntries(notices);
      this.#store(notices);
      changed += erased.length;
    }
    return changed;
  }

  /** Removes a partition's entries up to an offset, as retention does. */
  expire(partition: number, upTo: number): void {
    const place = this.#partition(partition);
    place.entries.splice(0, upTo - place.tail);
    place.tail = Math.max(place.tail, upTo);
  }

  backlog(): { entries: number; oldestMs: number } {
    return { entries: 0, oldestMs: 0 };
  }

  maintain(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#listeners.clear();
    return Promise.resolve();
  }

  /** Answers the entry as it was; undefined where nothing was to be erased. */
  #erase(id: string): Entry | undefined {
    this.#redacted.add(id);
    const place = this.#places.get(id);
    if (place === undefined) return undefined;
    const { entries, tail } = this.#partition(place.partition);
    const index = place.offset - tail - 1;
    const entry = entries[index];
    if (entry === undefined || entry.data === redactedData || entry.type === redactedType) return undefined;
    entries[index] = { ...entry, data: redactedData };
    return entry;
  }

  #partition(number: number): { entries: Entry[]; tail: number; head: number } {
    const found = this.#partitions[number];
    if (found === undefined) throw new RangeError(`the log has no partition ${number}`);
    return found;
  }

  #store(entries: readonly NewEntry[]): Position[] {
    const heads = new Map<number, number>();
    const positions = entries.map((entry) => {
      const partition = partitionOf(entry.topic, this.partitions);
      const known = this.#places.get(entry.id);
      if (known?.partition === partition) return formatPosition({ generation: this.generation, ...known });
      const place = this.#partition(partition);
      const offset = ++place.head;
      const data = this.#redacted.has(entry.id) ? redactedData : entry.data;
      place.entries.push({ ...entry, data, partition, offset, time: this.#clock.now(), trace: entry.trace });
      this.#places.set(entry.id, { partition, offset });
      heads.set(partition, offset);
      return formatPosition({ generation: this.generation, partition, offset });
    });
    const growth = [...heads].map(([partition, head]) => ({ partition, head }));
    if (growth.length > 0) for (const listener of this.#listeners) listener(growth);
    return positions;
  }
}
