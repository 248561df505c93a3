import { type EventLog, PositionExpiredError } from "../eventlog/eventlog.ts";
import { backoffMs, pause } from "../lib/backoff.ts";
import type { Logger } from "../lib/logger.ts";
import type { Hub } from "./hub.ts";

/** Entries of one read: after each, everybody who waits is written to. */
const readEntries = 1_000;
/** Bytes of their data: all partitions may be read at once. */
const readBytes = 1_048_576;
/** Entries of each partition that are read back at the start, so that whoever comes back after a restart is served. */
export const prefillEntries = 1_000;
const retry = { baseMs: 50, factor: 2, maxMs: 2_000 } as const;

/** How often it is asked, at most, whether the log has lost entries, milliseconds. */
const lossCheckEveryMs = 1_000;

/** `head` is up to where there is known to be something to read. */
type Place = { offset: number; head: number; reading: boolean };

/** Reads every partition of the log as it grows and hands it to the hub. */
export class Tail {
  readonly #eventlog: EventLog;
  readonly #hub: Hub;
  readonly #log: Logger;
  readonly #onLost: (partition: number, head: number) => void;
  readonly #places: Place[];
  readonly #stopping = new AbortController();
  #unsubscribe: () => void = () => undefined;
  readonly #reads = new Set<Promise<void>>();
  #checkedAtMs = Number.NEGATIVE_INFINITY;

  /** `onLost` is called when entries of a partition will never be read: its readers must read their state anew. */
  constructor(
    deps: { readonly eventlog: EventLog; readonly hub: Hub; readonly log: Logger },
    from: readonly number[],
    onLost: (partition: number, head: number) => void,
  ) {
    this.#eventlog = deps.eventlog;
    this.#hub = deps.hub;
    this.#log = deps.log;
    this.#onLost = onLost;
    this.#places = from.map((offset) => ({ offset, head: offset, reading: false }));
  }

  /** Where to begin: a little before the end, but not before what retention has left. */
  static async begin(eventlog: EventLog): Promise<readonly number[]> {
    const [heads, tails] = await Promise.all([eventlog.heads(), eventlog.tails()]);
    return heads.map((head, partition) => Math.max(tails[partition] ?? 0, head - prefillEntries, 0));
  }

  /** Resolves when everything that was in the log at the call has been read. */
  async start(): Promise<void> {
    this.#unsubscribe = this.#eventlog.onGrowth((growth) => {
      for (const { partition, head } of growth) this.#grown(partition, head);
    });
    const heads = await this.#eventlog.heads();
    await Promise.all(heads.map((head, partition) => this.#readUpTo(partition, head)));
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#stopping.abort();
    await Promise.all(this.#reads);
  }

  /** How far each partition has been read. */
  offsets(): readonly number[] {
    return this.#places.map(({ offset }) => offset);
  }

  #grown(partition: number, head: number): void {
    const place = this.#places[partition];
    if (place === undefined) return;
    // Most often the notice is only older than what was read. After a failover or a restore it is not.
    if (head < place.offset) void this.#follow(this.#checkForLoss());
    else void this.#follow(this.#readUpTo(partition, head));
  }

  /** Asks the log itself: entries that were read and are no longer there were lost, and others come in their place. */
  async #checkForLoss(): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - this.#checkedAtMs < lossCheckEveryMs) return;
    this.#checkedAtMs = nowMs;
    const offsets = this.offsets();
    const heads = await this.#eventlog.heads().catch((error: unknown) => {
      this.#log.debug({ err: error }, "the log's heads cannot be read");
      return [];
    });
    for (const [partition, head] of heads.entries()) {
      const place = this.#places[partition];
      // What had been read before the question was there then.
      if (place === undefined || head >= (offsets[partition] ?? 0)) continue;
      this.#log.warn({ partition, head }, "the log has lost entries that were pushed already");
      place.offset = head;
      place.head = head;
      this.#onLost(partition, head);
    }
  }

  async #readUpTo(partition: number, head: number): Promise<void> {
    const place = this.#places[partition];
    if (place === undefined) return;
    place.head = Math.max(place.head, head);
    if (place.reading) return;
    place.reading = true;
    await this.#readOn(partition, place);
    place.reading = false;
  }

  async #readOn(partition: number, place: Place): Promise<void> {
    for (let failures = 0; place.offset < place.head && !this.#stopping.signal.aborted;) {
      try {
        const { entries, end } = await this.#eventlog.read(partition, place.offset, readEntries, readBytes);
        // Nothing there: the head was that of before a loss.
        if (end <= place.offset) place.head = place.offset;
        else {
          place.offset = end;
          this.#hub.take(partition, entries, end);
        }
        failures = 0;
      } catch (error) {
        if (error instanceof PositionExpiredError) {
          this.#log.error({ err: error, partition }, "entries were removed before they were pushed");
          place.offset = error.tail;
          this.#onLost(partition, error.tail);
        } else {
          this.#log.warn({ err: error, partition }, "the log cannot be read, trying again");
          await pause(backoffMs(++failures, retry), this.#stopping.signal);
        }
      }
    }
  }

  /** Keeps hold of what is under way, for `stop`. */
  async #follow(work: Promise<void>): Promise<void> {
    this.#reads.add(work);
    await work;
    this.#reads.delete(work);
  }
}
