/** What is watched for signals: `process`, or an emitter of a test. */
export type SignalSource = {
  on(signal: StopSignal, listener: () => void): unknown;
  off(signal: StopSignal, listener: () => void): unknown;
};

const stopSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
type StopSignal = (typeof stopSignals)[number];

/** `npm start` passes on the Ctrl-C that the terminal has already sent: both are one press. */
const samePressMs = 500;
export const stopWithinMs = 10_000;

export type Stopping = Disposable & {
  /** Resolves when someone wants the server to end. */
  readonly requested: Promise<void>;
  /** Aborted at the same moment, for what is still under way. */
  readonly signal: AbortSignal;
};

/**
 * Turns signals into an orderly end. The first one resolves `requested`; from then on the server has 10 s, after
 * which the process ends with code 1 and a line that says what held it up. Ctrl-C once more ends it at once.
 */
export function watchStopSignals(io: {
  readonly signals: SignalSource;
  readonly announce: (text: string) => void;
  /** Whether anything can have been accepted that is to be finished. */
  readonly accepting: () => boolean;
  readonly exit: (code: number) => void;
  /** What is still open, in words. */
  readonly whatHangs: () => string;
  /** Milliseconds that only grow. */
  readonly now?: () => number;
}): Stopping {
  const now = io.now ?? (() => performance.now());
  const requested = Promise.withResolvers<void>();
  const wanted = new AbortController();
  let requestedAt: number | undefined;
  let watchdog: NodeJS.Timeout | undefined;

  function stop(advice: string): void {
    requestedAt = now();
    io.announce(`stopping${io.accepting() ? ": finishing what was accepted" : ""}…${advice}`);
    // It must not keep a process alive that has nothing left to do.
    watchdog = setTimeout(() => {
      io.announce(`stopping took longer than ${stopWithinMs / 1_000} s: ${io.whatHangs()}`);
      io.exit(1);
    }, stopWithinMs).unref();
    requested.resolve();
    wanted.abort();
  }

  const listeners: Readonly<Record<StopSignal, () => void>> = {
    SIGINT: () => {
      if (requestedAt === undefined) stop(" press Ctrl-C again to end at once");
      else if (now() - requestedAt >= samePressMs) io.exit(130);
    },
    SIGTERM: () => {
      if (requestedAt === undefined) stop("");
    },
    SIGHUP: () => {
      if (requestedAt === undefined) stop("");
    },
  };
  for (const signal of stopSignals) io.signals.on(signal, listeners[signal]);

  return {
    requested: requested.promise,
    signal: wanted.signal,
    [Symbol.dispose]: () => {
      clearTimeout(watchdog);
      for (const signal of stopSignals) io.signals.off(signal, listeners[signal]);
    },
  };
}

/** `3 TCPSocketWrap, 1 Timeout`: what keeps this process alive, as Node names it. */
export function openResources(): string {
  const counts = new Map<string, number>();
  for (const name of process.getActiveResourcesInfo()) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} ${name}`).join(", ") || "nothing that Node knows of";
}
