import type { CheckpointMove } from "./checkpoints.ts";
import type { Lease } from "./leases.ts";

/** A partition that a runner owns. */
export type OwnedPartition = {
  readonly partition: number;
  readonly epoch: number;
  /** The last offset whose effects are committed, as the database has it. */
  checkpoint: number;
  /** The last offset that was looked at: entries of foreign types move it without a commit each. */
  place: number;
  /** The last offset that the log is known to have; infinite until a read has come back empty. */
  head: number;
  /** Counts announcements of growth: a read that came back empty is outdated when one arrived meanwhile. */
  announced: number;
  /** Retention has outrun the group: an operator must choose where to go on. */
  expired: boolean;
  /** It was told that the partition has parked all it may. */
  toldFull: boolean;
  /** Of the data of the entries that were read last, UTF-16 units; 1 before the first read. */
  meanLength: number;
  /** Attempts in a row at a batch with entries of this partition that took too long or too much. */
  overloads: number;
};

/**
 * The partitions of one runner. What the database says about leases is taken over only between two batches: a
 * partition must not be read before the retry stage knows which of its topics wait, nor given away in mid-batch.
 */
export class OwnedPartitions {
  readonly #owned = new Map<number, OwnedPartition>();
  /** By partition: what was committed when the leases were told the last time, and so before they are asked for again. */
  readonly #committed = new Map<number, Pick<OwnedPartition, "epoch" | "checkpoint">>();
  /** Partitions whose checkpoint the database has lost. */
  readonly #back = new Set<number>();
  #leases: readonly Lease[] | undefined;
  #takenOver: PromiseWithResolvers<void> | undefined;
  #ended = false;

  get all(): readonly OwnedPartition[] {
    return [...this.#owned.values()];
  }

  get size(): number {
    return this.#owned.size;
  }

  get(partition: number): OwnedPartition | undefined {
    return this.#owned.get(partition);
  }

  /** What this process holds from now on. Resolves once it, or something newer, is taken over. */
  sync(leases: readonly Lease[]): Promise<void> {
    if (this.#ended) return Promise.resolve();
    this.#leases = leases;
    for (const { partition, epoch, checkpoint } of leases) {
      const before = this.#committed.get(partition);
      if (before?.epoch === epoch && checkpoint < before.checkpoint) this.#back.add(partition);
    }
    this.#committed.clear();
    for (const { partition, epoch, checkpoint } of this.all)
      if (!this.#back.has(partition)) this.#committed.set(partition, { epoch, checkpoint });
    this.#takenOver ??= Promise.withResolvers();
    return this.#takenOver.promise;
  }

  /**
   * Adds partitions that were claimed and drops those that were lost; answers with the added ones. One whose checkpoint
   * has gone back under the same epoch is begun anew: the database has failed over and lost what was committed last.
   */
  takeOver(): readonly number[] {
    const leases = this.#leases;
    if (leases === undefined) return [];
    this.#leases = undefined;
    const held = new Map(leases.map((lease) => [lease.partition, lease]));
    for (const [partition, owned] of this.#owned) {
      if (held.get(partition)?.epoch !== owned.epoch || this.#back.has(partition))
        this.#owned.delete(partition);
    }
    this.#back.clear();
    const added = leases.filter(({ partition }) => !this.#owned.has(partition));
    for (const lease of added) this.#owned.set(lease.partition, begin(lease));
    this.#takenOver?.resolve();
    this.#takenOver = undefined;
    return added.map(({ partition }) => partition);
  }

  /** Another owner has taken over; which partitions are still ours, the next `sync` tells. */
  clear(): void {
    this.#owned.clear();
  }

  /** Nothing is under way any more, and nothing will be. */
  end(): void {
    this.#ended = true;
    this.#takenOver?.resolve();
    this.#takenOver = undefined;
  }

  /** Those of which more was looked at than is committed. */
  get uncommitted(): readonly OwnedPartition[] {
    return this.all.filter(({ checkpoint, place }) => place > checkpoint);
  }

  /** Back to what is committed: whether a lost commit took effect is unknown, and the next compare-and-set tells. */
  reset(): void {
    for (const owned of this.#owned.values()) owned.place = owned.checkpoint;
  }
}

function begin({ partition, epoch, checkpoint }: Lease): OwnedPartition {
  return {
    partition,
    epoch,
    checkpoint,
    place: checkpoint,
    head: Number.POSITIVE_INFINITY,
    announced: 0,
    expired: false,
    toldFull: false,
    meanLength: 1,
    overloads: 0,
  };
}

export function move({ partition, epoch, checkpoint }: OwnedPartition, to: number): CheckpointMove {
  return { partition, epoch, from: checkpoint, to };
}

/** The effects up to an offset are committed. */
export function moved(owned: OwnedPartition, to: number): void {
  owned.checkpoint = to;
  owned.place = to;
}
