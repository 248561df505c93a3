import { uuidv7 } from "../../protocol/ids.ts";
import type { Timer } from "../deps.ts";
import type { Consumer } from "../eventlog/consumer.ts";
import {
  type Lease,
  beat,
  claimLeases,
  ensureGroup,
  leave,
  releaseLeases,
  renewEveryMs,
  renewLeases,
} from "../eventlog/leases.ts";
import { groupsWithParked } from "../eventlog/parking.ts";
import { GroupRunner, type RunnerDeps } from "../eventlog/runner.ts";
import { isTransientDbError } from "../lib/db.ts";
import { Leader } from "./leader.ts";
import { TimerLoop } from "./timers.ts";

export type WorkerOptions = RunnerDeps & {
  readonly consumers: readonly Consumer[];
  readonly timers: readonly Timer[];
};

/** How often the worker looks for parked entries that an operator has made due, milliseconds. */
const nudgeEveryMs = 1_000;

/**
 * Runs every consumer on this process's fair share of the partitions, and, on one process of the cluster, the timers.
 */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #node = uuidv7();
  readonly #runners: readonly GroupRunner[];
  readonly #leader: Leader;
  readonly #timers: TimerLoop;
  #unsubscribe: (() => void) | undefined;
  #tickTimer: NodeJS.Timeout | undefined;
  #nudgeTimer: NodeJS.Timeout | undefined;
  #tick: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: WorkerOptions) {
    this.#options = options;
    const { db, log } = options;
    this.#runners = options.consumers.map(
      (consumer) => new GroupRunner(consumer, options, () => this.#tickSoon()),
    );
    this.#leader = new Leader(db.address, log);
    this.#timers = new TimerLoop(options.timers, { leader: this.#leader, log });
  }

  /** Resolves when every group has its checkpoints and this process has claimed what is free. */
  async start(): Promise<void> {
    const { db, eventlog, consumers } = this.#options;
    const [tails, heads] = [await eventlog.tails(), await eventlog.heads()];
    for (const { group, start } of consumers) await ensureGroup(db, group, start === "first" ? tails : heads);
    this.#unsubscribe = eventlog.onGrowth((growth) => {
      for (const { partition, head } of growth)
        for (const runner of this.#runners) runner.grown(partition, head);
    });
    for (const runner of this.#runners) runner.start();
    await this.#balance();
    this.#schedule(renewEveryMs);
    this.#nudgeTimer = setInterval(() => void this.#nudge(), nudgeEveryMs);
    this.#timers.start();
  }

  /** Finishes the batches at hand, gives the partitions back and leaves. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#tickTimer);
    clearInterval(this.#nudgeTimer);
    this.#unsubscribe?.();
    await this.#tick;
    await this.#timers.stop();
    const held = this.#runners.flatMap((runner) => leasesOf(runner));
    await Promise.all(this.#runners.map((runner) => runner.stop()));
    try {
      await releaseLeases(this.#options.db, this.#node, held);
      await leave(this.#options.db, this.#node);
    } catch (error) {
      if (!isTransientDbError(error)) throw error;
      this.#options.log.warn({ err: error }, "leases could not be given back; they end by themselves");
    }
    await this.#leader.close();
  }

  #schedule(delayMs: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#tickTimer);
    this.#tickTimer = setTimeout(() => this.#tickSoon(), delayMs);
  }

  #tickSoon(): void {
    if (this.#stopped) return;
    this.#tick = this.#tick.then(async () => {
      try {
        await this.#balance();
      } catch (error) {
        this.#options.log.warn({ err: error }, "leases could not be renewed");
      }
      this.#schedule(renewEveryMs);
    });
  }

  /** Renews, gives up what is above the fair share, claims what is free, and tells the runners. */
  async #balance(): Promise<void> {
    const { db, eventlog } = this.#options;
    const members = await beat(db, this.#node);
    const share = Math.ceil(eventlog.partitions / members);
    const held = await renewLeases(db, this.#node);
    const groups = this.#runners.map(({ consumer }) => consumer.group);
    const claimed = await claimLeases(db, { node: this.#node, groups, share });
    const all = [...held, ...claimed];
    for (const runner of this.#runners) {
      const mine = all.filter(({ group }) => group === runner.consumer.group);
      const excess = mine.slice(share);
      if (excess.length > 0) {
        await runner.giveUp(excess.map(({ partition }) => partition));
        await releaseLeases(db, this.#node, excess);
      }
      runner.sync(mine.slice(0, share));
    }
  }

  async #nudge(): Promise<void> {
    try {
      const groups = await groupsWithParked(this.#options.db);
      for (const runner of this.#runners) if (groups.has(runner.consumer.group)) runner.nudge();
    } catch (error) {
      this.#options.log.debug({ err: error }, "parked entries could not be looked up");
    }
  }
}

function leasesOf(runner: GroupRunner): Lease[] {
  return [...runner.owned.values()].map(({ partition, epoch, checkpoint }) => ({
    group: runner.consumer.group,
    partition,
    epoch,
    checkpoint,
  }));
}
