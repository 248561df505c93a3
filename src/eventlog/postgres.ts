import { uuidv7 } from "../../protocol/ids.ts";
import { unlessAborted } from "../lib/aborted.ts";
import type { Clock } from "../lib/clock.ts";
import { type Db, type Tx, boundTo, isLockTimeout } from "../lib/db.ts";
import type { Logger } from "../lib/logger.ts";
import type { Metrics } from "../observe/metrics.ts";
import { checkEntries } from "./check-entries.ts";
import {
  type Entry,
  type EventLog,
  type EventLogCapabilities,
  type NewEntry,
  type PartitionGrowth,
  type Position,
  type ReadResult,
  type Redactable,
  batchBytesMax,
} from "./eventlog.ts";
import { GroupCommit } from "./group-commit.ts";
import { Growth } from "./growth.ts";
import { noticeEntriesMax } from "./growth-notice.ts";
import { partitionOf } from "./murmur2.ts";
import { formatPosition } from "./position.ts";
import { type AppendItem, appendOnce } from "./postgres-append.ts";
import { KnownLog } from "./postgres-known.ts";
import { type LogMeta, beginGeneration, initialiseLog } from "./postgres-meta.ts";
import { Reads, tailOffsets } from "./postgres-read.ts";
import { redactEntries, rememberRedacted } from "./postgres-redact.ts";
import { BatchWriter, type InsertedBatch, insertEntries } from "./postgres-writer.ts";
import { type RecentBounds, RecentEntries } from "./recent.ts";
import { partsToRedact } from "./redaction.ts";
import { type SegmentRules, dropForgottenTables, dropSegments, openSegmentIfDue } from "./segments.ts";

export type PostgresEventLogOptions = {
  readonly partitions: number;
  readonly queueEntriesMax: number;
  readonly appendTimeoutMs: number;
  readonly notify: boolean;
  readonly retention: SegmentRules;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: Pick<Metrics, "appendedEntries" | "appendDuration" | "appendBatchEntries">;
};

/** Writers with a connection each; a partition always goes through the same one. */
const writers = 2;
const recentBounds: RecentBounds = {
  entriesMax: 2_048,
  bytesMax: 2 * 1_048_576,
  totalBytesMax: 32 * 1_048_576,
};
/** How long housekeeping waits for a lock before it gives way until the next time, milliseconds: shorter than a deadlock. */
const housekeepingLockMs = 500;

/**
 * Opens the log in a migrated database; the first one to do so fixes the number of partitions. The signal gives up the
 * opening, and means nothing to the log that is open.
 */
export async function openPostgresEventLog(
  db: Db,
  options: PostgresEventLogOptions,
  signal?: AbortSignal,
): Promise<PostgresEventLog> {
  const meta = await initialiseLog(boundTo(db, signal), options.partitions);
  if (meta.partitions !== options.partitions) {
    options.log.warn(
      { stored: meta.partitions, wanted: options.partitions },
      "the number of partitions was fixed by the first start; EVENTLOG_PARTITIONS is ignored",
    );
  }
  return new PostgresEventLog(db, meta, options);
}

/** The log in PostgreSQL: group commit on dedicated connections, one counter row per partition. */
export class PostgresEventLog implements EventLog {
  readonly partitions: number;
  readonly capabilities: EventLogCapabilities = {
    durability: "fsync",
    dedupeWindow: "the segment being written, and for an hour after a rotation the one before it",
  };
  readonly #db: Db;
  #generation: number;
  /** Who listens for growth: nobody else reads what was just appended. */
  #followers = 0;
  readonly #doubters = new Set<() => void>();
  readonly #options: PostgresEventLogOptions;
  readonly #writer: BatchWriter;
  readonly #reads: Reads;
  readonly #commit: GroupCommit;
  readonly #growth: Growth;
  readonly #recent = new RecentEntries(recentBounds);
  readonly #known = new KnownLog();

