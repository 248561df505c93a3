import { backoffMs, endsWithin, pause } from "../lib/backoff.ts";
import { type Db, boundTo, idleInTransactionMaxMs } from "../lib/db.ts";
import type { Logger } from "../lib/logger.ts";
import type { Metrics } from "../observe/metrics.ts";
import { moveCheckpoints } from "./checkpoints.ts";
import type { Consumer } from "./consumer.ts";
import type { EventLog } from "./eventlog.ts";
import type { Lease } from "./leases.ts";
import { RetryStage } from "./retry-stage.ts";
import { BatchHandler } from "./runner-batch.ts";
import { StoppingError, faultOf } from "./runner-faults.ts";
import { stopGraceMs } from "./runner-handle.ts";
import { OwnedPartitions, move } from "./runner-partitions.ts";
import { BatchReader } from "./runner-read.ts";
import { type Slice, entryCount } from "./runner-slice.ts";

export type RunnerDeps = {
  readonly db: Db;
  readonly eventlog: EventLog;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, "consumedEntries" | "parkedEntries" | "deadLetters">;
  /** How long a handler may go on once the process is to end, milliseconds; `stopGraceMs` unless given. */
  readonly stopGraceMs?: number;
};

/** How long the loop may take to end once nothing is waited for any longer, milliseconds. */
const endMs = 500;
/** How often the checkpoint follows a place that only foreign entries have moved, milliseconds. */
const idleCommitMs = 200;
/** Pauses before a batch is tried again: of a database that is away, and of one that took too long. */
const awayRule = { baseMs: 50, factor: 2, maxMs: 2_000 } as const;
const overloadRule = { baseMs: 500, factor: 4, maxMs: 10_000 } as const;

/**
 * Runs one consumer group on the partitions that this process owns, in one loop: retry what is due, else read a batch
 * over all owned partitions, handle it, move the checkpoints, all in one transaction. One loop is what makes parking
 * simple: nobody else touches the topics of an owned partition.
 */
export class GroupRunner {
  readonly consumer: Consumer;
  readonly #deps: RunnerDeps;
  readonly #owned = new OwnedPartitions();
  readonly #reader: BatchReader;
  readonly #retries: RetryStage;
  readonly #batches: BatchHandler;
  readonly #stopping = new AbortController();
  /** Aborted when a handler is not waited for any longer. */
  readonly #cutOff = new AbortController();
  readonly #onFenced: () => void;
  #loop: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #woken = false;
  #failures = 0;
  #lastIdleCommit = 0;

  /** `onFenced` asks the owner of the leases to look at what this process still holds. */
  constructor(consumer: Consumer, deps: RunnerDeps, onFenced: () => void) {
    if ((consumer.handleMaxMs ?? 0) > idleInTransactionMaxMs)
      throw new RangeError(`group ${consumer.group}: handleMaxMs is at most ${idleInTransactionMaxMs}`);
    this.consumer = consumer;
    this.#onFenced = onFenced;
    const stopping = this.#cutOff.signal;
    // What runs in the database when nothing is waited for any longer is cancelled; whatever it was, it comes again.
    const own = { ...deps, db: boundTo(deps.db, stopping) };
    this.#deps = own;
    const retries = new RetryStage(consumer, own, stopping);
    this.#retries = retries;
    this.#reader = new BatchReader(consumer, own, (partition) => retries.waiting(partition));
    this.#batches = new BatchHandler(consumer, own, { retries, stopping });
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /**
   * Finishes the batch at hand, unless it takes too long for that: then it is given up, wherever it is, and comes again.
   * The leases stay the caller's.
   */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#signal();
    const graceMs = this.#deps.stopGraceMs ?? stopGraceMs;
    const timer = setTimeout(() => this.#cutOff.abort(new StoppingError("the process ends")), graceMs);
    // It may wait for something that knows no end, such as a read of a log that does not answer: that changes nothing.
    if (this.#loop !== undefined) await endsWithin(this.#loop, graceMs + endMs);
    clearTimeout(timer);
    this.#owned.end();
  }

  /** Tells what this process holds. Resolves when that is taken over: nothing else is under way from then on. */
  async sync(leases: readonly Lease[]): Promise<void> {
    const takenOver = this.#owned.sync(leases);
    this.#signal();
    await takenOver;
  }

  grown(partition: number, head: number): void {
    const owned = this.#owned.get(partition);
    if (owned === undefined || owned.place >= head) return;
    owned.head = Math.max(owned.head, head);
    owned.announced++;
    this.#signal();
  }

  /** A person has changed what is parked in these partitions. */
  nudge(partitions: Iterable<number>): void {
    this.#retries.forget(partitions);
    this.#signal();
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      let worked = false;
      try {
        this.#takeOver();
        worked = await this.#step();
        this.#failures = 0;
      } catch (error) {
        await this.#recover(error);
        continue;
      }
      if (!worked) await this.#sleep();
    }
    await this.#commitPlaces().catch(() => undefined);
  }

  #takeOver(): void {
    const added = this.#owned.takeOver();
    if (added.length === 0) return;
    this.#retries.forget(added);
    this.consumer.onTakeOver?.();
  }

