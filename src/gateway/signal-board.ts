import type { Signal } from "./signals.ts";
import type { Channel } from "./channel.ts";
import { frameOf } from "./frames.ts";

/** Signals of one topic, name and key are told at most this often, milliseconds: the newest then. */
export const signalEveryMs = 100;
/** Signals that wait for their time; beyond it new ones are dropped, as signals may be. */
export const pendingSignalsMax = 10_000;

/** Passes signals on to those who read their topic: the first at once, then the newest of each key every 100 ms. */
export class SignalBoard {
  readonly #channelsOf: (topic: string) => readonly Channel[];
  readonly #pending = new Map<string, Signal>();
  /** What was told within the last window. */
  #told = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(channelsOf: (topic: string) => readonly Channel[]) {
    this.#channelsOf = channelsOf;
  }

  post(signal: Signal): void {
    const { topic, name, key } = signal;
    if (this.#channelsOf(topic).length === 0) return;
    const place = JSON.stringify([topic, name, key]);
    if (this.#told.has(place) || this.#pending.has(place)) {
      if (this.#pending.has(place) || this.#pending.size < pendingSignalsMax)
        this.#pending.set(place, signal);
      return;
    }
    this.#tell(place, signal);
    this.#timer ??= setTimeout(() => this.turn(), signalEveryMs);
  }

  /** A window has ended: tells what has waited in it. */
  turn(): void {
    this.#timer = undefined;
    const waiting = [...this.#pending];
    this.#pending.clear();
    this.#told = new Set();
    for (const [place, signal] of waiting) this.#tell(place, signal);
    if (waiting.length > 0) this.#timer = setTimeout(() => this.turn(), signalEveryMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #tell(place: string, { topic, name, key, data }: Signal): void {
    if (this.#told.size < pendingSignalsMax) this.#told.add(place);
    const frame = frameOf({ type: "signal", topic, name, key, data });
    for (const channel of this.#channelsOf(topic)) {
      const bytes = channel.encoding.frame(frame);
      if (bytes === undefined) continue;
      // Nobody who waits for what was missed is told what is true now; the next signal will reach them.
      for (const { reader, loading } of channel.subscriptions) if (!loading) reader.signal(place, bytes);
    }
  }
}
