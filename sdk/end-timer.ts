import type { Clock } from "./clock.ts";

/** No timer is set for longer: beyond 2^31 ms it would ring at once, and notifications may last for months. */
export const endTimerMsMax = 86_400_000;

/** One timer for whatever ends next, by a clock that may be another one than the device's. */
export class EndTimer {
  readonly #clock: Pick<Clock, "setTimeout" | "clearTimeout">;
  readonly #ring: () => void;
  #timer: unknown;

  constructor(clock: Pick<Clock, "setTimeout" | "clearTimeout">, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings at this moment, or a good while before it; never, if there is none. `now` is of the same clock as it. */
  arm(end: number | undefined, now: number): void {
    this.clear();
    if (end === undefined) return;
    this.#timer = this.#clock.setTimeout(
      () => {
        this.#timer = undefined;
        this.#ring();
      },
      Math.min(endTimerMsMax, Math.max(0, end - now)),
    );
  }

  clear(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
