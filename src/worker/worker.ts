import { uuidv7 } from "../../protocol/ids.ts";
import type { Timer } from "../deps.ts";
import type { Consumer } from "../eventlog/consumer.ts";
import { ensureGroup } from "../eventlog/leases.ts";
import { parkedChanges } from "../eventlog/parking.ts";
import { GroupRunner, type RunnerDeps } from "../eventlog/runner.ts";
import { unlessAborted } from "../lib/aborted.ts";
import { boundTo } from "../lib/db.ts";
import { Leader } from "./leader.ts";
import { LeaseKeeper } from "./lease-keeper.ts";
import { TimerLoop } from "./timers.ts";

export type WorkerOptions = RunnerDeps & {
  readonly consumers: readonly Consumer[];
  readonly timers: readonly Timer[];
  /** Milliseconds between renewals of the leases, for tests. */
  readonly renewEveryMs?: number;
};

/** How often the worker looks whether a person has changed what is parked, milliseconds. */
const nudgeEveryMs = 1_000;

/**
 * Runs every consumer on this process's fair share of the partitions, and, on one process of the cluster, the timers.
 */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #node = uuidv7();
  readonly #runners: readonly GroupRunner[];
  readonly #leases: LeaseKeeper;
  readonly #leader: Leader;
  readonly #timers: readonly TimerLoop[];
  /** By group and partition: how often persons had changed what is parked there when it was last looked. */
  readonly #parkedChanges = new Map<string, number>();
  #unsubscribe: (() => void) | undefined;
  #nudgeTimer: NodeJS.Timeout | undefined;
  #nudging = false;
  readonly #stopping = new AbortController();

  constructor(options: WorkerOptions) {
    this.#options = options;
    const { consumers, db, eventlog, log, renewEveryMs, timers } = options;
    this.#runners = consumers.map(
      (consumer) => new GroupRunner(consumer, options, () => this.#leases.lookNow()),
    );
    this.#leases = new LeaseKeeper({
      address: db.address,
      node: this.#node,
      partitions: eventlog.partitions,
      holders: this.#runners.map((runner) => ({
        group: runner.consumer.group,
        sync: (leases) => runner.sync(leases),
      })),
      log,
      ...(renewEveryMs === undefined ? {} : { renewEveryMs }),
    });
    this.#leader = new Leader(db.address, log);
    const inLine = timers.filter(({ apart }) => apart !== true);
    const lines = [inLine, ...timers.filter(({ apart }) => apart === true).map((timer) => [timer])];
    this.#timers = lines.map((line) => new TimerLoop(line, { leader: this.#leader, log }));
  }

  /**
   * Resolves when every group has its checkpoints and this process has claimed what is free. The signal gives that up;
   * `stop` then ends what was begun.
   */
  async start(signal?: AbortSignal): Promise<void> {
    const { eventlog, consumers } = this.#options;
    const db = boundTo(this.#options.db, signal);
    const [tails, heads] = [await eventlog.tails(signal), await eventlog.heads(signal)];
    for (const { group, start } of consumers) await ensureGroup(db, group, start === "first" ? tails : heads);
    this.#unsubscribe = eventlog.onGrowth((growth) => {
      for (const { partition, head } of growth)
        for (const runner of this.#runners) runner.grown(partition, head);
    });
    for (const runner of this.#runners) runner.start();
    await unlessAborted(this.#leases.start(), signal);
    this.#nudgeTimer = setInterval(() => void this.#nudge(), nudgeEveryMs);
    for (const timers of this.#timers) timers.start();
  }

  /** Finishes the batches at hand, gives the partitions back and leaves. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort(new Error("the process ends"));
    clearInterval(this.#nudgeTimer);
    this.#unsubscribe?.();
    // All at once, and each with a bound of its own: a database that is silent must not be waited for time and again.
    const runners = this.#runners.map((runner) => runner.stop());
    const timers = this.#timers.map((line) => line.stop());
    await Promise.all([this.#leases.stop(), ...timers, ...runners]);
    await Promise.all([this.#leases.leave(), this.#leader.close()]);
  }

  /** Tells the runners where a person has retried or dropped dead letters since the last look. */
  async #nudge(): Promise<void> {
    // Of a slow database one answer is waited for, not one for each second.
    if (this.#nudging) return;
    this.#nudging = true;
    try {
      const db = boundTo(this.#options.db, this.#stopping.signal);
      const changed = (await parkedChanges(db, this.#node)).filter(
        ({ group, partition, changes }) => this.#parkedChanges.get(`${group} ${partition}`) !== changes,
      );
      for (const { group, partition, changes } of changed) {
        this.#parkedChanges.set(`${group} ${partition}`, changes);
        this.#runners.find(({ consumer }) => consumer.group === group)?.nudge([partition]);
      }
    } catch (error) {
      this.#options.log.debug({ err: error }, "parked entries could not be looked up");
    } finally {
      this.#nudging = false;
    }
  }
}
