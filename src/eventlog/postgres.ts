import { uuidv7 } from "../../protocol/ids.ts";
import { AppError } from "../lib/errors.ts";
import { backoffMs, pause } from "../lib/backoff.ts";
import type { Clock } from "../lib/clock.ts";
import { type Db, type Queryable, type Tx, isTransientDbError } from "../lib/db.ts";
import type { Logger } from "../lib/logger.ts";
import { Session } from "../lib/session.ts";
import type { Metrics } from "../observe/metrics.ts";
import { checkEntries } from "./check-entries.ts";
import type {
  Entry,
  EventLog,
  EventLogCapabilities,
  NewEntry,
  PartitionGrowth,
  Position,
  ReadResult,
} from "./eventlog.ts";
import { GroupCommit, type QueuedEntry } from "./group-commit.ts";
import { Growth } from "./growth.ts";
import { partitionOf } from "./murmur2.ts";
import { formatPosition } from "./position.ts";
import { type AppendItem, type AppendRow, appendParameters, appendStatement } from "./postgres-append.ts";
import { readEntries, tailOffsets } from "./postgres-read.ts";
import { redactEntries } from "./postgres-redact.ts";
import { RecentEntries } from "./recent.ts";
import { type SegmentRules, dropSegments, openSegmentIfDue } from "./segments.ts";

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
const writerRetry = { baseMs: 50, factor: 2, maxMs: 1_000 } as const;
const recentEntriesMax = 2_048;
const recentBytesMax = 2 * 1_048_576;

/** Opens the log in a migrated database; the first one to do so fixes the number of partitions. */
export async function openPostgresEventLog(
  db: Db,
  options: PostgresEventLogOptions,
): Promise<PostgresEventLog> {
  const meta = await initialise(db, options.partitions);
  if (meta.partitions !== options.partitions) {
    options.log.warn(
      { stored: meta.partitions, wanted: options.partitions },
      "the number of partitions was fixed by the first start; EVENTLOG_PARTITIONS is ignored",
    );
  }
  return new PostgresEventLog(db, meta, options);
}

type Meta = { readonly generation: number; readonly partitions: number };

async function initialise(db: Db, partitions: number): Promise<Meta> {
  return db.transaction(async (tx) => {
    await tx.query("insert into eventlog_meta (partitions) values ($1) on conflict do nothing", [partitions]);
    const { rows } = await tx.query<Meta>("select generation, partitions from eventlog_meta for update");
    const meta = rows[0];
    if (meta === undefined) throw new Error("eventlog_meta is empty");
    await tx.query(
      "insert into eventlog_partition (part) select generate_series(0, $1 - 1) on conflict do nothing",
      [meta.partitions],
    );
    await tx.query(
      `insert into eventlog_segment (segment, part, first_offset)
       select 1, p.part, 1 from eventlog_partition p
        where not exists (select from eventlog_segment s where s.part = p.part)`,
    );
    return meta;
  });
}

/** The log in PostgreSQL: group commit on dedicated connections, one counter row per partition. */
export class PostgresEventLog implements EventLog {
  readonly partitions: number;
  readonly capabilities: EventLogCapabilities = {
    durability: "fsync",
    dedupeWindow: "the segment being written, and for an hour after a rotation the one before it",
  };
  readonly #db: Db;
  readonly #generation: number;
  readonly #options: PostgresEventLogOptions;
  readonly #lanes: readonly Session[];
  readonly #reader: Session;
  readonly #commit: GroupCommit;
  readonly #growth: Growth;
  readonly #recent = new RecentEntries({ entriesMax: recentEntriesMax, bytesMax: recentBytesMax });
  readonly #closing = new AbortController();

