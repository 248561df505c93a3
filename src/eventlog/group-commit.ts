import { limits } from "../../protocol/limits.ts";
import { AppError } from "../lib/errors.ts";
import type { NewEntry } from "./eventlog.ts";

/** An entry on its way: where it belongs and whose call it settles. */
export type QueuedEntry = {
  readonly entry: NewEntry;
  readonly partition: number;
  readonly bytes: number;
  readonly call: AppendCall;
  readonly index: number;
};

/** Makes one batch durable and answers with the offset of each of its entries. May be slow, may reject. */
export type CommitBatch = (batch: readonly QueuedEntry[], lane: number) => Promise<readonly number[]>;

export type GroupCommitOptions = {
  readonly lanes: number;
  readonly queueEntriesMax: number;
  /** Milliseconds after which a call that is not durable yet is answered `unavailable`: its entries are unknown. */
  readonly timeoutMs: number;
  readonly now: () => number;
};

export const batchEntriesMax = 1_000;
export const batchBytesMax = 1_048_576;
export const queueBytesMax = 64 * 1_048_576;
const sweepEveryMs = 100;

/** One `append` call: settled when the last of its entries is durable, or the first has failed. */
export class AppendCall {
  readonly #offsets: number[] = [];
  readonly deadline: number;
  settled = false;
  #remaining: number;
  readonly #resolve: (offsets: readonly number[]) => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    count: number,
    deadline: number,
    settle: { resolve: (offsets: readonly number[]) => void; reject: (error: unknown) => void },
  ) {
    this.deadline = deadline;
    this.#remaining = count;
    this.#resolve = settle.resolve;
    this.#reject = settle.reject;
  }

  succeed(index: number, offset: number): void {
    this.#offsets[index] = offset;
    if (--this.#remaining > 0 || this.settled) return;
    this.settled = true;
    this.#resolve(this.#offsets);
  }

  fail(error: unknown): void {
    if (this.settled) return;
    this.settled = true;
    this.#reject(error);
  }
}

type Lane = {
  readonly number: number;
  queue: QueuedEntry[];
  head: number;
  inFlight: boolean;
};

/**
 * Entries that may wait in a lane before it sends beside another one. A statement costs as much as some thirty
 * entries: below this, one batch of all lanes is cheaper than one of each, and hardly later.
 */
export const jointEntriesMax = 256;

/**
 * Natural group commit: no linger. What arrived in this turn of the event loop is sent when nothing is on its way;
 * while a batch is, the next one gathers, for all lanes together or, when much waits, for each. A partition always
 * belongs to the same lane, and a lane has one batch on its way, so the order of calls is the order in the log.
 */
export class GroupCommit {
  readonly #options: GroupCommitOptions;
  readonly #commit: CommitBatch;
  readonly #lanes: Lane[];
  #queuedEntries = 0;
  #queuedBytes = 0;
  #scheduled = false;
  readonly #flights = new Set<readonly QueuedEntry[]>();
  #sweeper: NodeJS.Timeout | undefined;
  #closing = false;
  #idleWaiters: (() => void)[] = [];

