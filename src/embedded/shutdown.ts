/** Something that can be asked to stop and seen to be gone. */
export type Stoppable = {
  send(signal: "INT" | "QUIT"): void;
  goneWithin(ms: number): Promise<boolean>;
};

/** Fast shutdown: sessions are ended and a checkpoint is written. */
const fastShutdownMs = 20_000;
/** Immediate shutdown: the next start recovers from the write-ahead log. */
const immediateShutdownMs = 10_000;
/** A signal that arrives before postgres has set its handlers is lost; a repeated one changes nothing. */
const repeatMs = 1_000;

/** Stops a postmaster, by force if need be. */
export async function bringDown(target: Stoppable): Promise<void> {
  if (await insist(target, "INT", fastShutdownMs)) return;
  if (await insist(target, "QUIT", immediateShutdownMs)) return;
  const seconds = (fastShutdownMs + immediateShutdownMs) / 1_000;
  throw new Error(`PostgreSQL did not stop within ${seconds} seconds`);
}

async function insist(target: Stoppable, signal: "INT" | "QUIT", forMs: number): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < forMs; waitedMs += repeatMs) {
    target.send(signal);
    if (await target.goneWithin(repeatMs)) return true;
  }
  return false;
}
