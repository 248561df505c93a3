import type { Encoding, Reader } from "./reader.ts";
import type { Pushed } from "./ring.ts";

/**
 * Longest that an entry waits to be sent together with its successors, milliseconds. A topic that was silent for as
 * long is written at once.
 */
export const flushWindowMaxMs = 20;
/**
 * What a reader adds to the window, milliseconds: about ten times what writing to it takes. Few readers are served at
 * once, since waiting would save next to nothing.
 */
const windowPerReaderMs = 0.1;
/** Bytes that wait for the window's end; more are written before it. */
export const pendingBytesMax = 65_536;

/** A reader's place in a topic. */
export type Subscription = {
  readonly reader: Reader;
  readonly channel: Channel;
  /** Where it stands in `channel.subscriptions`; -1 when it has ended. */
  index: number;
  /** The reader has everything of the topic up to this offset. While it is live it may have more. */
  at: number;
  /** It is sent nothing live: it gets what it misses in order first. */
  behind: boolean;
  /** What it misses is being read from the log. */
  loading: boolean;
  /** Entries of the log are being fetched for it, or held. */
  readsPast: boolean;
  /** The log has lost or redacted entries while that was read: what was found counts no longer. */
  stale: boolean;
  /** Which of the entries that it is behind by are told at all; undefined for all. Once it is live, all are. */
  isNews: ((entry: Pushed) => boolean) | undefined;
};

/** The readers of one topic in one encoding, and what waits to be written to all of them at once. */
export class Channel {
  readonly topic: string;
  readonly partition: number;
  readonly encoding: Encoding;
  readonly subscriptions: Subscription[] = [];
  /** Up to where readers know of the partition: by an entry, or because they were told that nothing happened. */
  told: number;
  readonly #onFlush: ((entries: number, readers: number) => void) | undefined;
  #pending: Pushed[] = [];
  #pendingBytes = 0;
  #flushedAtMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: {
    readonly topic: string;
    readonly partition: number;
    readonly encoding: Encoding;
    /** The last offset of the partition that has been looked at. */
    readonly head: number;
    readonly onFlush?: ((entries: number, readers: number) => void) | undefined;
  }) {
    this.topic = options.topic;
    this.partition = options.partition;
    this.encoding = options.encoding;
    this.told = options.head;
    this.#onFlush = options.onFlush;
  }

  /** Adds a reader that has everything up to `at`; it is behind, and being seen to. */
  join(reader: Reader, at: number): Subscription {
    const { subscriptions } = this;
    const index = subscriptions.length;
    const subscription: Subscription = {
      reader,
      channel: this,
      index,
      at,
      behind: true,
      loading: true,
      readsPast: false,
      stale: false,
      isNews: undefined,
    };
    subscriptions.push(subscription);
    return subscription;
  }

  leave(subscription: Subscription): void {
    const { subscriptions } = this;
    const last = subscriptions.at(-1);
    if (subscription.index === -1 || last === undefined) return;
    subscriptions[subscription.index] = last;
    last.index = subscription.index;
    subscriptions.pop();
    subscription.index = -1;
    if (subscriptions.length === 0) this.drop();
  }

  add(entry: Pushed): void {
    this.#pending.push(entry);
    this.#pendingBytes += entry.frame.length;
  }

  get hasPending(): boolean {
    return this.#pending.length > 0;
  }

  /** Writes what waits, now or when the window ends. */
  settle(nowMs: number): void {
    if (this.#pending.length === 0) return;
    const windowMs = Math.min(flushWindowMaxMs, this.subscriptions.length * windowPerReaderMs);
    const dueInMs = this.#flushedAtMs + windowMs - nowMs;
    if (dueInMs <= 0 || this.#pendingBytes > pendingBytesMax) this.flush(nowMs);
    else this.#timer ??= setTimeout(() => this.flush(performance.now()), Math.ceil(dueInMs));
  }

  /** One buffer for all readers, one write for each. */
  flush(nowMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const pending = this.#pending;
    const [first] = pending;
    const last = pending.at(-1);
    if (first === undefined || last === undefined) return;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#flushedAtMs = nowMs;
    this.told = last.offset;
    this.#onFlush?.(pending.length, this.subscriptions.length);
    const bytes = this.encoding.entries(pending);
    for (const subscription of this.subscriptions) {
      if (subscription.behind) continue;
      const { reader } = subscription;
      if (reader.full) {
        subscription.behind = true;
        subscription.at = Math.max(subscription.at, first.offset - 1);
        reader.lag();
      } else if (subscription.at >= first.offset) {
        // It came while these waited, or from another gateway that was further.
        const news = pending.filter(({ offset }) => offset > subscription.at);
        const part = news.length === 0 ? undefined : this.encoding.entries(news);
        if (part !== undefined) reader.write(part);
      } else if (bytes !== undefined) reader.write(bytes);
    }
  }

  /** Sends something that is no entry to all readers that are live and not beyond `upTo`, behind what waits. */
  tell(frame: Buffer, upTo: number = Number.POSITIVE_INFINITY): void {
    this.flush(performance.now());
    const bytes = this.encoding.frame(frame);
    if (bytes === undefined) return;
    for (const { reader, behind, at } of this.subscriptions) {
      if (!behind && !reader.full && at <= upTo) reader.write(bytes);
    }
  }

  /** Lets go of what waits: nobody reads it any more, or it is no longer in the log. */
  drop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#pending = [];
    this.#pendingBytes = 0;
  }
}
