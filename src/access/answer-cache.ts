import type { Clock } from "../lib/clock.ts";

type Slot<T> = { readonly askedAt: number; readonly answer: Promise<T> };

/**
 * Answers of the last `keepMs`, at most `entriesMax` of them, the least recently used leaving first. It holds promises,
 * so that one look-up serves everybody who asks while it is under way. An answer counts from the moment it was asked
 * for, not from its arrival: a slow look-up may have read the table before a key was revoked.
 */
export class AnswerCache<T> {
  readonly #slots = new Map<string, Slot<T>>();
  readonly #clock: Clock;
  readonly #keepMs: number;
  readonly #entriesMax: number;

  constructor(
    clock: Clock,
    { keepMs, entriesMax }: { readonly keepMs: number; readonly entriesMax: number },
  ) {
    this.#clock = clock;
    this.#keepMs = keepMs;
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
    if (known !== undefined && this.#isFresh(known, now)) {
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

  /** With an answer, only while that is the one that is kept. */
  delete(name: string, answer?: Promise<T>): void {
    if (answer === undefined || this.#slots.get(name)?.answer === answer) this.#slots.delete(name);
  }

  /** Forgets all; what is being looked up still reaches those who have asked. */
  clear(): void {
    this.#slots.clear();
  }

  #dropOldest(): void {
    for (const name of this.#slots.keys()) {
      if (this.#slots.size <= this.#entriesMax) return;
      this.#slots.delete(name);
    }
  }

  /** A clock that was set back makes every answer stale rather than immortal. */
  #isFresh(slot: Slot<unknown>, now: number): boolean {
    const age = now - slot.askedAt;
    return age >= 0 && age < this.#keepMs;
  }
}
