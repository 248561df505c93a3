import { backoffMs } from "../../../lib/backoff.ts";
import { Lru } from "../../../lib/lru.ts";

/** Calls that a push service has at the same time: to begin with, and once it answers every call quickly. */
export const serviceLanesMin = 8;
export const serviceLanesMax = 48;
/** A push service is slow that takes longer on an average, milliseconds. */
export const quickMs = 1_000;
/** How much of that average is the last call. */
const lastWeight = 1 / 16;
/** Calls in a row without an answer, after which a push service is left alone for a while: */
export const silencesMax = 8;
/** for so long, and longer each time. */
export const rest = { baseMs: 10_000, factor: 2, maxMs: 300_000 } as const;
/** Push services of which anything is remembered. */
export const servicesMax = 1_000;

type Clock = { now(): number };

type Service = {
  readonly meanMs: number;
  readonly lanes: number;
  /** Calls in a row without an answer. */
  readonly silences: number;
  /** How often in a row it was left alone. */
  readonly rests: number;
  readonly restsUntilMs: number;
  readonly isSlow: boolean;
};

const stranger: Service = {
  meanMs: 0,
  lanes: serviceLanesMin,
  silences: 0,
  rests: 0,
  restsUntilMs: 0,
  isSlow: false,
};

/**
 * How push services have behaved, by the origin of their addresses: who is slow or silent has few calls at a time, or none
 * for a while, and so cannot keep the others from being called. Times are Unix milliseconds.
 */
export class PushServices {
  readonly #clock: Clock;
  readonly #known = new Lru<string, Service>(servicesMax);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#known.size;
  }

  /** Calls that it may have at the same time. While it is not known whether it is back, that is one. */
  lanesOf(origin: string): number {
    const { silences, lanes } = this.#of(origin);
    if (this.isResting(origin)) return 0;
    return silences >= silencesMax ? 1 : lanes;
  }

  isSlow(origin: string): boolean {
    return this.#of(origin).isSlow;
  }

  /** Known to be, from calls. */
  isQuick(origin: string): boolean {
    return this.lanesOf(origin) > serviceLanesMin;
  }

  isResting(origin: string): boolean {
    return this.restsUntilMs(origin) > this.#clock.now();
  }

  /** Until when it is left alone; in the past if it is not. */
  restsUntilMs(origin: string): number {
    return this.#of(origin).restsUntilMs;
  }

  /** Pushes have waited for it for too long. */
  late(origin: string): void {
    this.#known.set(origin, { ...this.#of(origin), isSlow: true, lanes: serviceLanesMin });
  }

  answered(origin: string, tookMs: number): void {
    const before = this.#of(origin);
    const meanMs = before.meanMs + (tookMs - before.meanMs) * lastWeight;
    const isSlow = meanMs > quickMs || (before.isSlow && tookMs > quickMs);
    const lanes = isSlow ? serviceLanesMin : Math.min(serviceLanesMax, before.lanes + 1);
    this.#known.set(origin, { meanMs, lanes, isSlow, silences: 0, rests: 0, restsUntilMs: 0 });
  }

  silent(origin: string, tookMs: number): void {
    const before = this.#of(origin);
    // Calls that were on their way when it was left alone say nothing new.
    const nowMs = this.#clock.now();
    if (nowMs < before.restsUntilMs) return;
    const meanMs = before.meanMs + (tookMs - before.meanMs) * lastWeight;
    const silences = before.silences + 1;
    const isSlow = before.isSlow || meanMs > quickMs;
    const after = { ...before, meanMs, isSlow, silences, lanes: serviceLanesMin };
    const { rests } = before;
    this.#known.set(
      origin,
      silences < silencesMax
        ? after
        : { ...after, rests: rests + 1, restsUntilMs: nowMs + backoffMs(rests + 1, rest) },
    );
  }

  #of(origin: string): Service {
    return this.#known.get(origin) ?? stranger;
  }
}
