/** How long a push is put off for which there is no room, milliseconds: the first of them, ... */
export const putOffMs = 10_000;
/** ... each further one by so much more, as a push service that is slow comes to them, ... */
const putOffMoreMs = 125;
/** ... and no longer. */
export const putOffMaxMs = 300_000;

/** When to look again at what there is no room for, so that it is not looked at over and over: a queue for each key. */
export class PutOff {
  readonly #counts = new Map<string | number, number>();

  untilMs(key: string | number, nowMs: number): number {
    const count = this.#counts.get(key) ?? 0;
    this.#counts.set(key, count + 1);
    return nowMs + Math.min(putOffMs + count * putOffMoreMs, putOffMaxMs);
  }
}