  constructor(db: Db, meta: Meta, options: PostgresEventLogOptions) {
    const { log } = options;
    this.partitions = meta.partitions;
    this.#db = db;
    this.#generation = meta.generation;
    this.#options = options;
    this.#lanes = Array.from(
      { length: writers },
      (_, lane) => new Session(db.address, { name: `writer ${lane}`, log, statementTimeoutMs: 10_000 }),
    );
    this.#reader = new Session(db.address, { name: "reader", log, pipeline: true });
    this.#growth = new Growth({ address: db.address, log, notify: options.notify, node: uuidv7() });
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
      (batch, lane) => this.#commitBatch(batch, lane),
    );
  }

  async append(entries: readonly NewEntry[]): Promise<readonly Position[]> {
    checkEntries(entries);
    const partitions = entries.map(({ topic }) => this.#partitionOf(topic));
    let next = 0;
    const offsets = await this.#commit.append(entries, () => partitions[next++] ?? 0);
    return offsets.map((offset, i) => this.#position(partitions[i] ?? 0, offset));
  }

  async appendIn(tx: Tx, entries: readonly NewEntry[]): Promise<void> {
    checkEntries(entries);
    if (entries.length === 0) return;
    const items = entries.map((entry) => ({ entry, partition: this.#partitionOf(entry.topic) }));
    const { heads } = await this.#insert(tx, items, this.#options.clock.now());
    tx.afterCommit(() => this.#growth.appended(heads));
  }

  async read(partition: number, after: number, limit: number): Promise<ReadResult> {
    const recent = this.#recent.read(partition, after, limit);
    if (recent !== undefined) return { entries: recent, end: recent.at(-1)?.offset ?? after };
    return readEntries(this.#reader, { partition, after, limit });
  }

  async heads(): Promise<readonly number[]> {
    const { rows } = await this.#db.query<{ head: number }>(
      "select next_offset - 1 as head from eventlog_partition order by part",
    );
    return rows.map(({ head }) => head);
  }

  tails(): Promise<readonly number[]> {
    return tailOffsets(this.#db);
  }

  onGrowth(listener: (growth: readonly PartitionGrowth[]) => void): () => void {
    return this.#growth.subscribe(listener);
  }

  async redact(ids: readonly string[], reason: string): Promise<number> {
    const changed = await this.#db.transaction(async (tx) => {
      const notices = await redactEntries(tx, ids, reason);
      await this.appendIn(tx, notices.entries);
      return notices.changed;
    });
    this.#recent.clear();
    return changed;
  }

  backlog(): { entries: number; oldestMs: number } {
    return this.#commit.backlog();
  }

  async maintain(): Promise<void> {
    const { clock, log, retention } = this.#options;
    const opened = await openSegmentIfDue(this.#db, retention);
    if (opened !== undefined) log.info({ segment: opened }, "segment opened");
    const dropped = await dropSegments(this.#db, { ...retention, now: clock.now() });
    if (dropped.length === 0) return;
    this.#recent.clear();
    log.info({ segments: dropped }, "segments dropped");
  }

  async close(): Promise<void> {
    await this.#commit.close();
    this.#closing.abort();
    await this.#growth.close();
    await Promise.all([...this.#lanes, this.#reader].map((session) => session.close()));
  }

  #partitionOf(topic: string): number {
    return partitionOf(topic, this.partitions);
  }

  #position(partition: number, offset: number): Position {
    return formatPosition({ generation: this.#generation, partition, offset });
  }

  /**
   * Repeats a batch whose fate is unknown until it is known: ids make the repetition harmless. Entries whose callers
   * have given up are left out of repetitions; when nobody waits any more, it ends.
   */
  async #commitBatch(batch: readonly QueuedEntry[], lane: number): Promise<readonly number[]> {
    const session = this.#lanes[lane];
    if (session === undefined) throw new Error(`no writer ${lane}`);
    for (let attempt = 1; ; attempt++) {
      const waiting = attempt === 1 ? batch : batch.filter(({ call }) => !call.settled);
      if (waiting.length === 0) throw new AppError("unavailable", { retryAfterS: 1 });
      try {
        const offsets = await this.#commitOnce(session, waiting);
        if (waiting === batch) return offsets;
        const byItem = new Map(waiting.map((item, i) => [item, offsets[i]]));
        return batch.map((item) => byItem.get(item) ?? 0);
      } catch (error) {
        if (!isTransientDbError(error)) throw error;
        this.#options.log.warn(
          { err: error, attempt, entries: waiting.length },
          "append failed, trying again",
        );
        await pause(backoffMs(attempt, writerRetry), this.#closing.signal);
      }
    }
  }

  async #commitOnce(session: Session, items: readonly QueuedEntry[]): Promise<readonly number[]> {
    const startedAt = performance.now();
    const time = this.#options.clock.now();
    const { offsets, heads, inserted, bases } = await this.#insert(asQueryable(session), items, time);
    if (inserted === items.length) this.#remember(items, offsets, time);
    else for (const partition of bases.keys()) this.#recent.clear(partition);
    this.#growth.appended(heads);
    this.#options.metrics?.appendDuration.observe((performance.now() - startedAt) / 1000);
    this.#options.metrics?.appendedEntries.inc(inserted);
    this.#options.metrics?.appendBatchEntries.observe(items.length);
    return offsets;
  }

  async #insert(
    queryable: Queryable,
    items: readonly AppendItem[],
    time: number,
  ): Promise<{
    offsets: readonly number[];
    heads: PartitionGrowth[];
    inserted: number;
    bases: Map<number, number>;
  }> {
    const { values, indexes } = appendParameters(items, time);
    const { rows } = await queryable.query<AppendRow>(appendStatement, values, { name: "eventlog_append" });
    const bases = new Map(rows.map(({ part, base }) => [part, base]));
    const inserted = rows[0]?.inserted ?? 0;
    const assigned = items.map(({ partition }, i) => (bases.get(partition) ?? 0) + (indexes[i] ?? 0));
    const heads = new Map<number, number>();
    for (const [i, { partition }] of items.entries()) heads.set(partition, assigned[i] ?? 0);
    return {
      offsets: inserted === items.length ? assigned : await firstOffsets(queryable, items, assigned),
      heads: [...heads].map(([partition, head]) => ({ partition, head })),
      inserted,
      bases,
    };
  }

  #remember(items: readonly QueuedEntry[], offsets: readonly number[], time: number): void {
    const byPartition = new Map<number, Entry[]>();
    for (const [i, { entry, partition }] of items.entries()) {
      const stored: Entry = { ...entry, partition, offset: offsets[i] ?? 0, time, trace: entry.trace };
      const list = byPartition.get(partition);
      if (list === undefined) byPartition.set(partition, [stored]);
      else list.push(stored);
    }
    for (const [partition, entries] of byPartition) this.#recent.add(partition, entries);
  }
}

/** Where entries lie whose ids were already in the log; those that were inserted keep the offset they were given. */
async function firstOffsets(
  queryable: Queryable,
  items: readonly AppendItem[],
  assigned: readonly number[],
): Promise<readonly number[]> {
  const { rows } = await queryable.query<{ id: string; part: number; first: number }>(
    "select id, part, min(entry_offset) as first from eventlog_entry where id = any($1::uuid[]) group by id, part",
    [items.map(({ entry }) => entry.id)],
  );
  const stored = new Map(rows.map(({ id, part, first }) => [`${part} ${id}`, first]));
  return items.map(({ entry, partition }, i) => stored.get(`${partition} ${entry.id}`) ?? assigned[i] ?? 0);
}

function asQueryable(session: Session): Queryable {
  return {
    query: async (text, values = [], options = {}) => {
      const result = await session.query<never>({
        text,
        values: [...values],
        ...(options.name === undefined ? {} : { name: options.name }),
      });
      return { rows: result.rows, rowCount: result.rowCount ?? 0 };
    },
  };
}
