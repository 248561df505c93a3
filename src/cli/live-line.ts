/** Seconds with one decimal: `0.8 s`. */
export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

const redrawEveryMs = 100;
const clearLine = "\r\u001b[2K";

/** The last line of a terminal while something is under way: its text and the time it has taken, redrawn as it grows. */
export class LiveLine {
  readonly #stream: { write(text: string): unknown };
  #text: string | undefined;
  #begunAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(stream: { write(text: string): unknown }) {
    this.#stream = stream;
  }

  begin(text: string): void {
    this.#text = text;
    this.#begunAt = performance.now();
    this.#timer = setInterval(() => this.show(), redrawEveryMs).unref();
    this.show();
  }

  /** Draws the line again, if there is one. */
  show(): void {
    if (this.#text === undefined) return;
    this.#stream.write(`${clearLine}${this.#text} … ${seconds(performance.now() - this.#begunAt)}`);
  }

  /** Frees the line for something else; `show` brings it back. */
  hide(): void {
    if (this.#text !== undefined) this.#stream.write(clearLine);
  }

  /** Leaves the line as it is now and goes to the next. */
  end(): void {
    if (this.#text === undefined) return;
    this.show();
    clearInterval(this.#timer);
    this.#text = undefined;
    this.#stream.write("\n");
  }
}