  constructor(options: GroupCommitOptions, commit: CommitBatch) {
    this.#options = options;
    this.#commit = commit;
    this.#lanes = Array.from({ length: options.lanes }, (_, number) => ({
      number,
      queue: [],
      head: 0,
      inFlight: false,
    }));
  }

  /** Entries that wait or are on their way, and how long the oldest of them has, milliseconds. */
  backlog(): { entries: number; oldestMs: number } {
    const items = [
      ...[...this.#flights].flat(),
      ...this.#lanes.flatMap(({ queue, head }) => queue.slice(head, head + 1)),
    ];
    const acceptedAt = items.map(({ call }) => call.deadline - this.#options.timeoutMs);
    const oldestMs = Math.max(0, this.#options.now() - Math.min(Number.POSITIVE_INFINITY, ...acceptedAt));
    return { entries: this.#queuedEntries, oldestMs };
  }

  /** `partitions[i]` is that of `entries[i]`. Resolves with the offsets, in order. Throws `overloaded` before anything is queued, `unavailable` when unknown. */
  append(entries: readonly NewEntry[], partitions: readonly number[]): Promise<readonly number[]> {
    if (entries.length === 0) return Promise.resolve([]);
    if (this.#closing) return Promise.reject(new AppError("draining", { retryAfterS: 1 }));
    let bytes = 0;
    for (const entry of entries) bytes += entryBytes(entry);
    if (
      this.#queuedEntries + entries.length > this.#options.queueEntriesMax ||
      this.#queuedBytes + bytes > queueBytesMax
    ) {
      return Promise.reject(
        new AppError("overloaded", { detail: "the event log's queue is full", retryAfterS: 1 }),
      );
    }
    return new Promise((resolve, reject) => {
      const call = new AppendCall(entries.length, this.#options.now() + this.#options.timeoutMs, {
        resolve,
        reject,
      });
      for (const [index, entry] of entries.entries()) {
        const partition = partitions[index] ?? 0;
        const lane = this.#laneOf(partition);
        lane.queue.push({ entry, partition, bytes: entryBytes(entry), call, index });
      }
      this.#schedule();
      this.#queuedEntries += entries.length;
      this.#queuedBytes += bytes;
      this.#sweeper ??= setInterval(() => this.#sweep(), sweepEveryMs);
    });
  }

  /** Refuses new calls and waits until those that were accepted are durable or have timed out. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#queuedEntries > 0) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    clearInterval(this.#sweeper);
  }

  #laneOf(partition: number): Lane {
    const lane = this.#lanes[partition % this.#lanes.length];
    if (lane === undefined) throw new Error("a group commit has at least one lane");
    return lane;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // After the poll phase: all requests that this turn of the event loop reads join the batch.
    setImmediate(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  /**
   * Sends what may be sent now. While a batch is on its way, only lanes that have much go beside it. When none is, all
   * go: those with little together, and with them the first of those with much, so that little never waits for long.
   */
  #pump(): void {
    const ready = this.#lanes.filter((lane) => !lane.inFlight && lane.queue.length > lane.head);
    const busy = this.#lanes.some(({ inFlight }) => inFlight);
    const [first, ...others] = ready.filter((lane) => hasMuch(lane));
    const little = busy ? [] : ready.filter((lane) => !hasMuch(lane));
    const together = first === undefined ? little : [...little, first];
    if (together.length > 0) void this.#send(together);
    for (const lane of others) void this.#send([lane]);
  }

  async #send(lanes: readonly Lane[]): Promise<void> {
    const batch = this.#take(lanes);
    const [first] = lanes;
    // Nobody waits any more for what was queued: what lies behind it may go, in a turn of its own.
    if (batch.length === 0 || first === undefined) return this.#schedule();
    for (const lane of lanes) lane.inFlight = true;
    this.#flights.add(batch);
    await this.#settle(batch, first.number);
    this.#flights.delete(batch);
    for (const lane of lanes) lane.inFlight = false;
    this.#release(batch);
    this.#pump();
  }

  /** The next batch of these lanes: entries of calls that still wait, up to the bounds. */
  #take(lanes: readonly Lane[]): QueuedEntry[] {
    const batch: QueuedEntry[] = [];
    let bytes = 0;
    for (const lane of lanes) {
      while (lane.head < lane.queue.length && batch.length < batchEntriesMax) {
        const item = lane.queue[lane.head];
        if (item === undefined || (batch.length > 0 && bytes + item.bytes > batchBytesMax)) break;
        lane.head++;
        if (item.call.settled) {
          this.#release([item]);
          continue;
        }
        bytes += item.bytes;
        batch.push(item);
      }
      compact(lane);
    }
    return batch;
  }

  /** Commits a batch; one that is refused for what it holds is halved until the guilty entries stand alone. */
  async #settle(batch: readonly QueuedEntry[], lane: number): Promise<void> {
    try {
      const offsets = await this.#commit(batch, lane);
      for (const [i, item] of batch.entries()) item.call.succeed(item.index, offsets[i] ?? 0);
    } catch (error) {
      const [only] = batch;
      if (batch.length === 1 && only !== undefined) {
        only.call.fail(error);
        return;
      }
      if (error instanceof AppError) {
        for (const item of batch) item.call.fail(error);
        return;
      }
      const middle = batch.length >> 1;
      await this.#settle(batch.slice(0, middle), lane);
      await this.#settle(batch.slice(middle), lane);
    }
  }

  #release(items: readonly QueuedEntry[]): void {
    for (const item of items) this.#queuedBytes -= item.bytes;
    this.#queuedEntries -= items.length;
    if (this.#queuedEntries > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
    this.#wakeIdleWaiters();
  }

  /** Calls wait in order of their deadlines, so looking stops at the first that may still wait. */
  #sweep(): void {
    const now = this.#options.now();
    for (const flight of this.#flights) for (const item of flight) expire(item, now);
    for (const lane of this.#lanes) {
      for (let i = lane.head; i < lane.queue.length; i++) {
        const item = lane.queue[i];
        if (item === undefined || !expire(item, now)) break;
      }
    }
    if (this.#closing && this.#nobodyWaits()) this.#wakeIdleWaiters();
  }

  /** Whether all that is queued or on its way belongs to callers who have been answered. */
  #nobodyWaits(): boolean {
    const queued = this.#lanes.flatMap(({ queue, head }) => queue.slice(head));
    return [...[...this.#flights].flat(), ...queued].every(({ call }) => call.settled);
  }

  #wakeIdleWaiters(): void {
    for (const wake of this.#idleWaiters.splice(0)) wake();
  }
}

function hasMuch({ queue, head }: Lane): boolean {
  return queue.length - head > jointEntriesMax;
}

/** Lets go of what was taken. */
function compact(lane: Lane): void {
  if (lane.head < lane.queue.length && lane.head <= batchEntriesMax * 4) return;
  lane.queue = lane.queue.slice(lane.head);
  lane.head = 0;
}

function expire(item: QueuedEntry, now: number): boolean {
  if (item.call.deadline > now) return item.call.settled;
  item.call.fail(
    new AppError("unavailable", {
      detail: "the message could not be made durable in time; send it again",
      retryAfterS: 1,
    }),
  );
  return true;
}

/** What an entry counts for in the bounds: its text, at the most 3 bytes a unit, and its keys. */
function entryBytes(entry: NewEntry): number {
  return Math.min(entry.data.length * 2, limits.entryDataBytes) + entry.topic.length + 128;
}
