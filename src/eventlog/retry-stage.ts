import { errorKind } from "../lib/logger.ts";
import { holdPartition } from "./checkpoints.ts";
import type { Consumer } from "./consumer.ts";
import { type Entry, batchBytesMax, redactedData } from "./eventlog.ts";
import {
  type Failure,
  type ParkedEntry,
  noteFailure,
  parkedEntries,
  unpark,
  waitingTopics,
} from "./parking.ts";
import { type HeldTopic, HeldTopics } from "./retry-stage-topics.ts";
import { failureOf, faultOf, isEntrysFault, unstorable } from "./runner-faults.ts";
import { handleInTime } from "./runner-handle.ts";
import type { OwnedPartition } from "./runner-partitions.ts";
import type { RunnerDeps } from "./runner.ts";

/** Topics tried per look. */
export const topicsPerLook = 100;
/** How often what is remembered is read anew while there is any, milliseconds: older servers retry and drop silently. */
const relearnEveryMs = 60_000;

/**
 * The parked entries of one runner: which topics they hold, and trying them again. Runs between the runner's
 * batches, never beside them.
 */
export class RetryStage {
  readonly #consumer: Consumer;
  readonly #deps: RunnerDeps;
  readonly #stopping: AbortSignal;
  readonly #deadHold: boolean;
  readonly #held = new HeldTopics();
  /** Partitions that must be read anew. Only marked from outside: what is remembered changes only in `run`'s turns. */
  readonly #outdated = new Set<number>();
  #learnedAt = 0;

  constructor(consumer: Consumer, deps: RunnerDeps, stopping: AbortSignal) {
    this.#consumer = consumer;
    this.#deps = deps;
    this.#stopping = stopping;
    this.#deadHold = consumer.onPoison === "quarantine-topic";
  }

  /** Entries of the partition that wait to be tried; dead letters are not counted. */
  waiting(partition: number): number {
    return this.#held.waiting(partition);
  }

  /** Whether this entry must wait behind an earlier one of its topic. */
  holds(entry: Pick<Entry, "partition" | "topic">): boolean {
    return this.#held.holds(entry);
  }

