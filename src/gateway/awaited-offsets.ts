import { endsWithin } from "../lib/backoff.ts";

type Awaited = { readonly offset: number; readonly resolve: () => void };

/** Those who wait until a partition has been read so far. */
export class AwaitedOffsets {
  #waiting: Awaited[] = [];

  get size(): number {
    return this.#waiting.length;
  }

  /** Resolves with whether `passed` was called with this offset or a later one within so many milliseconds. */
  async wait(offset: number, withinMs: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const awaited = { offset, resolve };
    this.#waiting.push(awaited);
    const isPassed = await endsWithin(promise, withinMs);
    if (!isPassed) this.#waiting = this.#waiting.filter((one) => one !== awaited);
    return isPassed;
  }

  passed(offset: number): void {
    if (this.#waiting.length === 0) return;
    const ready = this.#waiting.filter((one) => one.offset <= offset);
    this.#waiting = this.#waiting.filter((one) => one.offset > offset);
    for (const { resolve } of ready) resolve();
  }
}
