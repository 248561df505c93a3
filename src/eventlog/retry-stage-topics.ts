import type { Entry } from "./eventlog.ts";
import type { WaitingTopic } from "./parking.ts";

/** A topic whose later entries are parked behind earlier ones. */
export type HeldTopic = {
  readonly partition: number;
  readonly topic: string;
  /** Entries that wait to be tried. */
  waiting: number;
  /** Dead letters that hold it. */
  dead: number;
  /** When its first entry may be tried, by `performance.now()`; infinite behind a dead letter. */
  dueAt: number;
};

/**
 * What a runner remembers of its parked entries: topics and counts, never entries. Only the owner of a partition parks
 * and takes out, so what it remembers of a partition stays true until a person retries or drops a dead letter.
 */
export class HeldTopics {
  readonly #partitions = new Map<number, Map<string, HeldTopic>>();
  readonly #waiting = new Map<number, number>();
  /** Those that have a time at which they are due, so that many dead letters cost nothing. */
  readonly #timed = new Set<HeldTopic>();

  knows(partition: number): boolean {
    return this.#partitions.has(partition);
  }

  get size(): number {
    return [...this.#partitions.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** Remembers what the database has for partitions that are not known yet. */
  learn(partitions: readonly number[], topics: readonly WaitingTopic[]): void {
    for (const partition of partitions) this.#partitions.set(partition, new Map());
    const now = performance.now();
    for (const { dueInMs, ...topic } of topics) this.#add({ ...topic, dueAt: now + dueInMs });
  }

  forget(partition: number): void {
    for (const topic of this.#partitions.get(partition)?.values() ?? []) this.#timed.delete(topic);
    this.#partitions.delete(partition);
    this.#waiting.delete(partition);
  }

  /** Forgets the partitions that are not among these. */
  keep(partitions: ReadonlySet<number>): void {
    for (const partition of this.#partitions.keys()) if (!partitions.has(partition)) this.forget(partition);
  }

  /** Whether entries of this one's topic must wait behind an earlier one. */
  holds({ partition, topic }: Pick<Entry, "partition" | "topic">): boolean {
    return this.#partitions.get(partition)?.has(topic) === true;
  }

  /** Entries of the partition that wait; dead letters are not counted. */
  waiting(partition: number): number {
    return this.#waiting.get(partition) ?? 0;
  }

  /** When the next topic is due, by `performance.now()`; infinite when none will be. */
  nextDueAt(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { dueAt } of this.#timed) next = Math.min(next, dueAt);
    return next;
  }

  /** Up to `limit` topics that are due. */
  allDue(limit: number): readonly HeldTopic[] {
    const now = performance.now();
    const found: HeldTopic[] = [];
    for (const topic of this.#timed) {
      if (topic.dueAt > now) continue;
      found.push(topic);
      if (found.length === limit) break;
    }
    return found;
  }

  /** Entries have joined those that wait, or have left them (a negative number). */
  count({ partition, topic }: Pick<Entry, "partition" | "topic">, change: number): void {
    const held = this.#partitions.get(partition)?.get(topic);
    if (held === undefined) return;
    held.waiting += change;
    this.#waiting.set(partition, this.waiting(partition) + change);
  }

  /** The topic's first entry is another one now, and may be tried at once. */
  due({ partition, topic }: Pick<Entry, "partition" | "topic">): void {
    const held = this.#partitions.get(partition)?.get(topic);
    if (held !== undefined) this.schedule(held, 0);
  }

  /** The topic's first entry has failed and is parked. */
  hold({ partition, topic }: Pick<Entry, "partition" | "topic">, dueInMs: number): void {
    const dead = dueInMs === Number.POSITIVE_INFINITY ? 1 : 0;
    this.#add({ partition, topic, waiting: 1 - dead, dead, dueAt: performance.now() + dueInMs });
  }

  /** When its first entry may be tried. Let go when none waits and no dead letter holds it. */
  schedule(held: HeldTopic, dueInMs: number): void {
    if (held.waiting <= 0 && held.dead === 0) {
      this.#timed.delete(held);
      this.#partitions.get(held.partition)?.delete(held.topic);
      return;
    }
    held.dueAt = held.waiting <= 0 ? Number.POSITIVE_INFINITY : performance.now() + dueInMs;
    if (held.dueAt === Number.POSITIVE_INFINITY) this.#timed.delete(held);
    else this.#timed.add(held);
  }

  #add(held: HeldTopic): void {
    this.#partitions.get(held.partition)?.set(held.topic, held);
    this.#waiting.set(held.partition, this.waiting(held.partition) + held.waiting);
    if (held.dueAt !== Number.POSITIVE_INFINITY) this.#timed.add(held);
  }
}
