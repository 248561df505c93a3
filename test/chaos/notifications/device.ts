import type { Prng } from "../prng.ts";
import { pause } from "../../../src/lib/backoff.ts";
import type { Bounds } from "./bounds.ts";
import type { Ledger, Told } from "./ledger.ts";

/** A device of a person, whatever it speaks. */
export type Device = {
  /** Lives until `stop`: is cut off and comes back. Resolves when it is connected, or will not be any more. */
  run(stop: AbortSignal): Promise<void>;
  /** Says that something is read, if it can. */
  read(id: string): void;
  /** What is not as it must be though nothing has disturbed it for long enough, in sentences. */
  overdue(): readonly string[];
  close(): Promise<void>;
};

export type DeviceOptions = {
  readonly port: number;
  readonly userId: number;
  readonly token: () => Promise<string>;
  readonly ledger: Ledger;
  readonly bounds: Bounds;
  readonly prng: Prng;
  /** All devices of the person, this one too: who reads what it hears. */
  readonly devices: readonly Device[];
};

const readShare = { own: 0.5, shared: 0.3 } as const;
/** What everybody hears at once is not read by everybody at once. */
const readAfterMaxMs = { own: 300, shared: 3_000 } as const;
/** More are not kept: enough for a median and a tail. */
const waitsMax = 2_000_000;

/** Somebody has heard something new on one of the devices, and may read it on any. */
export function readSometimes({ devices, prng }: DeviceOptions, { id, kind }: Told): void {
  const whose = kind === "shared" ? "shared" : "own";
  if (devices.length === 0 || !prng.chance(readShare[whose])) return;
  const readers = prng.shuffled(devices).slice(0, prng.between(1, devices.length));
  void pause(prng.between(0, readAfterMaxMs[whose])).then(() => {
    for (const device of readers) device.read(id);
  });
}

/** Notes how long a device that was connected since `sinceMs` has waited for something. */
export function noteWait({ waits, disturbedMs }: Ledger, { dueMs }: Told, sinceMs: number): void {
  const fromMs = Math.max(dueMs, sinceMs, disturbedMs);
  if (fromMs < Infinity && waits.length < waitsMax) waits.push(Math.max(0, performance.now() - fromMs));
}
