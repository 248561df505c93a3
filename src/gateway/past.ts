import { type Entry, type EventLog, PositionExpiredError } from "../eventlog/eventlog.ts";
import type { Logger } from "../lib/logger.ts";

/** Places of a partition that are looked through for one reader; whoever missed more reads the state anew. */
export const scanEntriesMax = 20_000;
const readEntries = 1_000;
/** Readers whose past is looked through at once: it is the database that pays for it. */
export const pastReadersMax = 4;
/** Readers that wait for that; further ones read the state anew. */
export const waitingReadersMax = 1_000;

export type PastBounds = {
  /** Entries that a reader is sent of the past of one topic. */
  readonly entriesMax: number;
  /** UTF-16 units of their data. */
  readonly bytesMax: number;
  /** And of all topics together that are looked for at once. */
  readonly scanBytesMax: number;
};

/** What one reader missed in one partition, up to `upTo`. */
export type Missed = {
  readonly partition: number;
  /** For each topic, the offset after which the reader has nothing. */
  readonly after: ReadonlyMap<string, number>;
  readonly upTo: number;
};

/** The entries of each topic; a topic is left out when they are too many, too far back or cannot be read. */
export type Found = ReadonlyMap<string, readonly Entry[]>;

/** What the rings no longer hold, read from the log: one look through a partition for all topics of a reader there. */
export class Past {
  readonly #deps: { readonly eventlog: Pick<EventLog, "read">; readonly log: Logger };
  readonly #bounds: PastBounds;
  #running = 0;
  #waiting = 0;
  /** Those who wait, by owner; the owner whose turn is next comes first. */
  readonly #turns = new Map<unknown, (() => void)[]>();

  constructor(deps: { readonly eventlog: Pick<EventLog, "read">; readonly log: Logger }, bounds: PastBounds) {
    this.#deps = deps;
    this.#bounds = bounds;
  }

  /**
   * Lets one reader look at its past, in all partitions, as soon as it is its turn: those who wait hold nothing. `owner`
   * is whose reader it is: of those who wait, one reader of each owner is served after the other. Resolves with undefined,
   * and has done nothing, when too many wait.
   */
  async turn<T>(owner: unknown, work: () => Promise<T>): Promise<T | undefined> {
    if (this.#waiting >= waitingReadersMax) return undefined;
    if (this.#running >= pastReadersMax) await this.#wait(owner);
    else this.#running++;
    try {
      return await work();
    } finally {
      this.#next();
    }
  }

  /** The entries that `wanted` lets pass. The reader must be told of topics that are left out, and gets none of theirs. */
  async read(missed: Missed, wanted: (entry: Entry) => boolean): Promise<Found> {
    const near = [...missed.after].filter(([, after]) => missed.upTo - after <= scanEntriesMax);
    if (near.length === 0) return new Map();
    try {
      return await this.#scan({ ...missed, after: new Map(near) }, wanted);
    } catch (error) {
      this.#deps.log.warn({ err: error, partition: missed.partition }, "the past could not be read");
      return new Map();
    }
  }

  #wait(owner: unknown): Promise<void> {
    this.#waiting++;
    return new Promise((resolve) => {
      const own = this.#turns.get(owner);
      if (own === undefined) this.#turns.set(owner, [resolve]);
      else own.push(resolve);
    });
  }

  #next(): void {
    const [turn] = this.#turns;
    if (turn === undefined) {
      this.#running--;
      return;
    }
    const [owner, [first, ...others]] = turn;
    this.#turns.delete(owner);
    if (others.length > 0) this.#turns.set(owner, others);
    this.#waiting--;
    first?.();
  }

  async #scan(missed: Missed, wanted: (entry: Entry) => boolean): Promise<Found> {
    const { partition, upTo } = missed;
    const gathering = new Gathering(missed, this.#bounds);
    for (let place = gathering.from; place < upTo && gathering.from < upTo;) {
      const read = await this.#readOn(partition, place);
      if ("tail" in read) {
        gathering.expire(read.tail);
        place = Math.max(place, gathering.from);
        continue;
      }
      for (const entry of read.entries) {
        if (entry.offset > upTo) return gathering.found;
        if (gathering.wants(entry) && wanted(entry)) gathering.add(entry);
      }
      if (read.end <= place) break;
      place = read.end;
    }
    return gathering.found;
  }

  async #readOn(
    partition: number,
    place: number,
  ): Promise<{ readonly tail: number } | Awaited<ReturnType<EventLog["read"]>>> {
    try {
      return await this.#deps.eventlog.read(partition, place, readEntries);
    } catch (error) {
      if (error instanceof PositionExpiredError) return { tail: error.tail };
      throw error;
    }
  }
}

/** The entries of several topics, as far as the bounds let them be gathered. */
class Gathering {
  readonly #bounds: PastBounds;
  readonly #after: Map<string, number>;
  readonly #topics: Map<string, { readonly entries: Entry[]; bytes: number }>;
  #bytes = 0;

  constructor({ after }: Missed, bounds: PastBounds) {
    this.#bounds = bounds;
    this.#after = new Map(after);
    this.#topics = new Map([...after.keys()].map((topic) => [topic, { entries: [], bytes: 0 }]));
  }

  /** Up to here nobody misses anything; beyond every offset when no topic is left. */
  get from(): number {
    return Math.min(...this.#after.values());
  }

  get found(): Found {
    return new Map([...this.#topics].map(([topic, { entries }]) => [topic, entries]));
  }

  wants({ topic, offset }: Entry): boolean {
    return offset > (this.#after.get(topic) ?? Number.POSITIVE_INFINITY);
  }

  add(entry: Entry): void {
    const { entriesMax, bytesMax, scanBytesMax } = this.#bounds;
    const of = this.#topics.get(entry.topic);
    if (of === undefined) return;
    const { length } = entry.data;
    if (
      of.entries.length === entriesMax ||
      of.bytes + length > bytesMax ||
      this.#bytes + length > scanBytesMax
    ) {
      return this.#leaveOut(entry.topic);
    }
    of.entries.push(entry);
    of.bytes += length;
    this.#bytes += length;
  }

  /** Retention has removed everything up to `tail`: whoever misses something of that is told so. */
  expire(tail: number): void {
    for (const [topic, after] of this.#after) if (after < tail) this.#leaveOut(topic);
  }

  #leaveOut(topic: string): void {
    this.#bytes -= this.#topics.get(topic)?.bytes ?? 0;
    this.#topics.delete(topic);
    this.#after.delete(topic);
  }
}
