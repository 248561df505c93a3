import { backoffMs, repeatBackoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { TidingsError } from "./errors.ts";

type Pause = {
  readonly attempt: number;
  readonly until: number;
  /** The server has asked for it. */
  readonly asked: boolean;
  /** Answers in a row that were not the server's own. */
  readonly foreign: number;
};

/** Rooms to which nothing is sent for a while, since the last attempt failed: longer each time. */
export class RoomPauses {
  readonly #deps: { readonly clock: Clock; readonly random: () => number; readonly onEnd: () => void };
  readonly #pauses = new Map<number, Pause>();
  #timer: unknown;

  /** `onEnd` is called when the first of them has ended, once for each call of `wake`. */
  constructor(deps: { readonly clock: Clock; readonly random: () => number; readonly onEnd: () => void }) {
    this.#deps = deps;
  }

  /** Answers in a row, the last one among them, that were not the server's own. */
  foreignAnswers(roomId: number): number {
    return this.#pauses.get(roomId)?.foreign ?? 0;
  }

  isPaused(roomId: number): boolean {
    return (this.#pauses.get(roomId)?.until ?? 0) > this.#deps.clock.now();
  }

  failed(roomId: number, { code, retryAfterS }: TidingsError): void {
    const { clock, random } = this.#deps;
    const attempt = (this.#pauses.get(roomId)?.attempt ?? 0) + 1;
    const foreign = code === "unexpected_answer" ? this.foreignAnswers(roomId) + 1 : 0;
    const pauseMs = (retryAfterS ?? 0) * 1000 + backoffMs(attempt, repeatBackoff, random());
    this.#pauses.set(roomId, {
      attempt,
      until: clock.now() + pauseMs,
      asked: retryAfterS !== undefined,
      foreign,
    });
  }

  over(roomId: number): void {
    this.#pauses.delete(roomId);
  }

  /** Ends those that no server has asked for. */
  hurry(): void {
    for (const [roomId, { asked }] of this.#pauses) if (!asked) this.#pauses.delete(roomId);
  }

  clear(): void {
    this.#pauses.clear();
    this.#clearTimer();
  }

  /** One timer, for the pause that ends first. */
  wake(): void {
    const { clock, onEnd } = this.#deps;
    const now = clock.now();
    this.#clearTimer();
    const ends = [...this.#pauses.values()].map(({ until }) => until).filter((until) => until > now);
    if (ends.length === 0) return;
    this.#timer = clock.setTimeout(
      () => {
        this.#timer = undefined;
        onEnd();
      },
      Math.min(...ends) - now,
    );
  }

  #clearTimer(): void {
    if (this.#timer !== undefined) this.#deps.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