  async #step(): Promise<boolean> {
    if (this.#owned.size === 0) return false;
    const retried = await this.#retries.run(this.#owned.all);
    const batch = await this.#reader.read(this.#owned.all, this.#stopping.signal);
    if (batch === undefined) {
      await this.#commitPlacesIfDue();
      return retried;
    }
    if (isForeign(batch)) {
      for (const { owned, to } of batch) owned.place = to;
      await this.#commitPlacesIfDue();
    } else await this.#batches.handle(batch);
    return true;
  }

  async #commitPlacesIfDue(): Promise<void> {
    if (performance.now() - this.#lastIdleCommit > idleCommitMs) await this.#commitPlaces();
  }

  /** Commits places that only foreign entries have moved. */
  async #commitPlaces(): Promise<void> {
    this.#lastIdleCommit = performance.now();
    const { uncommitted } = this.#owned;
    if (uncommitted.length === 0) return;
    const moves = uncommitted.map((owned) => move(owned, owned.place));
    await this.#deps.db.transaction((tx) => moveCheckpoints(tx, this.consumer.group, moves));
    for (const [i, owned] of uncommitted.entries()) owned.checkpoint = moves[i]?.to ?? owned.checkpoint;
  }

  async #recover(error: unknown): Promise<void> {
    const { group } = this.consumer;
    const fault = faultOf(error);
    if (fault === "stopping") {
      this.#deps.log.warn({ err: error, group }, "batch rolled back: its handler did not end in time");
      return;
    }
    if (fault === "fenced") {
      this.#deps.log.info({ group }, "partitions taken over by another process");
      this.#owned.clear();
      this.#onFenced();
      return;
    }
    this.#failures++;
    // Nobody is to blame in the other cases: the database is away, or a person must look at this very program.
    const level = fault === "database" || fault === "overload" ? "warn" : "error";
    this.#deps.log[level]({ err: error, group, attempt: this.#failures }, "batch failed, trying again");
    // Whether a lost commit took effect is unknown, of checkpoints as of what was parked.
    this.#owned.reset();
    this.#retries.forget(this.#owned.all.map(({ partition }) => partition));
    const rule = fault === "overload" ? overloadRule : awayRule;
    await pause(backoffMs(this.#failures, rule), this.#stopping.signal);
  }

  #signal(): void {
    this.#woken = true;
    this.#wake?.();
  }

  /** Until somebody signals, or the retry stage or an uncommitted place wants another look. */
  async #sleep(): Promise<void> {
    const waitMs = this.#idleMs();
    if (!this.#woken) {
      const timer = new AbortController();
      await Promise.race([
        new Promise<void>((resolve) => {
          this.#wake = resolve;
        }),
        ...(Number.isFinite(waitMs) ? [pause(waitMs, timer.signal)] : []),
      ]);
      timer.abort();
    }
    this.#wake = undefined;
    this.#woken = false;
  }

  /** Milliseconds until there may be something to do without a signal. Nothing, while it owns nothing. */
  #idleMs(): number {
    if (this.#owned.size === 0) return Number.POSITIVE_INFINITY;
    const commitMs = this.#owned.uncommitted.length > 0 ? idleCommitMs : Number.POSITIVE_INFINITY;
    return Math.min(this.#retries.nextLookMs, commitMs);
  }
}

/** Whether nothing in the batch is for this group. */
function isForeign(batch: readonly Slice[]): boolean {
  return entryCount(batch) === 0 && batch.every(({ redacted }) => redacted.length === 0);
}
