import { type EventLog, PositionExpiredError, type ReadResult } from "../eventlog/eventlog.ts";
import { backoffMs, pause } from "../lib/backoff.ts";
import { AppError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import { AwaitedOffsets } from "./awaited-offsets.ts";
import type { Hub } from "./hub.ts";

/** Entries of one read: after each, everybody who waits is written to. */
const readEntries = 1_000;
/** Bytes of their data: all partitions may be read at once. */
const readBytes = 1_048_576;
/** Entries of each partition that are read back at the start, so that whoever comes back after a restart is served. */
export const prefillEntries = 1_000;
const retry = { baseMs: 50, factor: 2, maxMs: 2_000 } as const;

/** How long somebody waits at most for what the log holds already to be read, milliseconds. */
export const reachWithinMs = 10_000;

/** How often notices that are older than what was read make it ask where the log ends, at most, milliseconds. */
export const lateCheckEveryMs = 1_000;

type LastEntry = { readonly offset: number; readonly id: string };

/** `head` is up to where there is known to be something to read; `last` is the last entry that was read. */
type Place = {
  offset: number;
  head: number;
  last: LastEntry | undefined;
  reading: boolean;
  readonly awaited: AwaitedOffsets;
};

export type TailDeps = {
  readonly eventlog: Pick<
    EventLog,
    "beginGeneration" | "generation" | "heads" | "onDoubt" | "onGrowth" | "read"
  >;
  readonly hub: Pick<Hub, "take">;
  readonly log: Logger;
  /** Entries of a partition were lost or will never be read: whoever reads its topics must read their state anew. */
  readonly onLost: (partition: number, head: number) => void;
};

/** Reads every partition of the log as it grows and hands it to the hub. */
export class Tail {
  readonly #deps: TailDeps;
  readonly #places: Place[];
  readonly #stopping = new AbortController();
  readonly #ends: (() => void)[] = [];
  readonly #reads = new Set<Promise<void>>();
  /** Counted up whenever what was read may no longer be in the log. */
  #doubts = 0;
  #verified = 0;
  #verifying: Promise<void> | undefined;
  #isLateCheckDue = false;
  #lateCheckAtMs = Number.NEGATIVE_INFINITY;
  #generation: number;

  constructor(deps: TailDeps, from: readonly number[]) {
    this.#deps = deps;
    this.#generation = deps.eventlog.generation;
    this.#places = from.map((offset) => ({
      offset,
      head: offset,
      last: undefined,
      reading: false,
      awaited: new AwaitedOffsets(),
    }));
  }

  /** Where to begin: a little before the end, but not before what retention has left. */
  static async begin(eventlog: Pick<EventLog, "heads" | "tails">): Promise<readonly number[]> {
    const [heads, tails] = await Promise.all([eventlog.heads(), eventlog.tails()]);
    return heads.map((head, partition) => Math.max(tails[partition] ?? 0, head - prefillEntries, 0));
  }

  /** Resolves when everything that was in the log at the call has been read. */
  async start(): Promise<void> {
    const { eventlog } = this.#deps;
    this.#ends.push(
      eventlog.onGrowth((growth) => {
        for (const { partition, head } of growth) this.#grown(partition, head);
      }),
      eventlog.onDoubt(() => this.#doubt()),
    );
    const heads = await eventlog.heads();
    await Promise.all(heads.map((head, partition) => this.#readUpTo(partition, head)));
  }

  /**
   * Resolves when the partitions have been read up to these offsets, or what was there is known to be lost. Rejects with
   * `unavailable` when that takes longer than `reachWithinMs`.
   */
  async reach(offsets: ReadonlyMap<number, number>): Promise<void> {
    await Promise.all([...offsets].map(([partition, offset]) => this.#reachOne(partition, offset)));
  }

  async #reachOne(partition: number, offset: number): Promise<void> {
    const place = this.#places[partition];
    if (place === undefined || place.offset >= offset) return;
    const isReached = place.awaited.wait(offset, reachWithinMs);
    void this.#follow(this.#readUpTo(partition, offset));
    if (await isReached) return;
    throw new AppError("unavailable", {
      detail: "the newest entries of the log cannot be read at the moment",
    });
  }

  async stop(): Promise<void> {
    for (const end of this.#ends) end();
    this.#stopping.abort();
    for (const place of this.#places) place.awaited.passed(Number.POSITIVE_INFINITY);
    await Promise.all(this.#reads);
  }

  /** That of what has been read: positions are told in it, and not in one of which nobody has looked at anything yet. */
  get generation(): number {
    return this.#generation;
  }

  /** How often it was in doubt whether what the log has shown is still in it. */
  get doubts(): number {
    return this.#doubts;
  }

  /** How far each partition has been read. */
  offsets(): readonly number[] {
    return this.#places.map(({ offset }) => offset);
  }

  #grown(partition: number, head: number): void {
    const place = this.#places[partition];
    if (place === undefined) return;
    // Most often the notice is only older than what was read. After a failover or a restore it is not.
    if (head < place.offset) {
      if (!this.#isLateCheckDue) void this.#follow(this.#checkLate());
    } else void this.#follow(this.#readUpTo(partition, head));
  }

  async #readUpTo(partition: number, head: number): Promise<void> {
    const place = this.#places[partition];
    if (place === undefined) return;
    place.head = Math.max(place.head, head);
    if (!place.reading) await this.#readOn(partition, place);
  }

  async #readOn(partition: number, place: Place): Promise<void> {
    place.reading = true;
    for (let failures = 0; place.offset < place.head && !this.#stopping.signal.aborted;) {
      let doubts = this.#doubts;
      try {
        await this.#verify();
        doubts = this.#doubts;
        const { entries, end } = await this.#deps.eventlog.read(
          partition,
          place.offset,
          readEntries,
          readBytes,
        );
        // What was read before the question whether it follows on what was read counts no longer.
        if (doubts === this.#doubts) this.#take(partition, place, { entries, end });
        failures = 0;
      } catch (error) {
        if (error instanceof PositionExpiredError) {
          if (doubts !== this.#doubts) continue;
          this.#deps.log.error({ err: error, partition }, "entries were removed before they were pushed");
          this.#lose(partition, place, error.tail);
        } else {
          this.#deps.log.warn({ err: error, partition }, "the log cannot be read, trying again");
          await pause(backoffMs(++failures, retry), this.#stopping.signal);
        }
      }
    }
    // In the same turn in which the loop was left: what is told from now on begins another one.
    place.reading = false;
  }

  #take(partition: number, place: Place, { entries, end }: ReadResult): void {
    // Nothing there: the head was that of before a loss.
    if (end <= place.offset) {
      place.head = place.offset;
      return;
    }
    const { id, offset } = entries.at(-1) ?? {};
    if (id !== undefined && offset !== undefined) place.last = { id, offset };
    place.offset = end;
    try {
      this.#deps.hub.take(partition, entries, end);
    } catch (error) {
      this.#deps.log.error({ err: error, partition }, "entries could not be pushed");
      this.#deps.onLost(partition, end);
    }
    place.awaited.passed(end);
  }

  #lose(partition: number, place: Place, head: number): void {
    place.offset = head;
    place.head = Math.max(place.head, head);
    place.last = undefined;
    this.#deps.onLost(partition, head);
    place.awaited.passed(Number.POSITIVE_INFINITY);
  }

  /** Late notices are many and losses few, so nothing waits for this; but no notice is left without it. */
  async #checkLate(): Promise<void> {
    this.#isLateCheckDue = true;
    const waitMs = this.#lateCheckAtMs + lateCheckEveryMs - performance.now();
    if (waitMs > 0) await pause(waitMs, this.#stopping.signal);
    this.#lateCheckAtMs = performance.now();
    this.#isLateCheckDue = false;
    const offsets = this.offsets();
    const heads = await this.#deps.eventlog.heads().catch((error: unknown) => {
      this.#deps.log.debug({ err: error }, "the log's heads cannot be read");
      return [];
    });
    // What had been read before the question was there then.
    if (heads.some((head, partition) => head < (offsets[partition] ?? 0))) this.#doubt();
  }

  #doubt(): void {
    this.#doubts++;
    void this.#follow(this.#verifySoon());
  }

  /** Also when nothing is to be read: whoever waits for what will never come must be told. */
  async #verifySoon(): Promise<void> {
    for (let failures = 0; this.#verified < this.#doubts && !this.#stopping.signal.aborted;) {
      try {
        await this.#verify();
      } catch (error) {
        this.#deps.log.debug({ err: error }, "it cannot be found out whether the log has lost entries");
        await pause(backoffMs(++failures, retry), this.#stopping.signal);
      }
    }
  }

  /** Resolves when all that was read is known to be in the log, or those who heard of the rest have been told. */
  async #verify(): Promise<void> {
    while (this.#verified < this.#doubts && !this.#stopping.signal.aborted) {
      this.#verifying ??= this.#verifyAll().finally(() => {
        this.#verifying = undefined;
      });
      await this.#verifying;
    }
  }

  /** When anything has changed meanwhile it ends without a verdict, and all is looked at again. */
  async #verifyAll(): Promise<void> {
    const doubts = this.#doubts;
    const { eventlog, log } = this.#deps;
    const heads = await eventlog.heads();
    const restored = eventlog.generation !== this.#generation;
    const kept = await Promise.all(this.#places.map(({ last }, partition) => this.#isKept(partition, last)));
    const lost = this.#places.some(({ offset }, partition) => offset > (heads[partition] ?? 0));
    if (!lost && !restored && !kept.includes(false)) {
      this.#verified = doubts;
      return;
    }
    // Whoever is away has positions that would pass for those of what came in place of the lost.
    if (!restored) return eventlog.beginGeneration();
    const { generation } = eventlog;
    const lasts = await Promise.all(heads.map((head, partition) => this.#entryAt(partition, head)));
    if (doubts !== this.#doubts) return;
    log.warn({ heads, generation }, "the log has lost entries that were pushed already");
    this.#verified = doubts;
    this.#generation = generation;
    for (const [partition, place] of this.#places.entries()) {
      this.#lose(partition, place, heads[partition] ?? 0);
      const last = lasts[partition];
      place.last = last === "expired" ? undefined : last;
      // What came meanwhile was told when it seemed to be old: it is looked for once.
      void this.#follow(this.#readUpTo(partition, place.offset + 1));
    }
  }

  /** Whether the last entry that was read is where it was. */
  async #isKept(partition: number, last: LastEntry | undefined): Promise<boolean> {
    if (last === undefined) return true;
    const entry = await this.#entryAt(partition, last.offset);
    return entry === "expired" || entry?.id === last.id;
  }

  async #entryAt(partition: number, offset: number): Promise<LastEntry | "expired" | undefined> {
    if (offset === 0) return undefined;
    try {
      const { entries } = await this.#deps.eventlog.read(partition, offset - 1, 1);
      const [entry] = entries;
      return entry?.offset === offset ? { offset, id: entry.id } : undefined;
    } catch (error) {
      if (error instanceof PositionExpiredError) return "expired";
      throw error;
    }
  }

  /** Keeps hold of what is under way, for `stop`. */
  async #follow(work: Promise<void>): Promise<void> {
    this.#reads.add(work);
    await work;
    this.#reads.delete(work);
  }
}
