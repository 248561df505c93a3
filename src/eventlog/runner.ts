import { backoffMs, pause } from "../lib/backoff.ts";
import { type Db, type Tx, isSchemaFault } from "../lib/db.ts";
import { errorMessage } from "../lib/errors.ts";
import { type Logger, loggableMessage } from "../lib/logger.ts";
import type { Metrics } from "../observe/metrics.ts";
import { FencedError, isEntrysFault, moveCheckpoints } from "./checkpoints.ts";
import type { Consumer } from "./consumer.ts";
import {
  type Entry,
  type EventLog,
  PositionExpiredError,
  type RedactedData,
  parseData,
  redactedData,
  redactedType,
} from "./eventlog.ts";
import type { Lease } from "./leases.ts";
import { type Failure, park, parkedMax, redactParked, retryRule } from "./parking.ts";
import { RetryStage } from "./retry-stage.ts";

export type RunnerDeps = {
  readonly db: Db;
  readonly eventlog: EventLog;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, "consumedEntries" | "parkedEntries" | "deadLetters">;
};

/** A partition that this runner owns. */
export type OwnedPartition = {
  readonly partition: number;
  readonly epoch: number;
  /** The last offset whose effects are committed, as the database has it. */
  checkpoint: number;
  /** The last offset that was looked at: entries of foreign types move it without a commit each. */
  place: number;
  /** The last offset that the log is known to have; infinite until a read has come back empty. */
  head: number;
  /** Counts announcements of growth: a read that came back empty is outdated when one arrived meanwhile. */
  announced: number;
  /** Retention has outrun the group: an operator must choose where to go on. */
  expired: boolean;
};

/** Part of a batch: consecutive entries of one partition, and the offset that they reach. */
type Slice = {
  readonly owned: OwnedPartition;
  readonly entries: readonly Entry[];
  /** Ids that redaction notices among them name: parked copies follow, whichever log the entries lie in. */
  readonly redacted: readonly string[];
  readonly to: number;
};

/** Entries read per partition at the least, so that many busy partitions do not make tiny reads. */
const readMin = 50;
/**
 * Under load a batch gathers for this long, milliseconds: small batches cost as much per transaction as large ones. A
 * group that was idle handles what comes at once, and one that has a full batch before it does not wait.
 */
const gatherMs = 40;
/** How often the checkpoint follows a place that only foreign entries have moved, milliseconds. */
const idleCommitMs = 200;
const transientRetry = { baseMs: 50, factor: 2, maxMs: 2_000 } as const;
/** Pause of a group that has parked all it may, milliseconds. */
const fullPauseMs = 1_000;

/**
 * Runs one consumer group on the partitions that this process owns, in one loop: retry what is due, else read a batch
 * over all owned partitions, handle it, move the checkpoints, all in one transaction. One loop is what makes parking
 * simple: nobody else touches the topics of an owned partition.
 */
export class GroupRunner {
  readonly consumer: Consumer;
  readonly #deps: RunnerDeps;
  readonly #wanted: ReadonlySet<string>;
  readonly #owned = new Map<number, OwnedPartition>();
  readonly #retries: RetryStage;
  readonly #stopping = new AbortController();
  readonly #onFenced: () => void;
  #loop: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #woken = false;
  #leases: readonly Lease[] | undefined;
  #leaving: { readonly partitions: ReadonlySet<number>; readonly done: () => void }[] = [];
  #rotation = 0;
  #failures = 0;
  #lastIdleCommit = 0;
  #lastBatch = Number.NEGATIVE_INFINITY;

  /** `onFenced` asks the owner of the leases to look at what this process still holds. */
  constructor(consumer: Consumer, deps: RunnerDeps, onFenced: () => void) {
    this.consumer = consumer;
    this.#deps = deps;
    this.#wanted = new Set(consumer.types);
    this.#onFenced = onFenced;
    this.#retries = new RetryStage(consumer, deps);
  }

