import { randomUUID } from "node:crypto";
import { createAccessTokens } from "../../../src/access/access-tokens.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import type { Prng } from "../prng.ts";
import type { Bounds } from "./bounds.ts";
import type { Device } from "./device.ts";
import type { Ledger } from "./ledger.ts";
import { SdkDevice } from "./sdk-device.ts";
import { SeedDevice } from "./seed-device.ts";

/** Of twenty people one wants quiet hours at times, and one a digest: a tenth of all. */
const wishers = { of: 20, quiet: 3, digest: 7 } as const;

export type Person = {
  readonly id: number;
  readonly token: () => Promise<string>;
  /** What they ask for at times. */
  readonly wants: "quiet" | "digest" | undefined;
  readonly seed: SeedDevice;
  readonly sdk: SdkDevice;
};

export type PeopleDeps = {
  readonly port: number;
  readonly secret: string;
  readonly ledger: Ledger;
  readonly bounds: Bounds;
  readonly prng: Prng;
};

/** People with two devices each: one in the seed's form, one with the client. */
export function makePeople(
  rows: readonly { readonly id: number; readonly username: string }[],
  { secret, prng, ...shared }: PeopleDeps,
): readonly Person[] {
  const tokens = createAccessTokens(secret, systemClock);
  return rows.map(({ id, username }, i): Person => {
    const token = (): Promise<string> => tokens.issue({ id, username, role: "user" }, randomUUID());
    const devices: Device[] = [];
    const options = { ...shared, userId: id, token, devices };
    const seed = new SeedDevice({ ...options, prng: prng.fork() });
    const sdk = new SdkDevice({ ...options, prng: prng.fork() });
    devices.push(seed, sdk);
    const nth = i % wishers.of;
    const wants = nth === wishers.quiet ? "quiet" : nth === wishers.digest ? "digest" : undefined;
    shared.ledger.add(id, { hasDigests: wants === "digest" });
    return { id, token, wants, seed, sdk };
  });
}
