import { pause } from "../lib/backoff.ts";
import type { Logger } from "../lib/logger.ts";
import type { Consumer } from "./consumer.ts";
import {
  type Entry,
  type EventLog,
  PositionExpiredError,
  type RedactedData,
  batchBytesMax,
  parseData,
  redactedData,
  redactedType,
} from "./eventlog.ts";
import { parkedMax } from "./parking.ts";
import type { OwnedPartition } from "./runner-partitions.ts";
import type { Slice } from "./runner-slice.ts";

/** Entries read per partition at the least, so that many busy partitions do not make tiny reads. */
const readMin = 50;
/**
 * Under load a batch gathers for this long, milliseconds: small batches cost as much per transaction as large ones. A
 * group that was idle handles what comes at once, and one that has a full batch before it does not wait.
 */
const gatherMs = 40;
/** Waiting entries below which a partition that was full counts as mended, so that the next time is told again. */
const mendedBelow = parkedMax * 0.9;

type ReaderDeps = { readonly eventlog: EventLog; readonly log: Logger };

/** Reads the batches of one group: over several partitions, each getting its fair part. */
export class BatchReader {
  readonly #consumer: Consumer;
  readonly #deps: ReaderDeps;
  readonly #wanted: ReadonlySet<string>;
  /** Waiting entries of a partition in the retry stage. */
  readonly #waiting: (partition: number) => number;
  #rotation = 0;
  #lastBatch = Number.NEGATIVE_INFINITY;

  constructor(consumer: Consumer, deps: ReaderDeps, waiting: (partition: number) => number) {
    this.#consumer = consumer;
    this.#deps = deps;
    this.#wanted = new Set(consumer.types);
    this.#waiting = waiting;
  }

  /** A batch over the partitions that have news; undefined when none has. */
  async read(owned: readonly OwnedPartition[], stopping: AbortSignal): Promise<readonly Slice[] | undefined> {
    const active = owned.filter((one) => one.head > one.place && !one.expired && !this.#isFull(one));
    if (active.length === 0) return undefined;
    const { batchMax } = this.#consumer;
    const backlog = active.reduce((sum, { head, place }) => sum + head - place, 0);
    const gathering = this.#lastBatch + gatherMs - performance.now();
    if (gathering > 0 && backlog < batchMax) await pause(gathering, stopping);
    this.#lastBatch = performance.now();
    const limit = Math.max(Math.ceil(batchMax / active.length), Math.min(readMin, batchMax));
    const count = Math.min(active.length, Math.max(1, Math.floor(batchMax / limit)));
    const turn = this.#rotation++ % active.length;
    const chosen = [...active.slice(turn), ...active.slice(0, turn)].slice(0, count);
    const bytesMax = Math.floor(batchBytesMax / chosen.length);
    const slices = await Promise.all(chosen.map((one) => this.#readOne(one, limit, bytesMax)));
    return slices.filter((slice) => slice !== undefined);
  }

  async #readOne(owned: OwnedPartition, limit: number, bytesMax: number): Promise<Slice | undefined> {
    const { announced } = owned;
    try {
      // Where entries are large, the log need not look at many more than fit.
      const likely = Math.ceil((2 * bytesMax) / owned.meanLength);
      const { eventlog } = this.#deps;
      const { entries, end } = await eventlog.read(
        owned.partition,
        owned.place,
        Math.min(limit, likely),
        bytesMax,
      );
      owned.meanLength = meanLength(entries);
      if (end === owned.place) {
        if (owned.announced === announced) owned.head = owned.place;
        return undefined;
      }
      const redacted = entries
        .filter(({ type }) => type === redactedType)
        .map((notice) => ({ offset: notice.offset, ids: parseData<RedactedData>(notice).entry_ids }));
      return { owned, entries: entries.filter((entry) => this.#wants(entry)), redacted, to: end };
    } catch (error) {
      if (!(error instanceof PositionExpiredError)) throw error;
      owned.expired = true;
      this.#deps.log.error(
        { err: error, group: this.#consumer.group, partition: owned.partition },
        "partition stopped: retention has removed entries that the group has not read",
      );
      return undefined;
    }
  }

  #wants({ type, data }: Entry): boolean {
    return this.#wanted.has(type) && data !== redactedData;
  }

  /** A partition that has parked all it may is not read: the others go on. Told once, not at each look. */
  #isFull(owned: OwnedPartition): boolean {
    const { partition } = owned;
    const parked = this.#waiting(partition);
    const full = parked >= parkedMax;
    if (full && !owned.toldFull) {
      owned.toldFull = true;
      this.#deps.log.error(
        { group: this.#consumer.group, partition, parked },
        "partition stopped: too many parked entries",
      );
    } else if (parked < mendedBelow) owned.toldFull = false;
    return full;
  }
}

/** Of the entries' data, at least 1. */
function meanLength(entries: readonly Entry[]): number {
  const sum = entries.reduce((length, { data }) => length + data.length, 0);
  return Math.max(1, sum / Math.max(1, entries.length));
}
