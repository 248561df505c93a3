import type { Tx } from "../lib/db.ts";

/**
 * The event log: what every driver promises. `eventlog.contract.ts` is the suite that each driver passes.
 *
 * 1. `append` resolves only when the entries are durable. A rejected append is *unknown*: the entries may be in the
 *    log or not. Sending them again with the same ids is always allowed, and equal ids are one entry.
 * 2. `partition = murmur2(topic) mod P`; P is fixed for the life of the log.
 * 3. Within a partition positions only grow (gaps are possible); a reader never sees n and later something below n.
 * 4. Per topic: if A was acknowledged before B was sent, everyone sees A before B.
 * 5. `appendIn(tx, entries)`: in the log if and only if `tx` commits, in commit order per topic.
 * 8. Entries are immutable but for `redact`, and what was redacted does not come back.
 * 9. Retention may outrun a reader: it then gets `PositionExpiredError`, never silence.
 * (Points 6 and 7, groups and failing entries, are the consumer runtime's: `runner.ts`.)
 */
export type EventLog = {
  /** P: partitions are numbered 0..P-1. */
  readonly partitions: number;
  readonly capabilities: EventLogCapabilities;
  /**
   * Changes when the log is restored from a backup or has lost entries: positions of another generation mean nothing.
   * Those of another log have another one too, most likely.
   */
  readonly generation: number;

  /**
   * Begins the next generation, for all processes: whoever finds that entries that it has acted on are gone calls it.
   * Does nothing when somebody else has begun it already.
   */
  beginGeneration(): Promise<void>;

  /**
   * Appends up to `limits.appendEntries` entries and resolves with their positions, in order, when all are durable.
   * Not atomic: entries of different partitions may become visible at different moments.
   * An entry whose id the same partition already holds (in the dedupe window, `capabilities.dedupeWindow`) is not stored
   * again; its position is that of the first. So a caller that repeats an id repeats its topic too.
   * Of an id that was redacted, at any time, at most a tombstone is stored, whatever the data.
   * Throws `AppError` `invalid_body` for an entry that breaks a limit or whose data is the tombstone (nothing is stored), `overloaded` when the
   * bounded queue is full (nothing is stored), `unavailable` when durability could not be confirmed in time (unknown).
   */
  append(entries: readonly NewEntry[]): Promise<readonly Position[]>;

  /**
   * Appends inside the caller's transaction; call it last, it may hold the partition's lock until commit.
   * Answers no positions: a log outside the database (Kafka) has none before a relay has shipped the entries.
   */
  appendIn(tx: Tx, entries: readonly NewEntry[]): Promise<void>;

  /**
   * Up to `limit` entries of one partition with an offset greater than `after`, in order, and `end`: the offset up to
   * which the answer is complete (>= the last entry's; a reader continues from there). Their data has up to `bytesMax`
   * bytes of UTF-8 in all, or it is the data of one entry, however large.
   * Throws `PositionExpiredError` when retention has removed entries after `after`.
   */
  read(partition: number, after: number, limit: number, bytesMax?: number): Promise<ReadResult>;

  /**
   * The last assigned offset per partition, index = partition; 0 where nothing was ever appended. Once the signal is
   * aborted it rejects with its reason.
   */
  heads(signal?: AbortSignal): Promise<readonly number[]>;

  /** The last offset that retention has removed, per partition; 0 where all is still there. The signal as above. */
  tails(signal?: AbortSignal): Promise<readonly number[]>;

  /**
   * Calls `listener` with partitions that may have grown, also when another process appended. A hint to read
   * sooner, coalesced and lossy; a reader polls as well. Returns the function that ends it.
   */
  onGrowth(listener: (growth: readonly PartitionGrowth[]) => void): () => void;

  /**
   * Calls `listener` when what was read may no longer be in the log: after its connection was made anew, a failover or a
   * restore. Most often it still is; a reader that has acted on what it read looks whether its last entry is still
   * there. Returns the function that ends it.
   */
  onDoubt(listener: () => void): () => void;

  /**
   * Opens all connections of its own. Each that is opened later, on its first use, puts in doubt what readers were told; to
   * whoever tells nobody anything that is no matter, and the others are spared. The signal as above.
   */
  connect(signal?: AbortSignal): Promise<void>;

  /**
   * Replaces the data of entries by a tombstone (`redactedData`), wherever copies of them lie in the log's own tables,
   * and appends entries `eventlog.redacted` to each topic that name them. The ids are remembered for ever, also those
   * that are not in the log (any more): their data does not come back with a repetition. Projections keep what the log
   * does not, so of an id that is given with its topic readers are told there in any case, also when nothing is left to
   * erase in the log; of one without, only when there is. Not atomic for more than `redactIdsMax` ids; repeating is
   * harmless. Resolves with the number of entries changed. Throws `AppError` `invalid_body`, and has done nothing then,
   * for a topic or reason that breaks a limit and for an id that is no UUID; capital letters in it are no difference.
   */
  redact(targets: readonly (string | Redactable)[], reason: string): Promise<number>;

  /** How the writer fares: entries that wait to become durable, and for how long the oldest has, milliseconds. */
  backlog(): { readonly entries: number; readonly oldestMs: number };

  /** Periodic housekeeping, run by one process at a time: opens and removes what retention wants. */
  maintain(): Promise<void>;

  /** Stops accepting, waits until what was accepted is durable or has failed, and releases connections. */
  close(): Promise<void>;
};

