import { quantile } from "../harness/spread.ts";
import { Connection } from "./connection.ts";
import type { Load, LoadResult } from "./load.ts";
import type { WebhookRequests } from "./webhook-requests.ts";

const tickMs = 1;
const stuckMs = 30_000;

/**
 * One measurement. Closed loop: every connection sends its next request on the answer to the last, until time is up.
 * Open loop: requests are due by the clock, wait when no connection is free, and are measured from when they were
 * due. Both wait for what is on its way.
 */
export class LoadRun {
  readonly #requests: WebhookRequests;
  readonly #load: Load;
  readonly #onAccepted: (number: number) => void;
  /** Where among the prepared requests this measurement begins. */
  readonly #first: number;
  readonly #total: number;
  readonly #latencies: number[] = [];
  readonly #failures: Record<string, number> = {};
  #free: Connection[] = [];
  #next = 0;
  #answered = 0;
  #accepted = 0;
  #startedAt = 0;
  #finish: (() => void) | undefined;

  constructor(requests: WebhookRequests, load: Load, onAccepted: (number: number) => void) {
    this.#requests = requests;
    this.#load = load;
    this.#onAccepted = onAccepted;
    const { perSecond, forMs, repeat } = load;
    const wanted =
      perSecond === undefined ? Number.POSITIVE_INFINITY : Math.floor((perSecond * forMs) / 1_000);
    this.#first = repeat ? 0 : requests.used;
    this.#total = repeat ? wanted : Math.min(wanted, requests.count - this.#first);
  }

  async run(): Promise<LoadResult> {
    const connections = Array.from(
      { length: this.#load.connections },
      () => new Connection(this.#load.port, { onAnswer: (...answer) => this.#onAnswer(...answer) }),
    );
    this.#free = [...connections];
    this.#startedAt = performance.now();
    let stuck: NodeJS.Timeout | undefined;
    const finished = new Promise<void>((resolve, reject) => {
      this.#finish = resolve;
      stuck = setTimeout(
        () => reject(new Error(this.#whatIsMissing(connections))),
        this.#load.forMs + stuckMs,
      );
    });
    const ticking = setInterval(() => this.#send(), tickMs);
    this.#send();
    try {
      await finished;
    } finally {
      clearTimeout(stuck);
      clearInterval(ticking);
      for (const connection of connections) connection.close();
    }
    if (!this.#load.repeat) this.#requests.used += this.#next;
    const seconds = (performance.now() - this.#startedAt) / 1_000;
    const sorted = Float64Array.from(this.#latencies).sort();
    return {
      accepted: this.#accepted,
      failures: this.#failures,
      perSecond: this.#accepted / seconds,
      p50: quantile(sorted, 0.5),
      p99: quantile(sorted, 0.99),
      max: quantile(sorted, 1),
    };
  }

  #whatIsMissing(connections: readonly Connection[]): string {
    const waiting = connections.filter((connection) => connection.waiting);
    const sinceMs = waiting.map(({ startedAt }) => Math.round(performance.now() - startedAt));
    const heard = waiting.map(({ heard: text }) => JSON.stringify(text));
    return `answers are missing: ${this.#answered} of ${this.#next} came, ${this.#total} were due; for ${sinceMs.join(", ")} ms on connections that heard ${heard.join(", ")}`;
  }

  /** Gives free connections what is due. */
  #send(): void {
    const now = performance.now();
    while (this.#free.length > 0) {
      const dueAt = this.#dueAt(now);
      if (dueAt === undefined || dueAt > now) break;
      const connection = this.#free.pop();
      if (connection === undefined) break;
      connection.place = (this.#first + this.#next++) % this.#requests.count;
      connection.startedAt = dueAt;
      connection.send(this.#requests.at(connection.place));
    }
    if (this.#answered === this.#next && this.#dueAt(now) === undefined) this.#finish?.();
  }

  /** When the next request is due; undefined when there is none any more. */
  #dueAt(now: number): number | undefined {
    if (this.#next >= this.#total) return undefined;
    const { perSecond, forMs } = this.#load;
    if (perSecond !== undefined) return this.#startedAt + (this.#next * 1_000) / perSecond;
    return now - this.#startedAt < forMs ? now : undefined;
  }

  #onAnswer(connection: Connection, status: number | "lost"): void {
    this.#answered++;
    this.#latencies.push(performance.now() - connection.startedAt);
    if (status === 202) {
      this.#accepted++;
      if (!this.#load.repeat) this.#onAccepted(this.#requests.numberAt(connection.place));
    } else this.#failures[status] = (this.#failures[status] ?? 0) + 1;
    this.#free.push(connection);
    this.#send();
  }
}
