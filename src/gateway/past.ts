import { type Entry, type EventLog, PositionExpiredError } from "../eventlog/eventlog.ts";
import type { Logger } from "../lib/logger.ts";

/** Entries of a partition that are looked through for one reader; whoever missed more reads the state anew. */
export const scanEntriesMax = 20_000;
const readEntries = 1_000;
/** Readers whose past is looked through at once: it is the database that pays for it. */
export const pastReadersMax = 4;
/** Readers that wait for that; further ones read the state anew. */
export const waitingReadersMax = 1_000;

export type PastBounds = {
  /** Entries that one reader is sent of the past. */
  readonly entriesMax: number;
  /** Bytes of their data. */
  readonly bytesMax: number;
};

/** What the rings no longer hold, read from the log. */
export class Past {
  readonly #deps: { readonly eventlog: Pick<EventLog, "read">; readonly log: Logger };
  readonly #bounds: PastBounds;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(deps: { readonly eventlog: Pick<EventLog, "read">; readonly log: Logger }, bounds: PastBounds) {
    this.#deps = deps;
    this.#bounds = bounds;
  }

  /**
   * The topic's entries after `after` and up to `upTo`, that `wanted` lets pass; undefined when they are too many, too
   * far back or cannot be read: then the reader must be told so, and gets none of them.
   */
  async read(
    place: {
      readonly partition: number;
      readonly topic: string;
      readonly after: number;
      readonly upTo: number;
    },
    wanted: (entry: Entry) => boolean,
  ): Promise<readonly Entry[] | undefined> {
    if (place.upTo - place.after > scanEntriesMax || this.#waiting.length >= waitingReadersMax)
      return undefined;
    if (this.#running >= pastReadersMax) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      return await this.#scan(place, wanted);
    } catch (error) {
      if (!(error instanceof PositionExpiredError)) {
        this.#deps.log.warn({ err: error, partition: place.partition }, "the past could not be read");
      }
      return undefined;
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }

  async #scan(
    { partition, topic, after, upTo }: Parameters<Past["read"]>[0],
    wanted: (entry: Entry) => boolean,
  ): Promise<readonly Entry[] | undefined> {
    const { entriesMax, bytesMax } = this.#bounds;
    const found: Entry[] = [];
    let bytes = 0;
    for (let place = after; place < upTo;) {
      const { entries, end } = await this.#deps.eventlog.read(partition, place, readEntries);
      for (const entry of entries) {
        if (entry.offset > upTo) return found;
        if (entry.topic !== topic || !wanted(entry)) continue;
        bytes += entry.data.length;
        if (found.length === entriesMax || bytes > bytesMax) return undefined;
        found.push(entry);
      }
      if (end <= place) return found;
      place = end;
    }
    return found;
  }
}
