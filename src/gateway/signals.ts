/**
 * What is true for a moment only: who types, who is there. Signals never enter the log; of one topic, name and key
 * only the newest counts, and whoever was away has missed nothing.
 */
export type Signal = {
  readonly topic: string;
  /** What it is: `typing`, `presence`. */
  readonly name: string;
  /** Of what or whom: the newest signal of one topic, name and key replaces the ones before. */
  readonly key: string;
  /** Something JSON can hold. */
  readonly data: unknown;
};

/** What a signal may have as JSON, bytes; a driver may drop larger ones. */
export const signalBytesMax = 7_800;

/** Carries signals to every process. At most once: a signal may be lost, and is not repeated. */
export type Signals = {
  /** Never throws and never waits; what cannot be sent is dropped. */
  send(signal: Signal): void;
  /** Calls `listener` with every signal of any process, this one's too. Returns the function that ends it. */
  onSignal(listener: (signal: Signal) => void): () => void;
  close(): Promise<void>;
};

/** Signals within this process. */
export function createLocalSignals(): Signals {
  const listeners = new Set<(signal: Signal) => void>();
  return {
    send: (signal) => {
      for (const listener of listeners) listener(signal);
    },
    onSignal: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => {
      listeners.clear();
      return Promise.resolve();
    },
  };
}