  constructor(db: Db, meta: LogMeta, options: PostgresEventLogOptions) {
    const { log } = options;
    this.partitions = meta.partitions;
    this.#db = db;
    this.#generation = meta.generation;
    this.#options = options;
    const onConnect = (): void => this.#growth.startAnew();
    const writerOptions = { ...options, writers, known: this.#known, onConnect };
    this.#writer = new BatchWriter(db.address, writerOptions, (items, batch) => this.#inserted(items, batch));
    this.#reads = new Reads(db.address, { log, onConnect });
    this.#growth = new Growth({
      address: db.address,
      log,
      notify: options.notify,
      node: uuidv7(),
      generation: () => this.#generation,
      onEntries: (entries) => {
        if (this.#followers > 0) this.#recent.addForeign(entries);
      },
      onPastChanged: () => {
        this.#recent.clear();
        this.#known.forget();
        for (const listener of this.#doubters) listener();
      },
      onGeneration: (generation) => this.#turnTo(generation),
    });
    this.#growth.subscribe((growth) => {
      for (const { partition, head } of growth) this.#recent.outgrown(partition, head);
    });
    this.#commit = new GroupCommit(
      {
        lanes: writers,
        queueEntriesMax: options.queueEntriesMax,
        timeoutMs: options.appendTimeoutMs,
        now: () => performance.now(),
      },
      (batch, lane) => this.#writer.commit(batch, lane),
    );
  }

  get generation(): number {
    return this.#generation;
  }

  async connect(signal?: AbortSignal): Promise<void> {
    const all = Promise.all([this.#growth.connect(), this.#writer.connect(), this.#reads.connect()]);
    await unlessAborted(all, signal);
  }

  async beginGeneration(): Promise<void> {
    this.#turnTo(await beginGeneration(this.#db, this.#generation));
  }

  async append(entries: readonly NewEntry[]): Promise<readonly Position[]> {
    checkEntries(entries);
    const partitions = entries.map(({ topic }) => this.#partitionOf(topic));
    const offsets = await this.#commit.append(entries, partitions);
    return offsets.map((offset, i) => this.#position(partitions[i] ?? 0, offset));
  }

  async appendIn(tx: Tx, entries: readonly NewEntry[]): Promise<void> {
    checkEntries(entries);
    if (entries.length === 0) return;
    const items = entries.map((entry) => ({ entry, partition: this.#partitionOf(entry.topic) }));
    const batch = await insertEntries(tx, items, {
      time: this.#options.clock.now(),
      statement: appendOnce,
      known: this.#known,
    });
    tx.afterCommit(() => this.#inserted(items, batch));
  }

  async read(
    partition: number,
    after: number,
    limit: number,
    bytesMax: number = batchBytesMax,
  ): Promise<ReadResult> {
    const recent = this.#recent.read(partition, after, limit, bytesMax);
    if (recent !== undefined) return { entries: recent, end: recent.at(-1)?.offset ?? after };
    return this.#reads.read({ partition, after, limit, bytesMax });
  }

  async heads(signal?: AbortSignal): Promise<readonly number[]> {
    const { rows } = await boundTo(this.#db, signal).query<{ head: number }>(
      "select next_offset - 1 as head from eventlog_partition order by part",
    );
    return rows.map(({ head }) => head);
  }

  tails(signal?: AbortSignal): Promise<readonly number[]> {
    return tailOffsets(boundTo(this.#db, signal));
  }

  onGrowth(listener: (growth: readonly PartitionGrowth[]) => void): () => void {
    const unsubscribe = this.#growth.subscribe(listener);
    this.#followers++;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      unsubscribe();
      if (--this.#followers === 0) this.#recent.clear();
    };
  }

  onDoubt(listener: () => void): () => void {
    this.#doubters.add(listener);
    return () => {
      this.#doubters.delete(listener);
    };
  }

  async redact(targets: readonly (string | Redactable)[], reason: string): Promise<number> {
    let changed = 0;
    for (const part of partsToRedact(targets, reason)) {
      const ids = part.map(({ id }) => id);
      // In a transaction of its own, first: from its commit on, nobody appends the data again.
      await this.#db.transaction((tx) => rememberRedacted(tx, ids));
      changed += await this.#db.transaction(async (tx) => {
        const notices = await redactEntries(tx, part, reason);
        await this.appendIn(tx, notices.entries);
        return notices.changed;
      });
      this.#recent.clear();
    }
    return changed;
  }

  backlog(): { entries: number; oldestMs: number } {
    return this.#commit.backlog();
  }

  async maintain(): Promise<void> {
    const { log } = this.#options;
    try {
      await this.#db.unhurried(housekeepingLockMs, (db) => this.#maintainOn(db));
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
      log.warn("housekeeping of the log gave way to others; it goes on the next time");
    }
  }

  async #maintainOn(db: Db): Promise<void> {
    const { clock, log, retention } = this.#options;
    const opened = await openSegmentIfDue(db, retention);
    if (opened !== undefined) log.info({ segment: opened }, "segment opened");
    const dropped = await dropSegments(db, { ...retention, now: clock.now() });
    if (dropped.length > 0) {
      this.#recent.clear();
      log.info({ segments: dropped }, "segments dropped");
    }
    await dropForgottenTables(db);
  }

  async close(): Promise<void> {
    await this.#commit.close();
    await Promise.all([this.#growth.close(), this.#writer.close(), this.#reads.close()]);
  }

  #turnTo(generation: number): void {
    if (generation === this.#generation) return;
    this.#generation = generation;
    this.#growth.startAnew();
  }

  #partitionOf(topic: string): number {
    return partitionOf(topic, this.partitions);
  }

  #position(partition: number, offset: number): Position {
    return formatPosition({ generation: this.#generation, partition, offset });
  }

  #inserted(items: readonly AppendItem[], batch: InsertedBatch): void {
    const { heads, inserted, tombstones } = batch;
    const isWhole = inserted === items.length && !tombstones;
    const isRead = this.#followers > 0 || (this.#options.notify && items.length <= noticeEntriesMax);
    const entries = isWhole && isRead ? storedEntries(items, batch) : undefined;
    if (!isWhole) for (const { partition } of heads) this.#recent.clear(partition);
    else if (entries !== undefined && this.#followers > 0) this.#recent.add(entries);
    this.#growth.appended(heads, entries);
  }
}

/** The entries as they lie in the log now. */
function storedEntries(items: readonly AppendItem[], { offsets, time }: InsertedBatch): readonly Entry[] {
  return items.map(({ entry: { id, topic, type, actor, data, trace }, partition }, i) => ({
    id,
    partition,
    offset: offsets[i] ?? 0,
    topic,
    type,
    time,
    actor,
    data,
    trace,
  }));
}
