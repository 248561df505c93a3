import type { Timer } from "../deps.ts";
import type { Logger } from "../lib/logger.ts";
import type { Leader } from "./leader.ts";

/** How often due timers are looked for, milliseconds. */
const lookEveryMs = 1_000;

/** Runs the modules' periodic jobs one after the other, on the process that leads. */
export class TimerLoop {
  readonly #timers: { readonly timer: Timer; dueAt: number }[];
  readonly #deps: { readonly leader: Leader; readonly log: Logger };
  #handle: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(timers: readonly Timer[], deps: { readonly leader: Leader; readonly log: Logger }) {
    this.#timers = timers.map((timer) => ({ timer, dueAt: 0 }));
    this.#deps = deps;
  }

  start(): void {
    if (this.#timers.length > 0) this.#next(0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#handle);
    await this.#running;
  }

  #next(delayMs: number): void {
    if (this.#stopped) return;
    this.#handle = setTimeout(() => {
      this.#running = this.#look().finally(() => this.#next(lookEveryMs));
    }, delayMs);
  }

  async #look(): Promise<void> {
    const due = this.#timers.filter(({ dueAt }) => dueAt <= performance.now());
    if (due.length === 0) return;
    try {
      if (!(await this.#deps.leader.leads())) return;
    } catch (error) {
      this.#deps.log.warn({ err: error }, "no leader could be chosen");
      return;
    }
    for (const item of due) {
      if (this.#stopped) return;
      item.dueAt = performance.now() + item.timer.everyMs;
      try {
        await item.timer.run();
      } catch (error) {
        this.#deps.log.error({ err: error, timer: item.timer.name }, "timer failed");
      }
    }
  }
}