/** Bytes of data that one read carries, and one batch of a group. A first entry beyond them is taken all the same. */
export const batchBytesMax = 4 * 1_048_576;

/** How many of these entries have up to `bytesMax` bytes of data in all; at least the first. */
export function countWithin(entries: readonly Pick<Entry, "data">[], bytesMax: number): number {
  let bytes = 0;
  const end = entries.findIndex(({ data }) => (bytes += Buffer.byteLength(data)) > bytesMax);
  return end === -1 ? entries.length : Math.max(end, 1);
}

export type EventLogCapabilities = {
  /** What an acknowledged append survives. */
  readonly durability: "memory" | "fsync" | "replicated";
  /** How long equal ids are recognised by the log itself; consumers' unique keys recognise them for ever. */
  readonly dedupeWindow: string;
};

/** An opaque place in the log, to be compared only for equality by anyone but the drivers. */
export type Position = string & { readonly "~position": never };

/** JSON text: serialised once when it enters, parsed only by those who look inside. */
export type JsonText = string & { readonly "~json": never };

export type NewEntry = {
  /** Caller-made UUID (v7, or derived from the caller's own key). */
  readonly id: string;
  readonly topic: string;
  readonly type: string;
  /** Who caused it, as `actorName` writes it (`key:3`, `user:7`, `source:demo`, `system`). */
  readonly actor: string;
  readonly data: JsonText;
  /** W3C trace context of the request that caused it. */
  readonly trace?: string;
};

/** An entry as the log returns it. */
export type Entry = {
  readonly id: string;
  readonly partition: number;
  /** Grows within the partition; internal to the log and its checkpoints. */
  readonly offset: number;
  readonly topic: string;
  readonly type: string;
  /** When the log accepted it, unix milliseconds by the accepting server's clock. */
  readonly time: number;
  readonly actor: string;
  readonly data: JsonText;
  readonly trace: string | undefined;
};

/** The id of an entry that is or was in the log, and the topic that it was appended to. */
export type Redactable = Pick<NewEntry, "id" | "topic">;

export type ReadResult = { readonly entries: readonly Entry[]; readonly end: number };

export type PartitionGrowth = { readonly partition: number; readonly head: number };

/** The wanted entries were removed by retention: the reader must choose where to go on. */
export class PositionExpiredError extends Error {
  override readonly name = "PositionExpiredError";
  readonly partition: number;
  /** The last offset that is gone. */
  readonly tail: number;

  constructor(partition: number, after: number, tail: number) {
    super(
      `partition ${partition}: entries after ${after} were asked for, retention has removed all up to ${tail}`,
    );
    this.partition = partition;
    this.tail = tail;
  }
}

/** Serialises a value as an entry's data. Throws `TypeError` for what JSON cannot hold. */
export function jsonText(value: unknown): JsonText {
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError("an entry's data must be a JSON value");
  return text as JsonText;
}

/** The data of an entry. The caller names the type that its entry type promises. */
export function parseData<T>(entry: Pick<Entry, "data">): T {
  return JSON.parse(entry.data) as T;
}

/** What the data of a redacted entry is replaced by. No entry is appended with it, so that nothing else looks like it. */
export const redactedData = jsonText({ redacted: true });
export const redactedType = "eventlog.redacted";

/** Data of an entry `eventlog.redacted`: the entries of its topic whose data is gone. */
export type RedactedData = { readonly entry_ids: readonly string[]; readonly reason: string };
