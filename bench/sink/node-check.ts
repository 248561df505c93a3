/** Counts what is wrong in the numbers that come. */
export class Totals {
  duplicates = 0;
  disordered = 0;
  skipped = 0;
  limited = 0;
  stray = 0;
}

/** The numbers that one socket has got: 1, 2, 3, … is right. One that comes late fills its gap and is out of order. */
export class Numbers {
  last = 0;
  /** It was told that it missed something: the next number counts as the first. */
  rebase = false;
  readonly #totals: Totals;
  readonly #absent = new Set<number>();

  constructor(totals: Totals) {
    this.#totals = totals;
  }

  get missing(): number {
    return this.#absent.size;
  }

  take(number: number): void {
    if (this.rebase && number > this.last) {
      this.#totals.skipped += number - this.last - 1;
      this.last = number - 1;
      this.rebase = false;
    }
    if (number > this.last) {
      for (let absent = this.last + 1; absent < number; absent++) this.#absent.add(absent);
      this.last = number;
    } else if (this.#absent.delete(number)) this.#totals.disordered++;
    else this.#totals.duplicates++;
  }
}
