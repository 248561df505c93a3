import type {
  AnswerFrame,
  ClientFrame,
  HelloFrame,
  ServerFrame,
  SocketLimits,
  SubscribedFrame,
  UnsubscribedFrame,
} from "../protocol/frames.ts";
import type { Clock } from "./clock.ts";
import { type TidingsError, clientError, frameError } from "./errors.ts";

/** How long an answer may take, from the moment it was asked for. */
export const requestTimeoutMs = 15_000;
/** Requests that may wait until the connection may carry one more. */
export const requestsWaitingMax = 256;
/** Frames of the server's allowance that are left for pings and tokens. */
const framesReserved = 4;
/** How much of the rate that the server allows is used: clocks differ. */
const ratePart = 0.9;

type WithoutId<F> = F extends { readonly id: number } ? Omit<F, "id"> : never;
/** A frame that is answered. */
export type Question = WithoutId<ClientFrame>;
export type Reply = SubscribedFrame | UnsubscribedFrame | AnswerFrame;

/** Called once, and at once: what follows the answer on the wire is not handled before. */
export type Outcome = {
  readonly done: (reply: Reply) => void;
  readonly failed: (error: TidingsError) => void;
};

type Pending = { readonly outcome: Outcome; readonly timer: unknown };
type Link = { readonly limits: SocketLimits; allowance: number; allowanceAt: number };

/** Frames that are answered: their ids, how many at once, how many a second. */
export class Requests {
  readonly #clock: Clock;
  readonly #send: (text: string) => void;
  #link: Link | undefined;
  #lastId = 0;
  readonly #waiting = new Map<number, string>();
  /** All that have no answer yet, also those that wait to be sent. */
  readonly #pending = new Map<number, Pending>();
  #pacing: unknown;

  constructor(clock: Clock, send: (text: string) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  get connected(): boolean {
    return this.#link !== undefined;
  }

  opened({ limits }: HelloFrame): void {
    this.#link = { limits, allowance: burstOf(limits), allowanceAt: this.#clock.now() };
  }

  lost(error: TidingsError): void {
    this.#link = undefined;
    if (this.#pacing !== undefined) this.#clock.clearTimeout(this.#pacing);
    this.#pacing = undefined;
    this.#waiting.clear();
    const outcomes = [...this.#pending.values()];
    this.#pending.clear();
    for (const { timer } of outcomes) if (timer !== undefined) this.#clock.clearTimeout(timer);
    for (const { outcome } of outcomes) outcome.failed(error);
  }

  /** `patient`: the answer may take as long as the connection lasts. */
  ask(question: Question, outcome: Outcome, options?: { readonly patient: boolean }): void {
    if (this.#link === undefined) return outcome.failed(clientError("disconnected"));
    if (this.#waiting.size >= requestsWaitingMax) return outcome.failed(clientError("too_many_requests"));
    const id = ++this.#lastId;
    const text = JSON.stringify({ ...question, id });
    if (byteLength(text) > this.#link.limits.frame_bytes)
      return outcome.failed(clientError("frame_too_large"));
    const late = (): void => {
      this.#waiting.delete(id);
      this.#settle(id)?.failed(clientError("timeout"));
      this.#pump();
    };
    const timer = options?.patient === true ? undefined : this.#clock.setTimeout(late, requestTimeoutMs);
    this.#pending.set(id, { outcome, timer });
    this.#waiting.set(id, text);
    this.#pump();
  }

  /** Whether the frame was an answer to one of these. */
  take(frame: ServerFrame): boolean {
    if (!("id" in frame) || frame.id === undefined || frame.type === "renewed") return false;
    const outcome = this.#settle(frame.id);
    if (outcome === undefined) return true;
    if (frame.type === "error") outcome.failed(frameError(frame.error));
    else outcome.done(frame);
    this.#pump();
    return true;
  }

  #settle(id: number): Outcome | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (pending?.timer !== undefined) this.#clock.clearTimeout(pending.timer);
    return pending?.outcome;
  }

  #pump(): void {
    const link = this.#link;
    if (link === undefined) return;
    this.#gain(link);
    for (const [id, text] of this.#waiting) {
      const inFlight = this.#pending.size - this.#waiting.size;
      if (inFlight >= link.limits.requests_in_flight) return;
      if (link.allowance < 1) return this.#pumpLater(link);
      link.allowance -= 1;
      this.#waiting.delete(id);
      this.#send(text);
    }
  }

  #gain(link: Link): void {
    const now = this.#clock.now();
    const gained = ((now - link.allowanceAt) / 1000) * link.limits.frames_per_second * ratePart;
    link.allowance = Math.min(burstOf(link.limits), link.allowance + Math.max(0, gained));
    link.allowanceAt = now;
  }

  #pumpLater({ allowance, limits }: Link): void {
    const ms = Math.ceil(((1 - allowance) * 1000) / (limits.frames_per_second * ratePart));
    this.#pacing ??= this.#clock.setTimeout(() => {
      this.#pacing = undefined;
      this.#pump();
    }, ms);
  }
}

function burstOf({ frames_burst }: SocketLimits): number {
  return Math.max(1, frames_burst - framesReserved);
}

const encoder = new TextEncoder();

/** Bytes of UTF-8. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}
