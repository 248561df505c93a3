/**
 * A map of at most `max` keys that forgets those that were not used for the longest time. It keeps two generations:
 * keys that are used move to the young one, and when that is full it becomes the old one and the old one is forgotten,
 * half of all at a time. A hit on a young key costs one look-up and moves nothing.
 */
export class Lru<K, V> {
  readonly #generationMax: number;
  /** One key alone leaves no room for an old one beside it. */
  readonly #keepsOld: boolean;
  #young = new Map<K, V>();
  #old = new Map<K, V>();

  constructor(max: number) {
    this.#generationMax = Math.max(1, Math.floor(max / 2));
    this.#keepsOld = max >= 2;
  }

  /** Keys that are remembered, never more than `max`. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: K): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.#old.delete(key);
    this.#add(key, old);
    return old;
  }

  set(key: K, value: V): void {
    if (this.#old.size > 0) this.#old.delete(key);
    this.#add(key, value);
  }

  delete(key: K): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }

  #add(key: K, value: V): void {
    if (this.#young.size >= this.#generationMax && !this.#young.has(key)) {
      if (this.#keepsOld) this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }
}
