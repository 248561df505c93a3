import type { Clock } from "../lib/clock.ts";

/** How long an answer, found or not found, may be given again. A revoked key works at most this long. */
export const cacheMs = 2_000;
const cacheEntriesMax = 10_000;

type Slot<T> = { readonly askedAt: number; readonly answer: Promise<T> };

/**
 * Answers of the last 2 s, at most 10,000 of them, the least recently used leaving first. It holds promises, so that
 * one look-up serves everybody who asks while it is under way. An answer counts from the moment it was asked for,
 * not from its arrival: a slow look-up may have read the table before a key was revoked.
 */
export class AnswerCache<T> {
  readonly #slots = new Map<string, Slot<T>>();
  readonly #clock: Clock;
  readonly #entriesMax: number;

  constructor(clock: Clock, entriesMax = cacheEntriesMax) {
    this.#clock = clock;
    this.#entriesMax = entriesMax;
  }

  get size(): number {
    return this.#slots.size;
  }

  /** The answer under `name`, asked for anew when there is none that is fresh. A failed look-up is not kept. */
  get(name: string, ask: () => Promise<T>): Promise<T> {
    const now = this.#clock.now();
    const known = this.#slots.get(name);
    this.#slots.delete(name);
    if (known !== undefined && isFresh(known, now)) {
      this.#slots.set(name, known);
      return known.answer;
    }
    const slot: Slot<T> = { askedAt: now, answer: ask() };
    this.#slots.set(name, slot);
    this.#dropOldest();
    slot.answer.catch(() => {
      if (this.#slots.get(name) === slot) this.#slots.delete(name);
    });
    return slot.answer;
  }

  delete(name: string): void {
    this.#slots.delete(name);
  }

  #dropOldest(): void {
    for (const name of this.#slots.keys()) {
      if (this.#slots.size <= this.#entriesMax) return;
      this.#slots.delete(name);
    }
  }
}

/** A clock that was set back makes every answer stale rather than immortal. */
function isFresh(slot: Slot<unknown>, now: number): boolean {
  const age = now - slot.askedAt;
  return age >= 0 && age < cacheMs;
}
