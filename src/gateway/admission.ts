import type { Clock } from "../lib/clock.ts";
import { type BucketRate, type Buckets, createBuckets } from "../lib/token-bucket.ts";

export type AdmissionRules = {
  /** Open connections of one address. */
  readonly perAddressMax: number;
  /** Open connections of one person or key. */
  readonly perActorMax: number;
  /** Handshakes of one address. */
  readonly handshakes: BucketRate;
};

/** Addresses whose handshakes are remembered. */
export const addressesMax = 50_000;

/** Counts who is connected. Places are given back by the function that took them. */
export class Admission {
  readonly #rules: AdmissionRules;
  readonly #handshakes: Buckets;
  readonly #byAddress = new Map<string, number>();
  readonly #byActor = new Map<string, number>();

  constructor(rules: AdmissionRules, clock: Clock) {
    this.#rules = rules;
    this.#handshakes = createBuckets({ rate: rules.handshakes, keysMax: addressesMax, clock });
  }

  /** Seconds after which the address may knock again; 0 when it may now. */
  knock(address: string): number {
    return this.#handshakes.take(address).retryAfterS;
  }

  /** Whether the address has a place left. */
  hasPlace(address: string): boolean {
    return (this.#byAddress.get(address) ?? 0) < this.#rules.perAddressMax;
  }

  /** Takes a place of the address; false when it has none left. */
  enterAddress(address: string): boolean {
    return enter(this.#byAddress, address, this.#rules.perAddressMax);
  }

  leaveAddress(address: string): void {
    leave(this.#byAddress, address);
  }

  /** Takes a place of the actor, by the name that entries give it; false when it has none left. */
  enterActor(actor: string): boolean {
    return enter(this.#byActor, actor, this.#rules.perActorMax);
  }

  leaveActor(actor: string): void {
    leave(this.#byActor, actor);
  }

  get addresses(): number {
    return this.#byAddress.size;
  }

  get actors(): number {
    return this.#byActor.size;
  }
}

function enter(counts: Map<string, number>, key: string, max: number): boolean {
  const count = counts.get(key) ?? 0;
  if (count >= max) return false;
  counts.set(key, count + 1);
  return true;
}

function leave(counts: Map<string, number>, key: string): void {
  const count = counts.get(key) ?? 0;
  if (count <= 1) counts.delete(key);
  else counts.set(key, count - 1);
}
