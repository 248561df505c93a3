import { pause } from "./backoff.ts";
import { isPassingDbError } from "./db.ts";
import { AppError } from "./errors.ts";

export type BatcherOptions<Item, Answer> = {
  /** Batches that may be under way at once. Items of one lane are worked on one batch after the other, in order. */
  readonly lanes: number;
  /** Bounds of one batch. */
  readonly batchItemsMax: number;
  readonly batchBytesMax: number;
  /** Bounds of all that waits, the batches under way included. */
  readonly queueItemsMax: number;
  readonly queueBytesMax: number;
  /** Milliseconds from the beginning of a lane's batch to that of its next, at the least; 0 unless given. */
  readonly spacingMs?: number;
  /** Milliseconds after which an item that has no answer yet gets `unavailable`: its fate is unknown. */
  readonly timeoutMs: number;
  readonly now: () => number;
  /** What is refused when the queue is full, for people. */
  readonly what: string;
  /** Answers each item of a batch; an error among the answers refuses that item only. */
  readonly work: (items: readonly Item[], lane: number) => Promise<readonly (Answer | AppError)[]>;
};

/** The lane that works on an item, the first one unless given, and what the item counts for in the bounds. */
export type Place = { readonly lane?: number; readonly bytes?: number };

type Waiting<Item, Answer> = {
  readonly item: Item;
  readonly bytes: number;
  readonly deadline: number;
  settled: boolean;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
};

type Lane<Item, Answer> = {
  readonly number: number;
  queue: Waiting<Item, Answer>[];
  head: number;
  flight: readonly Waiting<Item, Answer>[] | undefined;
};

const sweepEveryMs = 100;

/**
 * Natural batching: no linger. What arrived in this turn of the event loop is worked on when its lane is idle; while a
 * batch is under way, or `spacingMs` have not passed since it began, the next one gathers. A batch that fails as a whole
 * is halved until the guilty item stands alone, unless none can be guilty.
 */
export class Batcher<Item, Answer> {
  readonly #options: BatcherOptions<Item, Answer>;
  readonly #lanes: readonly Lane<Item, Answer>[];
  #items = 0;
  #bytes = 0;
  #scheduled = false;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(options: BatcherOptions<Item, Answer>) {
    this.#options = options;
    this.#lanes = Array.from({ length: options.lanes }, (_, number) => ({
      number,
      queue: [],
      head: 0,
      flight: undefined,
    }));
  }

  /** Items that wait or are under way. */
  get size(): number {
    return this.#items;
  }

  /** Rejects with `overloaded` when the queue is full: then nothing was done, and nothing will be. */
  add(item: Item, { lane: number = 0, bytes = 0 }: Place = {}): Promise<Answer> {
    const { queueItemsMax, queueBytesMax, timeoutMs, now, what } = this.#options;
    if (this.#items >= queueItemsMax || this.#bytes + bytes > queueBytesMax) {
      return Promise.reject(
        new AppError("overloaded", { detail: `too many ${what} at once`, retryAfterS: 1 }),
      );
    }
    const lane = this.#lanes[number];
    if (lane === undefined) return Promise.reject(new RangeError(`there is no lane ${number}`));
    return new Promise((resolve, reject) => {
      lane.queue.push({ item, bytes, deadline: now() + timeoutMs, settled: false, resolve, reject });
      this.#items++;
      this.#bytes += bytes;
      this.#schedule();
      this.#sweeper ??= setInterval(() => this.#sweep(), sweepEveryMs).unref();
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // After the poll phase: all requests that this turn of the event loop reads join the batch.
    setImmediate(() => {
      this.#scheduled = false;
      for (const lane of this.#lanes) if (lane.flight === undefined) void this.#run(lane);
    });
  }

  async #run(lane: Lane<Item, Answer>): Promise<void> {
    const { now, spacingMs = 0 } = this.#options;
    for (let batch = this.#take(lane); batch.length > 0; batch = this.#take(lane)) {
      lane.flight = batch;
      const begunAtMs = now();
      await this.#settle(batch, lane.number);
      this.#release(batch);
      lane.flight = [];
      const restMs = begunAtMs + spacingMs - now();
      if (restMs > 0) await pause(restMs);
      lane.flight = undefined;
    }
  }

  #take(lane: Lane<Item, Answer>): readonly Waiting<Item, Answer>[] {
    const { batchItemsMax, batchBytesMax } = this.#options;
    const batch: Waiting<Item, Answer>[] = [];
    let bytes = 0;
    while (lane.head < lane.queue.length && batch.length < batchItemsMax) {
      const waiting = lane.queue[lane.head];
      if (waiting === undefined || (batch.length > 0 && bytes + waiting.bytes > batchBytesMax)) break;
      lane.head++;
      // Nobody waits for it any more.
      if (waiting.settled) this.#release([waiting]);
      else {
        bytes += waiting.bytes;
        batch.push(waiting);
      }
    }
    if (lane.head === lane.queue.length || lane.head > batchItemsMax * 4) {
      lane.queue = lane.queue.slice(lane.head);
      lane.head = 0;
    }
    return batch;
  }

  async #settle(taken: readonly Waiting<Item, Answer>[], lane: number): Promise<void> {
    // Of a half whose turn comes late, some may not be waited for any more.
    const batch = taken.filter(({ settled }) => !settled);
    if (batch.length === 0) return;
    try {
      const answers = await this.#options.work(
        batch.map(({ item }) => item),
        lane,
      );
      for (const [i, waiting] of batch.entries()) {
        const answer = answers[i];
        if (answer === undefined) fail(waiting, new Error("a batch left an item without an answer"));
        else if (answer instanceof AppError) fail(waiting, answer);
        else succeed(waiting, answer);
      }
    } catch (cause) {
      const error = isPassingDbError(cause) ? new AppError("unavailable", { retryAfterS: 1, cause }) : cause;
      if (batch.length === 1 || error instanceof AppError) {
        for (const waiting of batch) fail(waiting, error);
        return;
      }
      const middle = batch.length >> 1;
      await this.#settle(batch.slice(0, middle), lane);
      await this.#settle(batch.slice(middle), lane);
    }
  }

  #release(batch: readonly Waiting<Item, Answer>[]): void {
    this.#items -= batch.length;
    for (const { bytes } of batch) this.#bytes -= bytes;
    if (this.#items > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  /** Items wait in the order of their deadlines, so looking stops at the first that may still wait. */
  #sweep(): void {
    const now = this.#options.now();
    for (const { flight = [], queue, head } of this.#lanes) {
      for (const waiting of flight) expire(waiting, now);
      for (let i = head; i < queue.length; i++) {
        const waiting = queue[i];
        if (waiting === undefined || !expire(waiting, now)) break;
      }
    }
  }
}

function succeed<Answer>(waiting: Waiting<unknown, Answer>, answer: Answer): void {
  if (waiting.settled) return;
  waiting.settled = true;
  waiting.resolve(answer);
}

function fail(waiting: Waiting<unknown, never>, error: unknown): void {
  if (waiting.settled) return;
  waiting.settled = true;
  waiting.reject(error);
}

function expire(waiting: Waiting<unknown, never>, now: number): boolean {
  // What is over already is met again by each sweep until its batch is answered: of many, an error each time is dear.
  if (waiting.settled || waiting.deadline > now) return waiting.settled;
  fail(
    waiting,
    new AppError("unavailable", {
      detail: "it took too long: nobody knows whether it is done",
      retryAfterS: 1,
    }),
  );
  return true;
}
