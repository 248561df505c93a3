import type { Timer } from "../deps.ts";
import { unlessAborted, whenAborted } from "../lib/aborted.ts";
import type { Logger } from "../lib/logger.ts";
import type { Leader } from "./leader.ts";

/** How often due timers are looked for, milliseconds. */
const lookEveryMs = 1_000;
/** How long one run may take unless its timer says otherwise, milliseconds. */
export const timerMaxMs = 600_000;
/** How long a run may go on when the process is to end, milliseconds. */
const stopGraceMs = 5_000;

export type TimerLoopDeps = {
  readonly leader: Pick<Leader, "leads" | "lost">;
  readonly log: Logger;
  /** `stopGraceMs` unless given. */
  readonly stopGraceMs?: number;
};

type Item = { readonly timer: Timer; dueAt: number; running: boolean };

/**
 * Runs the modules' periodic jobs one after the other, on the process that leads. A run that takes too long, or whose
 * process leads no longer, is asked to end by its signal and waited for no more; the other timers go on, and it is not
 * started again beside itself.
 */
export class TimerLoop {
  readonly #timers: readonly Item[];
  readonly #deps: TimerLoopDeps;
  readonly #cutOff = new AbortController();
  /** Aborted when no further run begins. */
  readonly #stopping = new AbortController();
  #handle: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(timers: readonly Timer[], deps: TimerLoopDeps) {
    this.#timers = timers.map((timer) => ({ timer, dueAt: 0, running: false }));
    this.#deps = deps;
  }

  start(): void {
    if (this.#timers.length > 0) this.#next(0);
  }

  /** Lets the run at hand end, unless it takes too long for that. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the process ends"));
    clearTimeout(this.#handle);
    const timer = setTimeout(() => {
      this.#cutOff.abort(new Error("the process ends"));
    }, this.#deps.stopGraceMs ?? stopGraceMs);
    await this.#running;
    clearTimeout(timer);
  }

  #next(delayMs: number): void {
    if (this.#stopping.signal.aborted) return;
    this.#handle = setTimeout(() => {
      this.#running = this.#look().finally(() => this.#next(lookEveryMs));
    }, delayMs);
  }

  async #look(): Promise<void> {
    const due = this.#timers.filter(({ dueAt }) => dueAt <= performance.now());
    for (const item of due) {
      if (!(await this.#leads())) return;
      item.dueAt = performance.now() + item.timer.everyMs;
      if (item.running) {
        this.#deps.log.error({ timer: item.timer.name }, "timer was not run: its last run has not ended");
        continue;
      }
      try {
        await this.#run(item);
      } catch (error) {
        this.#deps.log.error({ err: error, timer: item.timer.name }, "timer failed");
      }
    }
  }

  /** Asked before each run: the one before it may have taken long. */
  async #leads(): Promise<boolean> {
    const { signal } = this.#stopping;
    if (signal.aborted) return false;
    try {
      const leads = await unlessAborted(this.#deps.leader.leads(), signal);
      return leads && !signal.aborted;
    } catch (error) {
      if (!signal.aborted) this.#deps.log.warn({ err: error }, "no leader could be chosen");
      return false;
    }
  }

  /** Rejects with the run's error, or when it is not waited for any longer. */
  async #run(item: Item): Promise<void> {
    const limitMs = item.timer.maxMs ?? timerMaxMs;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new Error(`it took longer than ${limitMs} ms`)), limitMs);
    const signal = AbortSignal.any([late.signal, this.#deps.leader.lost, this.#cutOff.signal]);
    item.running = true;
    const run = (async () => item.timer.run(signal))().finally(() => {
      item.running = false;
    });
    try {
      await Promise.race([run, whenAborted(signal)]);
    } finally {
      clearTimeout(timer);
    }
  }
}