  /** Milliseconds until it wants to run again: at once when it must read anew, else when the first topic is due. */
  get nextLookMs(): number {
    if (this.#outdated.size > 0) return 0;
    const relearnAt = this.#held.size === 0 ? Number.POSITIVE_INFINITY : this.#learnedAt + relearnEveryMs;
    return Math.max(0, Math.min(this.#held.nextDueAt(), relearnAt) - performance.now());
  }

  /** What is remembered of these partitions may no longer be so: it is read anew before the next batch. */
  forget(partitions: Iterable<number>): void {
    for (const partition of partitions) this.#outdated.add(partition);
  }

  /** An entry whose topic was free has failed and is parked. */
  hold(entry: Entry, failure: Failure): void {
    if (!failure.dead) this.#held.hold(entry, failure.delayMs);
    else if (this.#deadHold) this.#held.hold(entry, Number.POSITIVE_INFINITY);
  }

  /** An entry was parked behind an earlier one; or before it, when a replay came to it: then it is tried `first`. */
  follow(entry: Entry, first: boolean): void {
    this.#held.count(entry, 1);
    if (first) this.#held.due(entry);
  }

  /** Tries what is due; true when it changed anything. */
  async run(owned: readonly OwnedPartition[]): Promise<boolean> {
    await this.#learn(owned);
    const due = this.#held.allDue(topicsPerLook);
    for (const topic of due) {
      const owner = owned.find(({ partition }) => partition === topic.partition);
      if (owner !== undefined) await this.#retryTopic(topic, owner);
    }
    return due.length > 0;
  }

  async #learn(owned: readonly OwnedPartition[]): Promise<void> {
    const partitions = new Set(owned.map(({ partition }) => partition));
    if (performance.now() >= this.#learnedAt + relearnEveryMs && this.#held.size > 0) this.forget(partitions);
    this.#held.keep(partitions.difference(this.#outdated));
    this.#outdated.clear();
    const unknown = [...partitions].filter((partition) => !this.#held.knows(partition));
    if (unknown.length === 0) return;
    const scope = { partitions: unknown, deadHold: this.#deadHold };
    const topics = await waitingTopics(this.#deps.db, this.#consumer.group, scope);
    this.#held.learn(unknown, topics);
    this.#learnedAt = performance.now();
  }

  /** All waiting entries of the topic at once; if that fails, one by one up to the failing one. */
  async #retryTopic(topic: HeldTopic, owner: OwnedPartition): Promise<void> {
    const { group, batchMax } = this.#consumer;
    const scope = { partition: topic.partition, topic: topic.topic, deadHold: this.#deadHold };
    const waiting = await parkedEntries(this.#deps.db, group, {
      ...scope,
      limit: batchMax,
      bytesMax: batchBytesMax,
    });
    if (waiting.length === 0) {
      // A person has retried or dropped something, or has had the log read again: what is remembered is outdated.
      this.forget([topic.partition]);
      return;
    }
    if (waiting.length > 1 && (await this.#attempt(waiting, owner)) === undefined) {
      this.#handled(topic, waiting.length);
      return;
    }
    for (const parked of waiting) {
      const failed = await this.#attempt([parked], owner);
      if (failed !== undefined) {
        await this.#fail(topic, { parked, owner, error: failed.error });
        return;
      }
      this.#handled(topic, 1);
    }
  }

  #handled(topic: HeldTopic, count: number): void {
    this.#held.count(topic, -count);
    this.#held.schedule(topic, 0);
  }

  /** Handles and takes out in one transaction that is fenced last. The handler's error, or undefined when it went well. */
  async #attempt(
    parked: readonly ParkedEntry[],
    owner: OwnedPartition,
  ): Promise<{ readonly error: unknown } | undefined> {
    const { group } = this.#consumer;
    try {
      await this.#deps.db.transaction(async (tx) => {
        const entries = parked.map(({ entry }) => entry).filter(({ data }) => data !== redactedData);
        if (entries.length > 0) await handleInTime(this.#consumer, entries, { tx, stopping: this.#stopping });
        const ids = parked.map(({ id }) => id);
        await unpark(tx, ids);
        await holdPartition(tx, group, owner);
      });
      this.#deps.metrics.consumedEntries.inc({ group }, parked.length);
      return undefined;
    } catch (error) {
      if (!isEntrysFault(error)) throw error;
      return { error };
    }
  }

  async #fail(
    topic: HeldTopic,
    { parked, owner, error }: { parked: ParkedEntry; owner: OwnedPartition; error: unknown },
  ): Promise<void> {
    const { group } = this.#consumer;
    const failure = failureOf(error, parked.attempts + 1, this.#consumer);
    const note = (noted: Failure): Promise<void> =>
      this.#deps.db.transaction(async (tx) => {
        await noteFailure(tx, parked.id, noted);
        await holdPartition(tx, group, owner);
      });
    await note(failure).catch((refused: unknown) => {
      if (faultOf(refused) !== "entry") throw refused;
      return note({ ...failure, error: unstorable });
    });
    this.#noted(topic, failure);
    const { id, type } = parked.entry;
    this.#deps.log[failure.dead ? "error" : "warn"](
      { group, entry: id, type, attempts: failure.attempts, error: errorKind(error) },
      failure.dead ? "entry became a dead letter" : "parked entry failed again",
    );
  }

  #noted(topic: HeldTopic, { dead, delayMs }: Failure): void {
    if (!dead) return this.#held.schedule(topic, delayMs);
    this.#deps.metrics.deadLetters.inc({ group: this.#consumer.group });
    this.#held.count(topic, -1);
    if (this.#deadHold) topic.dead++;
    this.#held.schedule(topic, this.#deadHold ? Number.POSITIVE_INFINITY : 0);
  }
}
