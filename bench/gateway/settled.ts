import { setTimeout as sleep } from "node:timers/promises";
import type { Sink, SinkCheck } from "../sink/sink.ts";

const lookEveryMs = 50;
const arrivalMaxMs = 30_000;

/** What the sockets have got, once they have all up to the last number, or once it is too late for that. */
export async function settled(
  sink: Sink,
  lasts: ReadonlyMap<number, number>,
  withinMs = arrivalMaxMs,
): Promise<SinkCheck> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const check = await sink.check(lasts);
    const done = check.behind === 0 && (check.gaps === 0 || check.duplicates > 0);
    if (done || performance.now() > deadline) return check;
    await sleep(lookEveryMs);
  }
}
