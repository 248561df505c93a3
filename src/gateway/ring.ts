/** An entry as the gateway keeps it: where it lies, and the bytes that every reader is sent. */
export type Pushed = {
  readonly offset: number;
  readonly topic: string;
  readonly id: string;
  /** The whole frame. Replaced by a tombstone's when the entry is redacted. */
  frame: Buffer;
  /** The entry of the same topic before this one, while it is kept too. */
  older: Pushed | undefined;
  /** And the one after it. */
  newer: Pushed | undefined;
};

export type RingBounds = {
  /** Entries of one partition. */
  readonly entriesMax: number;
  /** Bytes of their frames. */
  readonly bytesMax: number;
};

/**
 * The newest pushed entries of one partition, without a hole: whoever has everything up to `start - 1` gets the rest
 * from here. The entries of one topic are linked, so that finding what somebody missed costs as much as they missed.
 */
export class Ring {
  readonly #bounds: RingBounds;
  readonly #newest = new Map<string, Pushed>();
  #entries: Pushed[] = [];
  #first = 0;
  #bytes = 0;
  #start: number;
  #head: number;

  /** `head` is the last offset before the first that will be added. */
  constructor(head: number, bounds: RingBounds) {
    this.#bounds = bounds;
    this.#head = head;
    this.#start = head + 1;
  }

  /** From this offset on, everything that is pushed is here. */
  get start(): number {
    return this.#start;
  }

  /** The last offset that has been looked at. */
  get head(): number {
    return this.#head;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.length - this.#first;
  }

  add(offset: number, entry: Pick<Pushed, "topic" | "id" | "frame">): Pushed {
    const older = this.#newest.get(entry.topic);
    const pushed: Pushed = { offset, ...entry, older, newer: undefined };
    if (older !== undefined) older.newer = pushed;
    this.#newest.set(entry.topic, pushed);
    this.#entries.push(pushed);
    this.#bytes += pushed.frame.length;
    this.#head = offset;
    const { entriesMax, bytesMax } = this.#bounds;
    while (this.size > entriesMax || (this.#bytes > bytesMax && this.size > 1)) this.#dropOldest();
    return pushed;
  }

  /** Everything up to `offset` has been looked at; entries that are not pushed leave no trace. */
  advance(offset: number): void {
    this.#head = Math.max(this.#head, offset);
  }

  /**
   * The entries of the topic after `after`, oldest first; undefined when they are more than `max`. What came before
   * `start` is not known here: ask only for `after >= start - 1`.
   */
  missed(topic: string, after: number, max: number): readonly Pushed[] | undefined {
    const found: Pushed[] = [];
    let entry = this.#newest.get(topic);
    while (entry !== undefined && entry.offset > after) {
      if (found.length === max) return undefined;
      found.push(entry);
      entry = entry.older;
    }
    return found.reverse();
  }

  /** Gives the entry of this id, if it is kept, the frame that `make` makes of its own. */
  replace(topic: string, id: string, make: (frame: Buffer) => Buffer): void {
    let entry = this.#newest.get(topic);
    while (entry !== undefined && entry.id !== id) entry = entry.older;
    if (entry === undefined) return;
    this.#bytes -= entry.frame.length;
    entry.frame = make(entry.frame);
    this.#bytes += entry.frame.length;
  }

  #dropOldest(): void {
    const oldest = this.#entries[this.#first];
    if (oldest === undefined) return;
    this.#first++;
    this.#bytes -= oldest.frame.length;
    this.#start = oldest.offset + 1;
    // Whoever still holds the entry must not hold its successors through it, nor they it.
    if (oldest.newer === undefined) this.#newest.delete(oldest.topic);
    else oldest.newer.older = undefined;
    oldest.newer = undefined;
    if (this.#first * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }
}
