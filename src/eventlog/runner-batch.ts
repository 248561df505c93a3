import { errorKind } from "../lib/logger.ts";
import { moveCheckpoints } from "./checkpoints.ts";
import type { Consumer } from "./consumer.ts";
import type { Entry } from "./eventlog.ts";
import { type Failure, park, redactParked } from "./parking.ts";
import type { RetryStage } from "./retry-stage.ts";
import { failureOf, faultOf, unstorable } from "./runner-faults.ts";
import { handleInTime } from "./runner-handle.ts";
import { move, moved } from "./runner-partitions.ts";
import { type Slice, entryCount, halve } from "./runner-slice.ts";
import type { RunnerDeps } from "./runner.ts";

/**
 * Attempts at whole batches that took too long or too much, after which the entry that makes them so is looked for. The
 * runner pauses between them, so a database that is merely overloaded gets time.
 */
export const overloadAttempts = 3;

/** Handles the batches of one group: all of a batch in one transaction with its checkpoints. */
export class BatchHandler {
  readonly #consumer: Consumer;
  readonly #deps: RunnerDeps;
  readonly #retries: RetryStage;
  readonly #stopping: AbortSignal;

  constructor(consumer: Consumer, deps: RunnerDeps, context: { retries: RetryStage; stopping: AbortSignal }) {
    this.#consumer = consumer;
    this.#deps = deps;
    this.#retries = context.retries;
    this.#stopping = context.stopping;
  }

  /** Throws what no entry is to blame for, or not yet: the batch is to be read again after a pause. */
  async handle(slices: readonly Slice[]): Promise<void> {
    await this.#process(slices);
    for (const { owned } of slices) owned.overloads = 0;
  }

  /**
   * Handles a batch; one that fails is halved until the failing entry stands alone, and that one is parked. False when
   * the rest of the batch was left: one entry that took too long is enough to blame at a time, the rest must fail as
   * often anew. Should it be the database after all, its entries then become dead letters slowly.
   */
  async #process(slices: readonly Slice[]): Promise<boolean> {
    try {
      await this.#apply(slices, undefined);
      return true;
    } catch (error) {
      const fault = faultOf(error);
      if (fault === "overload" ? !mayBlame(slices) : fault !== "entry") throw error;
      if (entryCount(slices) <= 1) {
        await this.#park(slices, error);
        return fault === "entry";
      }
      for (const half of halve(slices)) if (!(await this.#process(half))) return false;
      return true;
    }
  }

  /** Parks the one entry. Where that fails too, what was said of the entry is left out: it must not stop its partition. */
  async #park(slices: readonly Slice[], error: unknown): Promise<void> {
    try {
      await this.#apply(slices, { error });
    } catch (refused) {
      if (faultOf(refused) !== "entry") throw refused;
      await this.#apply(slices, { error: new Error(unstorable) });
    }
  }

  /** One transaction: effects, parking, checkpoints. When its one entry has `failed`, that is parked, not handled. */
  async #apply(slices: readonly Slice[], failed: { readonly error: unknown } | undefined): Promise<void> {
    const { group } = this.#consumer;
    const entries = slices.flatMap((slice) => slice.entries);
    const behind = entries.filter((entry) => this.#retries.holds(entry));
    const free = behind.length === 0 ? entries : entries.filter((entry) => !this.#retries.holds(entry));
    const failure = failed === undefined ? undefined : failureOf(failed.error, 1, this.#consumer);
    const parked = [
      ...(failure === undefined ? [] : free.map((entry) => ({ entry, failure }))),
      ...behind.map((entry) => ({ entry, failure: undefined })),
    ];
    const added = await this.#deps.db.transaction(async (tx) => {
      if (failure === undefined && free.length > 0)
        await handleInTime(this.#consumer, free, { tx, stopping: this.#stopping });
      const rows = parked.length > 0 ? await park(tx, group, parked) : [];
      const redacted = slices.flatMap((slice) => slice.redacted.flatMap(({ ids }) => ids));
      if (redacted.length > 0) await redactParked(tx, redacted);
      const moves = slices.map(({ owned, to }) => move(owned, to));
      await moveCheckpoints(tx, group, moves);
      return rows;
    });
    for (const { owned, to } of slices) moved(owned, to);
    const firstOf = new Map(added.map(({ partition, offset, first }) => [`${partition} ${offset}`, first]));
    for (const entry of behind) {
      const first = firstOf.get(keyOf(entry));
      if (first !== undefined) this.#retries.follow(entry, first);
    }
    this.#deps.metrics.parkedEntries.inc({ group }, added.length);
    if (failure === undefined) this.#deps.metrics.consumedEntries.inc({ group }, free.length);
    else
      for (const entry of free) {
        if (firstOf.has(keyOf(entry))) this.#noteFailed(entry, failure, failed?.error);
        // It is parked already, a dead letter that a replay has met: what is remembered of its topic is too little.
        else this.#retries.forget([entry.partition]);
      }
  }

  #noteFailed(entry: Entry, failure: Failure, cause: unknown): void {
    const { group } = this.#consumer;
    this.#retries.hold(entry, failure);
    if (failure.dead) this.#deps.metrics.deadLetters.inc({ group });
    this.#deps.log.warn(
      { group, entry: entry.id, type: entry.type, error: errorKind(cause) },
      "entry failed and was parked",
    );
  }
}

function keyOf({ partition, offset }: Entry): string {
  return `${partition} ${offset}`;
}

/** Counts an attempt that took too long; true when one of the partitions has had its attempts as a whole. */
function mayBlame(slices: readonly Slice[]): boolean {
  const busy = slices.filter(({ entries }) => entries.length > 0).map(({ owned }) => owned);
  for (const owned of busy) owned.overloads++;
  return busy.some(({ overloads }) => overloads >= overloadAttempts);
}
