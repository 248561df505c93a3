import { setTimeout as sleep } from "node:timers/promises";
import { type Load, placeOf } from "../gateway/load.ts";
import { markedContent } from "../gateway/messages.ts";
import { quantile } from "../harness/spread.ts";
import type { Lane, SendLoad, SendResult } from "./send-load.ts";

/** `ids`: the rooms or people to whom messages go in turn. */
type RunLoad = Pick<Load, "ids"> & Pick<SendLoad, "forMs" | "perSecond">;

/**
 * Sends messages to rooms or people in turn. Closed loop: each lane sends its next one on the answer. Open loop: messages are
 * due by the clock, wait when no lane is free, and carry the moment at which they were due.
 */
export class SendRun {
  readonly #load: RunLoad;
  readonly #latencies: number[] = [];
  readonly #startedAt = performance.now();
  readonly #startedNs = process.hrtime.bigint();
  #next = 0;
  #failed = 0;

  constructor(load: RunLoad) {
    this.#load = load;
  }

  async run(lanes: readonly Lane[]): Promise<SendResult> {
    await Promise.all(lanes.map((lane) => this.#serve(lane)));
    const seconds = (performance.now() - this.#startedAt) / 1_000;
    const sorted = Float64Array.from(this.#latencies).sort();
    return {
      accepted: sorted.length,
      failed: this.#failed,
      perSecond: sorted.length / seconds,
      p50: quantile(sorted, 0.5),
      p99: quantile(sorted, 0.99),
    };
  }

  async #serve(lane: Lane): Promise<void> {
    const { forMs, perSecond } = this.#load;
    for (;;) {
      const index = this.#next++;
      const dueMs = perSecond === undefined ? this.#passedMs() : (index * 1_000) / perSecond;
      if (dueMs >= forMs) return;
      const earlyMs = dueMs - this.#passedMs();
      if (earlyMs > 0) await sleep(earlyMs);
      const { id, number } = placeOf(this.#load, index);
      const dueNs = this.#startedNs + BigInt(Math.round(dueMs * 1_000_000));
      const accepted = await lane.send(id, markedContent(id, number, dueNs));
      if (accepted) this.#latencies.push(this.#passedMs() - dueMs);
      else this.#failed++;
    }
  }

  #passedMs(): number {
    return performance.now() - this.#startedAt;
  }
}
