import type { Socket } from "node:net";
import { type InboundRequest, pipelineKey } from "./inbound.ts";
import { destroyLater } from "./linger.ts";
import type { OutboundResponse } from "./outbound.ts";

/** Requests that a connection may send ahead of the answer to the one before. One more ends the connection. */
export const pipelinedMax = 16;

/**
 * Bytes of bodies that came with them. A byte more ends the connection, which a single body cannot do: Node stops
 * reading at half of it.
 */
export const pipelinedBytesMax = 131_072;

export type Exchange = { readonly request: InboundRequest; readonly response: OutboundResponse };

/**
 * The requests of one connection: one is worked on, and the next begins when its answer has gone out. So a client that
 * does not read its answers keeps one of them in memory, however many it asks for.
 */
export class Pipeline {
  readonly #socket: Socket;
  readonly #waiting: Exchange[] = [];
  #waitingBytes = 0;
  #busy = false;
  #farewell: (() => void) | undefined;
  #lingering: InboundRequest | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Whether one more request is one too many. Nobody reads on from a connection that has ended either. */
  get full(): boolean {
    return this.#waiting.length >= pipelinedMax || this.#socket.destroyed;
  }

  /** Whether the request may begin; if not it waits, unless the last word is spoken. */
  admit(request: InboundRequest, response: OutboundResponse): boolean {
    if (!this.#busy) {
      this.#busy = true;
      return true;
    }
    if (this.ending) return false;
    request.pipelined = true;
    request.waitingIn = this;
    this.#waiting.push({ request, response });
    return false;
  }

  /** Takes note of a part of the body of a request that waits. */
  hold(bytes: number): void {
    this.#waitingBytes += bytes;
    if (this.#waitingBytes > pipelinedBytesMax) this.#socket.destroy();
  }

  /** The request that was worked on has its answer, or lost its connection: tells which one begins now. */
  next(): Exchange | undefined {
    const exchange = this.#socket.writable ? this.#waiting.shift() : undefined;
    if (exchange === undefined) {
      this.#waiting.length = 0;
      this.#busy = false;
      this.#farewell?.();
      return undefined;
    }
    const { request } = exchange;
    request.waitingIn = undefined;
    this.#waitingBytes -= request.waitingBytes;
    return exchange;
  }

  /** Takes no further request and says the last word once every one that arrived in full has its answer. */
  endWith(farewell: () => void): void {
    if (this.#waiting.at(-1)?.request.complete === false) this.#waiting.pop();
    this.#farewell = farewell;
    if (!this.#busy) farewell();
  }

  /** Whether the last word is already known. */
  get ending(): boolean {
    return this.#farewell !== undefined;
  }

  /** Reads the rest of an answered request's body for a while, so that its client gets to read the answer. */
  linger(request: InboundRequest): void {
    this.#lingering = request;
    destroyLater(this.#socket, () => request.complete);
  }

  /** Whether the connection is only being read empty. */
  get lingering(): boolean {
    return this.#lingering?.complete === false;
  }
}

/** The pipeline of a connection. */
export function pipelineOf(socket: Socket & { [pipelineKey]?: Pipeline }): Pipeline {
  return (socket[pipelineKey] ??= new Pipeline(socket));
}
