import { backoffMs } from "../lib/backoff.ts";
import { errorMessage } from "../lib/errors.ts";
import { loggableMessage } from "../lib/logger.ts";
import { holdPartition, isEntrysFault } from "./checkpoints.ts";
import type { Consumer } from "./consumer.ts";
import { redactedData } from "./eventlog.ts";
import {
  type DueTopic,
  type Failure,
  type ParkedEntry,
  countParked,
  dueTopics,
  noteFailure,
  parkedEntries,
  parkedTopics,
  retryRule,
  unpark,
} from "./parking.ts";
import type { OwnedPartition, RunnerDeps } from "./runner.ts";

/** How often due entries are looked for while any are parked, milliseconds. */
const lookEveryMs = 50;
/** Topics tried per look. */
const topicsPerLook = 100;

/**
 * The parked entries of one runner: which topics they hold, and trying them again. Runs between the runner's
 * batches, never beside them.
 */
export class RetryStage {
  readonly #consumer: Consumer;
  readonly #deps: RunnerDeps;
  readonly #deadHold: boolean;
  #topics: ReadonlySet<string> = new Set();
  #fresh = false;
  #lookAt = 0;
  #parked = 0;

  constructor(consumer: Consumer, deps: RunnerDeps) {
    this.#consumer = consumer;
    this.#deps = deps;
    this.#deadHold = consumer.onPoison === "quarantine-topic";
  }

  /** Entries of the group that were parked at the last look. */
  get parked(): number {
    return this.#parked;
  }

  /** Whether entries of this topic must wait behind an earlier one. */
  holds(topic: string): boolean {
    return this.#topics.has(topic);
  }

  /** Milliseconds until it wants to run again. */
  get nextLookMs(): number {
    if (this.#fresh && this.#topics.size === 0) return Number.POSITIVE_INFINITY;
    return Math.max(0, this.#lookAt - performance.now());
  }

  /** The owned partitions have changed, or an operator has made an entry due: read anew before the next batch. */
  forget(): void {
    this.#fresh = false;
    this.#lookAt = 0;
  }

  hold(topic: string, failure: Failure): void {
    this.#parked++;
    if (failure.dead && !this.#deadHold) return;
    this.#topics = new Set([...this.#topics, topic]);
  }

  /** Tries what is due; true when it changed anything. */
  async run(owned: readonly OwnedPartition[]): Promise<boolean> {
    if (this.#fresh && (this.#topics.size === 0 || performance.now() < this.#lookAt)) return false;
    const { db } = this.#deps;
    const { group } = this.#consumer;
    const scope = { partitions: owned.map(({ partition }) => partition), deadHold: this.#deadHold };
    const due = await dueTopics(db, group, { ...scope, limit: topicsPerLook });
    for (const topic of due) {
      const owner = owned.find(({ partition }) => partition === topic.partition);
      if (owner !== undefined) await this.#retryTopic(topic, owner);
    }
    this.#topics = await parkedTopics(db, group, scope);
    this.#parked = this.#topics.size === 0 ? 0 : await countParked(db, group);
    this.#fresh = true;
    this.#lookAt = performance.now() + lookEveryMs;
    return due.length > 0;
  }

  /** All waiting entries of the topic at once; if that fails, one by one up to the failing one. */
  async #retryTopic(topic: DueTopic, owner: OwnedPartition): Promise<void> {
    const { group, batchMax } = this.#consumer;
    const waiting = await parkedEntries(this.#deps.db, group, {
      ...topic,
      deadHold: this.#deadHold,
      limit: batchMax,
    });
    if (waiting.length > 1 && (await this.#attempt(waiting, owner)) === undefined) return;
    for (const parked of waiting) {
      const error = await this.#attempt([parked], owner);
      if (error === undefined) continue;
      await this.#fail(parked, owner, error);
      return;
    }
  }

  /** Handles and takes out in one fenced transaction. The handler's error, or undefined when it went well. */
  async #attempt(parked: readonly ParkedEntry[], owner: OwnedPartition): Promise<unknown> {
    const { group } = this.#consumer;
    try {
      await this.#deps.db.transaction(async (tx) => {
        await holdPartition(tx, group, owner);
        const entries = parked.map(({ entry }) => entry).filter(({ data }) => data !== redactedData);
        if (entries.length > 0) await this.#consumer.handle(entries, tx);
        await unpark(
          tx,
          parked.map(({ id }) => id),
        );
      });
      this.#deps.metrics.consumedEntries.inc({ group }, parked.length);
      return undefined;
    } catch (error) {
      if (!isEntrysFault(error)) throw error;
      return error ?? new Error("the handler threw nothing");
    }
  }

  async #fail(parked: ParkedEntry, owner: OwnedPartition, error: unknown): Promise<void> {
    const { group, attemptsMax } = this.#consumer;
    const attempts = parked.attempts + 1;
    const dead = attempts >= attemptsMax;
    await this.#deps.db.transaction(async (tx) => {
      await holdPartition(tx, group, owner);
      await noteFailure(tx, parked.id, {
        attempts,
        error: errorMessage(error),
        delayMs: backoffMs(attempts, retryRule),
        dead,
      });
    });
    if (dead) this.#deps.metrics.deadLetters.inc({ group });
    const { id, type } = parked.entry;
    this.#deps.log[dead ? "error" : "warn"](
      { group, entry: id, type, attempts, error: loggableMessage(error) },
      dead ? "entry became a dead letter" : "parked entry failed again",
    );
  }
}
