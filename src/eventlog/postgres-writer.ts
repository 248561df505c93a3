import { AppError, errorCodeOf } from "../lib/errors.ts";
import { backoffMs, pause } from "../lib/backoff.ts";
import type { Clock } from "../lib/clock.ts";
import { asConnectFault } from "../lib/db-faults.ts";
import { type DbAddress, type Queryable, isPassingDbError } from "../lib/db.ts";
import type { Logger } from "../lib/logger.ts";
import { Session } from "../lib/session.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { PartitionGrowth } from "./eventlog.ts";
import type { QueuedEntry } from "./group-commit.ts";
import { type AppendItem, type AppendStatement, append, appendNew, appendOnce } from "./postgres-append.ts";
import type { KnownLog } from "./postgres-known.ts";

export type InsertedBatch = {
  /** Where each entry lies, in the order of the batch. */
  readonly offsets: readonly number[];
  readonly heads: readonly PartitionGrowth[];
  /** Entries that were new. */
  readonly inserted: number;
  /** Whether the log may hold something else than what was given: ids that were redacted got tombstones. */
  readonly tombstones: boolean;
  /** Unix milliseconds. */
  readonly time: number;
};

export type BatchWriterOptions = {
  /** Connections; batches of one lane go through the same one, one at a time. */
  readonly writers: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: Pick<Metrics, "appendedEntries" | "appendDuration" | "appendBatchEntries">;
  readonly known: KnownLog;
  /** A connection was opened: what is known of the log may be of a past that a failover has taken back. */
  readonly onConnect: () => void;
};

const statementTimeoutMs = 10_000;
const writerRetry = { baseMs: 50, factor: 2, maxMs: 1_000 } as const;
/** For so long after an entry that was in the log already more of them are expected, milliseconds. */
const repetitionsMs = 1_000;
const uniqueViolation = "23505";

/** Makes batches durable on connections of its own. */
export class BatchWriter {
  readonly #options: BatchWriterOptions;
  readonly #sessions: readonly Session[];
  readonly #onInserted: (items: readonly QueuedEntry[], batch: InsertedBatch) => void;
  readonly #closing = new AbortController();
  #repeatedAt = Number.NEGATIVE_INFINITY;

  constructor(
    address: DbAddress,
    options: BatchWriterOptions,
    onInserted: (items: readonly QueuedEntry[], batch: InsertedBatch) => void,
  ) {
    this.#options = options;
    this.#onInserted = onInserted;
    this.#sessions = Array.from(
      { length: options.writers },
      (_, lane) =>
        new Session(address, {
          name: `writer ${lane}`,
          log: options.log,
          statementTimeoutMs,
          onConnect: options.onConnect,
        }),
    );
  }

  /**
   * Repeats a batch whose fate is unknown until it is known: ids make the repetition harmless. So it does with one that
   * ran into a limit: that is a lock held by somebody, or the machine's memory, hardly ever what the batch holds, and
   * halving would only multiply the waiting. Entries whose callers have given up are left out of repetitions; when
   * nobody waits any more, it ends.
   */
  async commit(batch: readonly QueuedEntry[], lane: number): Promise<readonly number[]> {
    const session = this.#sessions[lane];
    if (session === undefined) throw new Error(`no writer ${lane}`);
    for (let attempt = 1; ; attempt++) {
      const waiting = attempt === 1 ? batch : batch.filter(({ call }) => !call.settled);
      if (waiting.length === 0) throw new AppError("unavailable", { retryAfterS: 1 });
      try {
        const offsets = await this.#commitOnce(session, waiting, attempt > 1);
        if (waiting === batch) return offsets;
        const byItem = new Map(waiting.map((item, i) => [item, offsets[i]]));
        return batch.map((item) => byItem.get(item) ?? 0);
      } catch (error) {
        if (!isPassingDbError(error)) throw error;
        this.#options.log.warn(
          { err: error, attempt, entries: waiting.length },
          "append failed, trying again",
        );
        await pause(backoffMs(attempt, writerRetry), this.#closing.signal);
      }
    }
  }

  /** Opens the connections that are not open. */
  async connect(): Promise<void> {
    await Promise.all(this.#sessions.map((session) => session.connect()));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#sessions.map((session) => session.close()));
  }

  async #commitOnce(
    session: Session,
    items: readonly QueuedEntry[],
    repeated: boolean,
  ): Promise<readonly number[]> {
    const startedAt = performance.now();
    const time = this.#options.clock.now();
    const wary = repeated || startedAt - this.#repeatedAt < repetitionsMs;
    const { known } = this.#options;
    // A connection that is opened anew makes what is known void: first the one, then the other.
    await session.connect();
    const queryable = asQueryable(session, known);
    const insert = (statement: AppendStatement): Promise<InsertedBatch> =>
      insertEntries(queryable, items, { time, statement, known });
    const batch = wary
      ? await insert(appendOnce)
      : await insert(appendNew).catch((error: unknown) => {
          if (errorCodeOf(error) !== uniqueViolation) throw error;
          return insert(appendOnce);
        });
    if (batch.inserted < items.length) this.#repeatedAt = startedAt;
    this.#onInserted(items, batch);
    this.#options.metrics?.appendDuration.observe((performance.now() - startedAt) / 1000);
    this.#options.metrics?.appendedEntries.inc(batch.inserted);
    this.#options.metrics?.appendBatchEntries.observe(items.length);
    return batch.offsets;
  }
}

/** Inserts a batch in one statement, and finds out where those lie that were in the log before. */
export async function insertEntries(
  queryable: Queryable,
  items: readonly AppendItem[],
  how: { readonly time: number; readonly statement: AppendStatement; readonly known: KnownLog },
): Promise<InsertedBatch> {
  const { assigned, inserted, tombstones } = await append(queryable, items, how);
  const heads = new Map<number, number>();
  for (const [i, { partition }] of items.entries()) heads.set(partition, assigned[i] ?? 0);
  return {
    offsets: inserted === items.length ? assigned : await firstOffsets(queryable, items),
    heads: [...heads].map(([partition, head]) => ({ partition, head })),
    inserted,
    tombstones,
    time: how.time,
  };
}

/** Where entries lie, some of which were in the log before: a repetition within the batch lies where its first does. */
async function firstOffsets(queryable: Queryable, items: readonly AppendItem[]): Promise<readonly number[]> {
  const { rows } = await queryable.query<{ id: string; part: number; first: number }>(
    "select id, part, min(entry_offset) as first from eventlog_entry where id = any($1::uuid[]) group by id, part",
    [items.map(({ entry }) => entry.id)],
  );
  const stored = new Map(rows.map(({ id, part, first }) => [`${part} ${id}`, first]));
  return items.map(({ entry, partition }) => {
    const offset = stored.get(`${partition} ${entry.id}`);
    // Retention cannot have taken it: what was not inserted lies in one of the two newest segments.
    if (offset === undefined) throw new Error(`entry ${entry.id} is neither new nor in the log`);
    return offset;
  });
}

/** Statements say what is known of the log: none goes out on a connection that is younger than that. */
function asQueryable(session: Session, known: KnownLog): Queryable {
  return {
    query: async (text, values = [], options = {}) => {
      const { era } = known;
      await session.connect();
      if (era !== known.era) throw asConnectFault(new Error("the connection was opened anew"));
      const result = await session.query<never>({
        text,
        values: [...values],
        ...(options.name === undefined ? {} : { name: options.name }),
      });
      return { rows: result.rows, rowCount: result.rowCount ?? 0 };
    },
  };
}