  get owned(): ReadonlyMap<number, Readonly<OwnedPartition>> {
    return this.#owned;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Finishes the batch at hand and ends. What it owned stays leased until the caller releases it. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#signal();
    await this.#loop;
    for (const { done } of this.#leaving.splice(0)) done();
  }

  /** Tells what the database says this process holds. Taken over between two batches. */
  sync(leases: readonly Lease[]): void {
    this.#leases = leases;
    this.#signal();
  }

  grown(partition: number, head: number): void {
    const owned = this.#owned.get(partition);
    if (owned === undefined || owned.place >= head) return;
    owned.head = Math.max(owned.head, head);
    owned.announced++;
    this.#signal();
  }

  /** Something may be due in the retry stage. */
  nudge(): void {
    this.#retries.forget();
    this.#signal();
  }

  /** Stops working on partitions between two batches; resolves when nothing of theirs is under way. */
  async giveUp(partitions: readonly number[]): Promise<void> {
    if (this.#stopping.signal.aborted || this.#loop === undefined) return;
    await new Promise<void>((done) => {
      this.#leaving.push({ partitions: new Set(partitions), done });
      this.#signal();
    });
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      let worked = false;
      try {
        this.#takeOver();
        this.#leave();
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

  async #step(): Promise<boolean> {
    if (this.#owned.size === 0) return false;
    const retried = await this.#retries.run([...this.#owned.values()]);
    if (this.#retries.parked >= parkedMax) {
      this.#deps.log.error(
        { group: this.consumer.group, parked: this.#retries.parked },
        "group stopped: too many parked entries",
      );
      await pause(fullPauseMs, this.#stopping.signal);
      return retried;
    }
    const batch = await this.#read();
    if (batch === undefined) {
      if (performance.now() - this.#lastIdleCommit > idleCommitMs) await this.#commitPlaces();
      return retried;
    }
    if (batch.length > 0) await this.#process(batch);
    return true;
  }

  /** A batch over the owned partitions that have news, each getting its fair part; undefined when none has. */
  async #read(): Promise<readonly Slice[] | undefined> {
    const active = [...this.#owned.values()].filter(({ place, head, expired }) => head > place && !expired);
    if (active.length === 0) return undefined;
    const { batchMax } = this.consumer;
    const backlog = active.reduce((sum, { head, place }) => sum + head - place, 0);
    const gathering = this.#lastBatch + gatherMs - performance.now();
    if (gathering > 0 && backlog < batchMax) await pause(gathering, this.#stopping.signal);
    this.#lastBatch = performance.now();
    const limit = Math.max(Math.ceil(batchMax / active.length), Math.min(readMin, batchMax));
    const count = Math.min(active.length, Math.max(1, Math.floor(batchMax / limit)));
    const turn = this.#rotation++ % active.length;
    const chosen = [...active.slice(turn), ...active.slice(0, turn)].slice(0, count);
    const slices = await Promise.all(chosen.map((owned) => this.#readOne(owned, limit)));
    return slices.filter((slice) => slice !== undefined);
  }

  async #readOne(owned: OwnedPartition, limit: number): Promise<Slice | undefined> {
    const { announced } = owned;
    try {
      const { entries, end } = await this.#deps.eventlog.read(owned.partition, owned.place, limit);
      if (end === owned.place) {
        if (owned.announced === announced) owned.head = owned.place;
        return undefined;
      }
      const wanted = entries.filter(({ type, data }) => this.#wanted.has(type) && data !== redactedData);
      const redacted = entries
        .filter(({ type }) => type === redactedType)
        .flatMap((notice) => parseData<RedactedData>(notice).entry_ids);
      return { owned, entries: wanted, redacted, to: end };
    } catch (error) {
      if (!(error instanceof PositionExpiredError)) throw error;
      owned.expired = true;
      this.#deps.log.error(
        { err: error, group: this.consumer.group },
        "group stopped: retention has removed entries it has not read",
      );
      return undefined;
    }
  }

  /** Handles a batch; one that fails is halved until the failing entry stands alone, and that one is parked. */
  async #process(slices: readonly Slice[]): Promise<void> {
    const wanted = slices.reduce((sum, { entries }) => sum + entries.length, 0);
    if (wanted === 0 && slices.every(({ redacted }) => redacted.length === 0)) {
      for (const { owned, to } of slices) owned.place = to;
      if (performance.now() - this.#lastIdleCommit > idleCommitMs) await this.#commitPlaces();
      return;
    }
    try {
      await this.#apply(slices, undefined);
    } catch (error) {
      if (!isEntrysFault(error)) throw error;
      if (wanted <= 1) {
        await this.#apply(slices, error);
        return;
      }
      for (const half of halve(slices)) await this.#process(half);
    }
  }

  /** One transaction: effects, parking, checkpoints. With a `failure`, the slices' one entry is parked, not handled. */
  async #apply(slices: readonly Slice[], failure: unknown): Promise<void> {
    const entries = slices.flatMap((slice) => slice.entries);
    const behind = entries.filter(({ topic }) => this.#retries.holds(topic));
    const free = behind.length === 0 ? entries : entries.filter(({ topic }) => !this.#retries.holds(topic));
    const failed = failure === undefined || free.length === 0 ? undefined : this.#firstFailure(failure);
    const { group } = this.consumer;
    await this.#deps.db.transaction(async (tx: Tx) => {
      if (failed === undefined && free.length > 0) await this.consumer.handle(free, tx);
      const parked = [
        ...(failed === undefined ? [] : free.map((entry) => ({ entry, failure: failed }))),
        ...behind.map((entry) => ({ entry, failure: undefined })),
      ];
      if (parked.length > 0) await park(tx, group, parked);
      const redacted = slices.flatMap((slice) => slice.redacted);
      if (redacted.length > 0) await redactParked(tx, redacted);
      await moveCheckpoints(
        tx,
        group,
        slices.map(({ owned, to }) => move(owned, to)),
      );
    });
    for (const { owned, to } of slices) {
      owned.checkpoint = to;
      owned.place = to;
    }
    if (failed !== undefined) {
      for (const entry of free) this.#noteFailed(entry, failed, failure);
    } else this.#deps.metrics.consumedEntries.inc({ group }, free.length);
    this.#deps.metrics.parkedEntries.inc({ group }, behind.length + (failed === undefined ? 0 : free.length));
  }

  #firstFailure(error: unknown): Failure {
    return {
      attempts: 1,
      error: errorMessage(error),
      delayMs: backoffMs(1, retryRule),
      dead: this.consumer.attemptsMax <= 1,
    };
  }

  #noteFailed(entry: Entry, failure: Failure, cause: unknown): void {
    const { group } = this.consumer;
    this.#retries.hold(entry.topic, failure);
    if (failure.dead) this.#deps.metrics.deadLetters.inc({ group });
    this.#deps.log.warn(
      { group, entry: entry.id, type: entry.type, error: loggableMessage(cause) },
      "entry failed and was parked",
    );
  }

  /** Commits places that only foreign entries have moved. */
  async #commitPlaces(): Promise<void> {
    this.#lastIdleCommit = performance.now();
    const moved = [...this.#owned.values()].filter(({ checkpoint, place }) => place > checkpoint);
    if (moved.length === 0) return;
    const moves = moved.map((owned) => move(owned, owned.place));
    await this.#deps.db.transaction((tx) => moveCheckpoints(tx, this.consumer.group, moves));
    for (const [i, owned] of moved.entries()) owned.checkpoint = moves[i]?.to ?? owned.checkpoint;
  }

  async #recover(error: unknown): Promise<void> {
    const { group } = this.consumer;
    if (error instanceof FencedError) {
      this.#deps.log.info({ group }, "partitions taken over by another process");
      this.#owned.clear();
      this.#onFenced();
      return;
    }
    this.#failures++;
    this.#deps.log[isSchemaFault(error) ? "error" : "warn"](
      { err: error, group, attempt: this.#failures },
      "batch failed, trying again",
    );
    // Whether a lost commit took effect is unknown: the compare-and-set of the next one tells.
    for (const owned of this.#owned.values()) owned.place = owned.checkpoint;
    await pause(backoffMs(this.#failures, transientRetry), this.#stopping.signal);
  }

  /**
   * Adds partitions that were claimed and drops those that were lost. Only here, between batches: a partition must not
   * be read before the retry stage knows which of its topics wait.
   */
  #takeOver(): void {
    const leases = this.#leases;
    if (leases === undefined) return;
    this.#leases = undefined;
    const held = new Map(leases.map((lease) => [lease.partition, lease]));
    for (const [partition, owned] of this.#owned) {
      if (held.get(partition)?.epoch !== owned.epoch) this.#owned.delete(partition);
    }
    for (const { partition, epoch, checkpoint } of leases) {
      if (this.#owned.has(partition)) continue;
      this.#owned.set(partition, {
        partition,
        epoch,
        checkpoint,
        place: checkpoint,
        head: Number.POSITIVE_INFINITY,
        announced: 0,
        expired: false,
      });
      this.#retries.forget();
    }
  }

  #leave(): void {
    for (const { partitions, done } of this.#leaving.splice(0)) {
      for (const partition of partitions) this.#owned.delete(partition);
      done();
    }
  }

  #signal(): void {
    this.#woken = true;
    this.#wake?.();
  }

  /** Until somebody signals, or the retry stage or an uncommitted place wants another look. */
  async #sleep(): Promise<void> {
    const uncommitted = [...this.#owned.values()].some(({ checkpoint, place }) => place > checkpoint);
    const waitMs = Math.min(this.#retries.nextLookMs, uncommitted ? idleCommitMs : Number.POSITIVE_INFINITY);
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
}

function move(
  owned: OwnedPartition,
  to: number,
): { partition: number; epoch: number; from: number; to: number } {
  return { partition: owned.partition, epoch: owned.epoch, from: owned.checkpoint, to };
}

/** Two halves that together are the whole, in order: by partitions, or, when there is one, by its entries. */
function halve(slices: readonly Slice[]): readonly (readonly Slice[])[] {
  const busy = slices.filter(({ entries }) => entries.length > 0);
  const [only] = busy;
  if (busy.length > 1 || only === undefined) {
    const middle = slices.indexOf(busy[busy.length >> 1] ?? (slices[0] as Slice));
    return [slices.slice(0, middle), slices.slice(middle)];
  }
  const middle = only.entries.length >> 1;
  const before = only.entries[middle - 1]?.offset ?? only.to;
  const first = { ...only, entries: only.entries.slice(0, middle), redacted: [], to: before };
  const second = { ...only, entries: only.entries.slice(middle) };
  const rest = slices.filter((slice) => slice !== only);
  return [[...rest, first], [second]];
}
