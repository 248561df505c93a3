import { pause } from "../lib/backoff.ts";
import { acquire } from "./acquire.ts";
import type { Running, Site } from "./site.ts";

const restartFirstMs = 100;
const restartMaxMs = 5_000;
/** A PostgreSQL that has run so long is healthy: the next restart does not wait for the sake of earlier ones. */
const healthyMs = 30_000;

/**
 * Keeps one PostgreSQL running from `start` until `stop`. From then on exactly one loop (`#keep`) owns the process:
 * it alone starts, watches and stops it, so that a stop in the middle of a restart has nothing to race with.
 */
export class Supervisor {
  readonly #site: Site;
  readonly #stopping = new AbortController();
  readonly #stopAsked: Promise<void>;
  #running: Running | undefined;
  #kept: Promise<void> | undefined;

  constructor(site: Site) {
    this.#site = site;
    const { signal } = this.#stopping;
    this.#stopAsked = new Promise((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  /** Of the postmaster; undefined while there is none. */
  get pid(): number | undefined {
    return this.#running?.pid;
  }

  /** Resolves when PostgreSQL takes connections. */
  async start(): Promise<void> {
    this.#site.progress("starting PostgreSQL");
    const running = await acquire(this.#site, this.#stopping.signal);
    if (running === undefined) return;
    this.#noteStart(running);
    this.#kept = this.#keep(running);
    // `stop` hands a failure on; without it nothing may be left unhandled in the meantime.
    this.#kept.catch(() => undefined);
  }

  /** Resolves when the process is gone; an adopted one is left to its owner. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#kept;
  }

  async #keep(first: Running): Promise<void> {
    let backoffMs = restartFirstMs;
    for (let running: Running | undefined = first; running !== undefined;) {
      this.#running = running;
      const sinceMs = performance.now();
      const exit = await Promise.race([running.ended, this.#stopAsked]);
      this.#running = undefined;
      if (this.#stopping.signal.aborted) {
        await running.stop();
        return;
      }
      this.#site.log.warn(
        { postmaster: running.pid, adopted: running.adopted, ...exit },
        "embedded PostgreSQL ended unexpectedly",
      );
      if (performance.now() - sinceMs > healthyMs) backoffMs = restartFirstMs;
      [running, backoffMs] = await this.#restart(backoffMs);
    }
  }

  /** Tries until it succeeds or is told to stop. Answers also the pause before the next restart. */
  async #restart(firstPauseMs: number): Promise<[Running | undefined, number]> {
    const { signal } = this.#stopping;
    let pauseMs = firstPauseMs;
    while (!signal.aborted) {
      await pause(pauseMs, signal);
      pauseMs = Math.min(pauseMs * 2, restartMaxMs);
      try {
        const running = await acquire(this.#site, signal);
        if (running === undefined) break;
        this.#noteStart(running);
        return [running, pauseMs];
      } catch (error) {
        this.#site.log.error({ err: error }, "embedded PostgreSQL not restarted");
      }
    }
    return [undefined, pauseMs];
  }

  #noteStart({ pid, adopted }: Running): void {
    this.#site.log.info({ postmaster: pid, adopted }, "embedded PostgreSQL ready");
  }
}
