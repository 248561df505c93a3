import { uuidv7 } from "../../protocol/ids.ts";
import { type Entry, type EventLog, jsonText } from "../eventlog/eventlog.ts";
import { partitionOf } from "../eventlog/murmur2.ts";
import type { Logger } from "../lib/logger.ts";

/** How often delivery is tried out, milliseconds. */
export const probeEveryMs = 30_000;
/** How long an entry may take through the whole path before delivery counts as broken, milliseconds. */
export const probeTimeoutMs = 5_000;
export const probeType = "gateway.probe";

/**
 * Proves that entries arrive, since a connection that stands proves nothing: appends one every 30 s, to each partition in
 * turn, and waits for it to come back through the tail.
 */
export class Probe {
  readonly #eventlog: Pick<EventLog, "append" | "partitions">;
  readonly #log: Logger;
  readonly #topics: readonly string[];
  readonly #timer: NodeJS.Timeout;
  readonly #node: string;
  #next = 0;
  #waiting: { readonly id: string; readonly sentAtMs: number; readonly timeout: NodeJS.Timeout } | undefined;
  #lastMs: number | undefined;
  #failed = false;

  constructor(eventlog: Pick<EventLog, "append" | "partitions">, log: Logger, node: string) {
    this.#eventlog = eventlog;
    this.#log = log;
    this.#node = node;
    this.#topics = topicsOf(node, eventlog.partitions);
    this.#timer = setInterval(() => void this.send(), probeEveryMs);
  }

  /** False once an entry has not come back in time, until one does. */
  get ok(): boolean {
    return !this.#failed;
  }

  /** How long the last entry took, milliseconds; undefined before the first has come back. */
  get lastMs(): number | undefined {
    return this.#lastMs;
  }

  async send(): Promise<void> {
    if (this.#waiting !== undefined) return;
    const id = uuidv7();
    const timeout = setTimeout(() => this.#fail(), probeTimeoutMs);
    this.#waiting = { id, sentAtMs: performance.now(), timeout };
    const topic = this.#topics[this.#next++ % this.#topics.length] ?? "";
    try {
      await this.#eventlog.append([
        { id, topic, type: probeType, actor: "system", data: jsonText({ node: this.#node }) },
      ]);
    } catch (error) {
      this.#log.debug({ err: error }, "the probe's entry could not be appended");
    }
  }

  /** Shows the probe what the tail has read. */
  see({ id }: Entry): void {
    const waiting = this.#waiting;
    if (waiting?.id !== id) return;
    clearTimeout(waiting.timeout);
    this.#waiting = undefined;
    this.#lastMs = performance.now() - waiting.sentAtMs;
    if (this.#failed) this.#log.info({ ms: Math.round(this.#lastMs) }, "entries arrive again");
    this.#failed = false;
  }

  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#waiting?.timeout);
  }

  #fail(): void {
    this.#waiting = undefined;
    if (!this.#failed) this.#log.error("an entry that was appended did not arrive: pushes are late or lost");
    this.#failed = true;
  }
}

/** A topic in each partition. */
function topicsOf(node: string, partitions: number): readonly string[] {
  const topics = new Map<number, string>();
  for (let i = 0; topics.size < partitions; i++) {
    const topic = `gateway/${node}/${i}`;
    const partition = partitionOf(topic, partitions);
    if (!topics.has(partition)) topics.set(partition, topic);
  }
  return [...topics.values()];
}
