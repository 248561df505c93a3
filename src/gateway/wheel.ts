/**
 * A timing wheel: every item is visited once per turn, a few of them each second. One timer for all, however many
 * items there are; adding and removing cost nothing that grows.
 */
export class Wheel<Item> {
  readonly #slots: readonly Set<Item>[];
  readonly #visit: (item: Item) => void;
  readonly #timer: NodeJS.Timeout;
  #next = 0;
  #lastAdded = 0;

  /** `turnMs` is how long a turn takes, `slots` in how many steps. */
  constructor(options: {
    readonly turnMs: number;
    readonly slots: number;
    readonly visit: (item: Item) => void;
  }) {
    this.#slots = Array.from({ length: options.slots }, () => new Set<Item>());
    this.#visit = options.visit;
    this.#timer = setInterval(() => this.step(), options.turnMs / options.slots);
  }

  /** Items are spread evenly, whenever they come. Returns the slot, for `remove`. */
  add(item: Item): number {
    this.#lastAdded = (this.#lastAdded + 1) % this.#slots.length;
    this.#slots[this.#lastAdded]?.add(item);
    return this.#lastAdded;
  }

  remove(item: Item, slot: number): void {
    this.#slots[slot]?.delete(item);
  }

  /** Visits the next slot. */
  step(): void {
    const slot = this.#slots[this.#next];
    this.#next = (this.#next + 1) % this.#slots.length;
    if (slot === undefined) return;
    for (const item of slot) this.#visit(item);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
