/** Work of one key is done one after the other, in the order in which it was asked for; keys do not wait for each other. */
export class Lines<Key extends object> {
  readonly #last = new WeakMap<Key, Promise<void>>();

  /** Resolves and rejects as the work does. Begun at once when nothing of the key is under way. */
  add<T>(key: Key, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key);
    const done = before === undefined ? work() : before.then(work);
    const ended = done.then(ignore, ignore).then(() => {
      if (this.#last.get(key) === ended) this.#last.delete(key);
    });
    this.#last.set(key, ended);
    return done;
  }
}

function ignore(): void {
  // What became of it is for whoever asked.
}
