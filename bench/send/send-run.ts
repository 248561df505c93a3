import { setTimeout as sleep } from "node:timers/promises";
import { markedContent } from "../gateway/messages.ts";
import { quantile } from "../harness/spread.ts";
import type { Lane, SendLoad, SendResult } from "./send-load.ts";

/**
 * Sends messages into the rooms in turn. Closed loop: each lane sends its next one on the answer. Open loop: messages are
 * due by the clock, wait when no lane is free, and carry the moment at which they were due.
 */
export class SendRun {
  readonly #load: SendLoad;
  readonly #latencies: number[] = [];
  readonly #startedAt = performance.now();
  readonly #startedNs = process.hrtime.bigint();
  #next = 0;
  #failed = 0;

  constructor(load: SendLoad) {
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
    const { forMs, perSecond, roomIds } = this.#load;
    for (;;) {
      const number = this.#next++;
      const dueMs = perSecond === undefined ? this.#passedMs() : (number * 1_000) / perSecond;
      if (dueMs >= forMs) return;
      const earlyMs = dueMs - this.#passedMs();
      if (earlyMs > 0) await sleep(earlyMs);
      const roomId = roomIds[number % roomIds.length] ?? 0;
      const dueNs = this.#startedNs + BigInt(Math.round(dueMs * 1_000_000));
      const accepted = await lane.send(roomId, markedContent(roomId, number, dueNs));
      if (accepted) this.#latencies.push(this.#passedMs() - dueMs);
      else this.#failed++;
    }
  }

  #passedMs(): number {
    return performance.now() - this.#startedAt;
  }
}
