export type LoadBounds = {
  /** Requests whose answer is not written yet; further ones are refused. */
  readonly inFlightMax: number;
  /** Smoothed lateness of timers in milliseconds above which requests are refused. */
  readonly loopDelayMaxMs: number;
  /** Bytes of bodies in memory, over all requests, beyond which further ones are refused. */
  readonly bodyBytesMax: number;
};

const sampleEveryMs = 200;
/** Share of a new sample in the average: one stall of a second is forgiven, a few in a row are not. */
const sampleWeight = 1 / 3;

/** How busy this process is, and whether it is on its way out. */
export class Load {
  /** True once `stopAccepting` was called: answers ask clients to come back on another connection. */
  draining = false;
  readonly #bounds: LoadBounds;
  readonly #timer: NodeJS.Timeout;
  #inFlight = 0;
  #bodyBytes = 0;
  #delayMs = 0;
  #onIdle: (() => void) | undefined;

  constructor(bounds: LoadBounds) {
    this.#bounds = bounds;
    let lastMs = performance.now();
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      this.sample(nowMs - lastMs - sampleEveryMs);
      lastMs = nowMs;
    }, sampleEveryMs).unref();
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  enter(): void {
    this.#inFlight++;
  }

  /** `bodyBytes` is what the request held. */
  leave(bodyBytes: number): void {
    this.#bodyBytes -= bodyBytes;
    this.#inFlight--;
    if (this.#inFlight === 0) this.#onIdle?.();
  }

  /** Takes note of a part of a body that has arrived; `leave` lets go of it. */
  holdBody(bytes: number): void {
    this.#bodyBytes += bytes;
  }

  get bodiesFull(): boolean {
    return this.#bodyBytes > this.#bounds.bodyBytesMax;
  }

  /** Takes note of how late a timer fired. */
  sample(lateMs: number): void {
    this.#delayMs += (Math.max(0, lateMs) - this.#delayMs) * sampleWeight;
  }

  /** Whether the request that has just entered is one too many. */
  get overloaded(): boolean {
    return this.#inFlight > this.#bounds.inFlightMax || this.#delayMs > this.#bounds.loopDelayMaxMs;
  }

  /** Resolves when no request is in flight. One caller at a time. */
  idle(): Promise<void> {
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
    });
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
