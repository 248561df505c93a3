import { partitions, type TestLog } from "./logs.ts";
import type { Seen } from "./violations.ts";

const readMax = 500;

/** Follows every partition from its start, as fast as it can, until it is told that nothing more will come. */
export class Tail {
  readonly #log: TestLog;
  readonly #seen: Seen[] = [];
  readonly #done: Promise<void>;
  #finishing = false;

  constructor(log: TestLog) {
    this.#log = log;
    this.#done = this.#run();
    this.#done.catch(() => undefined);
  }

  /** Call when all writers have ended: reads to the end of the log and resolves with all that was seen. */
  async finish(): Promise<readonly Seen[]> {
    this.#finishing = true;
    await this.#done;
    return this.#seen;
  }

  async #run(): Promise<void> {
    const places = Array.from({ length: partitions }, () => 0);
    for (;;) {
      // Only a round that began after the last commit may be the last one.
      const last = this.#finishing;
      const news = await Promise.all(places.map((after, partition) => this.#read(partition, after)));
      for (const [partition, end] of news.entries()) places[partition] = end.after;
      if (last && news.every(({ found }) => !found)) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #read(
    partition: number,
    after: number,
  ): Promise<{ readonly after: number; readonly found: boolean }> {
    const { entries, end } = await this.#log.read(partition, after, readMax);
    for (const { offset, id } of entries) this.#seen.push({ partition, offset, id });
    return { after: end, found: end > after };
  }
}
