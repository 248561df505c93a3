import { backoffMs, repeatBackoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import { TidingsError, needsSignIn } from "./errors.ts";
import type { OnError } from "./observable.ts";

/** Errands that are run at the same time. */
export const errandsInFlightMax = 4;

/** Work ends early, by whatever error, when the signal is aborted. */
export type Work = (signal: AbortSignal) => Promise<void>;

type Errand = {
  work: Work;
  running: boolean;
  /** It was asked for again while it ran: what it has read may be outdated. */
  again: boolean;
  failures: number;
  notBefore: number;
  /** It was the server who asked for the pause. */
  asked: boolean;
};

/**
 * Work that is done in the background until it has succeeded: once at a time for each key, a few keys at a time, after
 * a pause when it failed. What is refused for good is given up.
 */
export class Errands {
  readonly #deps: { readonly clock: Clock; readonly random: () => number; readonly onError: OnError };
  readonly #errands = new Map<string, Errand>();
  /** Ends what is being done. */
  #ending = new AbortController();
  #running = 0;
  #timer: unknown;
  #stopped = false;
  #paused = false;

  constructor(deps: { readonly clock: Clock; readonly random: () => number; readonly onError: OnError }) {
    this.#deps = deps;
  }

  /** Has the work done; once more from the beginning if it is being done. */
  run(key: string, work: Work): void {
    const errand = this.#errands.get(key);
    if (errand === undefined) {
      const errand = { work, running: false, again: false, failures: 0, notBefore: 0, asked: false };
      this.#errands.set(key, errand);
    } else {
      errand.work = work;
      errand.again = errand.running;
    }
    this.#pump();
  }

  /** The connection is back: pauses that no server has asked for are over. */
  hurry(): void {
    this.#paused = false;
    for (const errand of this.#errands.values()) if (!errand.asked) errand.notBefore = 0;
    this.#pump();
  }

  /** Ends what is being done, and begins nothing until `hurry`: then it is done from the beginning. */
  pause(): void {
    this.#paused = true;
    this.#clearTimer();
    this.#ending.abort();
    this.#ending = new AbortController();
  }

  stop(): void {
    this.#stopped = true;
    this.#errands.clear();
    this.#clearTimer();
    this.#ending.abort();
  }

  #pump(): void {
    if (this.#stopped || this.#paused) return;
    const now = this.#deps.clock.now();
    let next = Number.POSITIVE_INFINITY;
    for (const [key, errand] of this.#errands) {
      if (errand.running) continue;
      if (errand.notBefore > now) next = Math.min(next, errand.notBefore);
      else if (this.#running < errandsInFlightMax) void this.#do(key, errand);
    }
    this.#clearTimer();
    if (next === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#deps.clock.setTimeout(() => {
      this.#timer = undefined;
      this.#pump();
    }, next - now);
  }

  async #do(key: string, errand: Errand): Promise<void> {
    const { signal } = this.#ending;
    errand.running = true;
    this.#running++;
    try {
      await errand.work(signal);
      errand.failures = 0;
      if (!errand.again) this.#errands.delete(key);
    } catch (error) {
      if (!signal.aborted) this.#failed(key, errand, error);
    }
    errand.running = false;
    errand.again = false;
    this.#running--;
    this.#pump();
  }

  #failed(key: string, errand: Errand, reason: unknown): void {
    if (this.#stopped) return;
    const { clock, random, onError } = this.#deps;
    if (!isPassing(reason)) {
      if (!errand.again) this.#errands.delete(key);
      onError(reason);
      return;
    }
    errand.failures++;
    errand.asked = reason.retryAfterS !== undefined;
    const pauseMs = (reason.retryAfterS ?? 0) * 1000 + backoffMs(errand.failures, repeatBackoff, random());
    errand.notBefore = clock.now() + pauseMs;
  }

  #clearTimer(): void {
    if (this.#timer !== undefined) this.#deps.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** Whether the same may succeed later. What is no `TidingsError` is a mistake in the program. */
export function isPassing(reason: unknown): reason is TidingsError {
  return reason instanceof TidingsError && (reason.retry === "later" || needsSignIn(reason));
}
