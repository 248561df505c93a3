import type { Logger } from "../../../lib/logger.ts";
import { Lru } from "../../../lib/lru.ts";

/** How often it is said of a push service that it does not take pushes, milliseconds, ... */
export const sayEveryMs = 600_000;
/** ... and of how many push services it is remembered when that was. */
export const saidMax = 1_000;

/** Says in the log which push services do not take pushes, and why. `now`: milliseconds of a clock that only grows. */
export class Complaints {
  readonly #log: Pick<Logger, "warn">;
  readonly #now: () => number;
  readonly #said = new Lru<string, number>(saidMax);

  constructor(log: Pick<Logger, "warn">, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#now = now;
  }

  get size(): number {
    return this.#said.size;
  }

  /** The host alone: the rest of an endpoint is a secret. */
  say(endpoint: string, reason: string): void {
    const { host } = new URL(endpoint);
    const nowMs = this.#now();
    if (nowMs - (this.#said.get(host) ?? Number.NEGATIVE_INFINITY) < sayEveryMs) return;
    this.#said.set(host, nowMs);
    this.#log.warn({ host, reason }, "a push service does not take a push");
  }
}
