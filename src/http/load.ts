export type LoadBounds = {
  /**
   * Requests that are worked on; further ones are refused. One that waits for its body, or for its client to take the
   * answer, is not worked on.
   */
  readonly inFlightMax: number;
  /** Smoothed lateness of timers in milliseconds above which requests are refused. */
  readonly loopDelayMaxMs: number;
  /** Bytes of bodies in memory, over all requests, beyond which further ones are refused. */
  readonly bodyBytesMax: number;
  /** How many of them may belong to bodies whose sender has not proved anything yet: the rest is for those who have. */
  readonly unprovedBodyBytesMax: number;
  /** How many of those may come from one address, not counting bodies that arrived in one part. */
  readonly addressBodyBytesMax: number;
};

/** What a request weighs. Its fields are the load's to change, but for the last two. */
export type Burden = {
  stage: "outside" | "working" | "resting";
  /** Bytes of the body that are in memory on behalf of this request. */
  bodyBytes: number;
  /** Whether the head has proved who sends this. */
  proved: boolean;
  /** The address whose share a body counts against; undefined is none. */
  shareKey: string | undefined;
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
  #open = 0;
  #working = 0;
  #bodyBytes = 0;
  #unprovedBytes = 0;
  readonly #addressBytes = new Map<string, number>();
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

  /** Requests whose answer is not written yet. */
  get open(): number {
    return this.#open;
  }

  /** Bytes of bodies in memory. */
  get bodyBytes(): number {
    return this.#bodyBytes;
  }

  enter(request: Burden): void {
    request.stage = "working";
    this.#open++;
    this.#working++;
  }

  /** The request waits for its client. */
  rest(request: Burden): void {
    if (request.stage !== "working") return;
    request.stage = "resting";
    this.#working--;
  }

  /** The request is worked on again. */
  resume(request: Burden): void {
    if (request.stage !== "resting") return;
    request.stage = "working";
    this.#working++;
  }

  /** The request has its answer, or its connection is gone. */
  leave(request: Burden): void {
    this.rest(request);
    this.letGo(request);
    request.stage = "outside";
    this.#open--;
    if (this.#open === 0) this.#onIdle?.();
  }

  /** Makes room for more of the request's body, and tells whether there was any. */
  holdBody(request: Burden, bytes: number): boolean {
    const { bodyBytesMax, unprovedBodyBytesMax, addressBodyBytesMax } = this.#bounds;
    if (this.#bodyBytes + bytes > bodyBytesMax) return false;
    if (!request.proved) {
      if (this.#unprovedBytes + bytes > unprovedBodyBytesMax) return false;
      const { shareKey } = request;
      if (shareKey !== undefined) {
        const shareBytes = (this.#addressBytes.get(shareKey) ?? 0) + bytes;
        if (shareBytes > addressBodyBytesMax) return false;
        this.#addressBytes.set(shareKey, shareBytes);
      }
      this.#unprovedBytes += bytes;
    }
    this.#bodyBytes += bytes;
    request.bodyBytes += bytes;
    return true;
  }

  /** The request's body is no longer in memory. */
  letGo(request: Burden): void {
    const { bodyBytes, shareKey } = request;
    if (bodyBytes === 0) return;
    request.bodyBytes = 0;
    this.#bodyBytes -= bodyBytes;
    if (request.proved) return;
    this.#unprovedBytes -= bodyBytes;
    if (shareKey === undefined) return;
    const shareBytes = (this.#addressBytes.get(shareKey) ?? 0) - bodyBytes;
    if (shareBytes > 0) this.#addressBytes.set(shareKey, shareBytes);
    else this.#addressBytes.delete(shareKey);
  }

  /** Takes note of how late a timer fired. */
  sample(lateMs: number): void {
    this.#delayMs += (Math.max(0, lateMs) - this.#delayMs) * sampleWeight;
  }

  /** Whether the request that has just entered is one too many. */
  get overloaded(): boolean {
    return this.#working > this.#bounds.inFlightMax || this.#delayMs > this.#bounds.loopDelayMaxMs;
  }

  /** Resolves when every request has its answer. One caller at a time. */
  idle(): Promise<void> {
    if (this.#open === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
    });
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
