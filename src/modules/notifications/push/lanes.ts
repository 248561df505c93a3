import type { PushServices } from "./services.ts";

/** Calls that are on their way at the same time; */
export const lanesMax = 64;
/** of them for one person. */
export const personLanesMax = 8;
/** What waits for one person, or for a push service that is slow; one more is put off. */
export const crowdMax = 160;
/** How long a push waits for a lane, milliseconds: of a push service that is quick, and of any other. */
export const waitMaxMs = 20_000;
export const slowWaitMaxMs = 5_000;

/** A call that is to be made, of whose push service and for whom. */
export type Errand = { readonly origin: string; readonly userId: number };

type Services = Pick<PushServices, "lanesOf" | "isSlow" | "isQuick" | "isResting" | "late">;

type Waiting<E> = { readonly errand: E; readonly sinceMs: number };

/**
 * Who is called next. The oldest first, but no push service and no person has all lanes: one that never answers would keep
 * all others waiting. `now`: milliseconds of a clock that only grows.
 */
export class Lanes<E extends Errand> {
  readonly #services: Services;
  readonly #now: () => number;
  #waiting: Waiting<E>[] = [];
  readonly #crowd = new Tally();
  readonly #busy = new Tally();
  readonly #ends = new Set<Promise<void>>();

  constructor(services: Services, now: () => number = () => performance.now()) {
    this.#services = services;
    this.#now = now;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Each resolves when a call that is on its way has ended. */
  get ends(): ReadonlySet<Promise<void>> {
    return this.#ends;
  }

  /** False where too many wait already. */
  add(errand: E): boolean {
    const { origin, userId } = errand;
    if (this.#crowd.of(userId) >= crowdMax) return false;
    if (this.#services.isSlow(origin) && this.#crowd.of(origin) >= crowdMax) return false;
    this.#crowd.add(errand, 1);
    this.#waiting.push({ errand, sinceMs: this.#now() });
    return true;
  }

  /** Starts what may start, now and whenever a lane becomes free, until the signal is aborted. `work` never rejects. */
  start(work: (errand: E) => Promise<void>, signal: AbortSignal): void {
    this.#takeOut(({ errand }) => {
      if (signal.aborted || !this.#hasLane(errand)) return false;
      this.#busy.add(errand, 1);
      const end = work(errand).then(() => {
        this.#busy.add(errand, -1);
        this.#ends.delete(end);
        this.start(work, signal);
      });
      this.#ends.add(end);
      return true;
    });
  }

  /** Takes out what has waited for too long, and what its push service does not come to for now. */
  late(): readonly E[] {
    const services = this.#services;
    return this.#takeOut(({ errand: { origin }, sinceMs }) => {
      if (services.isResting(origin)) return true;
      const waitedMs = this.#now() - sinceMs;
      if (waitedMs < (services.isQuick(origin) ? waitMaxMs : slowWaitMaxMs)) return false;
      if (this.#busy.of(origin) >= services.lanesOf(origin)) services.late(origin);
      return true;
    });
  }

  /** Takes out all that waits. */
  clear(): readonly E[] {
    return this.#takeOut(() => true);
  }

  #hasLane({ origin, userId }: E): boolean {
    return (
      this.#ends.size < lanesMax &&
      this.#busy.of(userId) < personLanesMax &&
      this.#busy.of(origin) < this.#services.lanesOf(origin)
    );
  }

  #takeOut(isOut: (waiting: Waiting<E>) => boolean): readonly E[] {
    const out: E[] = [];
    this.#waiting = this.#waiting.filter((one) => {
      if (!isOut(one)) return true;
      this.#crowd.add(one.errand, -1);
      out.push(one.errand);
      return false;
    });
    return out;
  }
}

/** How many there are of each person and of each push service. */
class Tally {
  readonly #counts = new Map<string | number, number>();

  of(key: string | number): number {
    return this.#counts.get(key) ?? 0;
  }

  add({ origin, userId }: Errand, change: number): void {
    for (const key of [origin, userId]) {
      const count = this.of(key) + change;
      if (count === 0) this.#counts.delete(key);
      else this.#counts.set(key, count);
    }
  }
}
