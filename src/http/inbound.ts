import { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { limits } from "../../protocol/limits.ts";
import type { Actor } from "../access/actor.ts";
import type { Proof } from "../deps.ts";
import type { Burden } from "./load.ts";
import type { RouteMeter } from "./route-meter.ts";

/** Small parts of a body are joined to parts of so many bytes. */
const joinedBytes = 4_096;

/**
 * Parts of a body, each of which costs about as much as a small request, whatever is in it. One more ends the
 * connection if they have been tiny. They are counted as they arrive: a chunk that two reads share is two.
 */
export const tinyPartsMax = 1_024;
/** Parts of fewer bytes than this on average are tiny. */
export const tinyPartBytes = 32;

/** Where a socket keeps its pipeline: as a property, because a map would cost every request a look-up. */
export const pipelineKey = Symbol("pipeline");

/**
 * A request together with what the hooks learn about it on its way. Fields of a class rather than decorations: the
 * server makes one object per request anyway.
 */
export class InboundRequest extends IncomingMessage implements Burden {
  /** When the headers had arrived, by the monotonic clock. */
  readonly startedMs = performance.now();
  /** Undefined until a route was found. */
  meter: RouteMeter | undefined = undefined;
  /** The client's address, after trusted proxies. */
  address = "";
  actor: Actor | undefined = undefined;
  /** What the route's own authentication has found in the head. */
  proof: Proof | undefined = undefined;
  bodyBytesMax: number = limits.requestBodyBytes;
  stage: Burden["stage"] = "outside";
  bodyBytes = 0;
  proved = false;
  shareKey: string | undefined = undefined;
  /** Whether the route's own authentication has seen the body, and found it to be the sender's. */
  verified = false;
  /** Kept for routes that authenticate the body. */
  rawText: string | undefined = undefined;
  /** Invites the body of a client that waits for that (`Expect: 100-continue`); undefined once it was, or for others. */
  askForBody: (() => void) | undefined = undefined;
  /** Whether the client expects (`Expect`) anything but leave to send its body. */
  expectsOther = false;
  /** Whether it was sent before the answer to the one before it was there. */
  pipelined = false;
  /** What it waits in until that answer is there, and the bytes of its body meanwhile. */
  waitingIn: { hold(bytes: number): void } | undefined = undefined;
  waitingBytes = 0;
  /** The status of an answer that was written to the socket past the response object. */
  rawStatus: number | undefined = undefined;
  /** Whether its connection has sent more ahead than it may. */
  excess = false;
  /** What the parser has told: whether another protocol follows. */
  #upgrade = false;
  #dumped = false;
  #parts = 0;
  #partBytes = 0;
  #cut = false;
  #joined: Buffer | undefined = undefined;
  #joinedLength = 0;

  /**
   * Node's parser goes through all that was read at once, which may be thousands of requests, and stops only where
   * another protocol begins. A request that is one too many says so of itself; see `node-server.ts`.
   */
  get upgrade(): boolean {
    return this.#upgrade;
  }

  set upgrade(asked: boolean | null) {
    // Node's constructor sets it before there is anything to set.
    if (asked === null) return;
    const { [pipelineKey]: pipeline } = this.socket as Socket & {
      [pipelineKey]?: { readonly full: boolean };
    };
    this.excess = pipeline?.full === true;
    this.#upgrade = asked || this.excess;
  }

  /**
   * Node drops the rest of a body that nobody reads without a word, and asks this whether it should. It is told no, so
   * that its parts are still counted: a request that was refused is read on for a while, and may be as tiny as any.
   */
  get _dumped(): boolean {
    return false;
  }

  set _dumped(dumped: boolean) {
    if (!dumped) return;
    this.#dumped = true;
    this.#joined = undefined;
  }

  /**
   * Takes a part of the body from the parser, and tells whether it may bring more before this is read. Each one costs
   * some 400 bytes beside what is in it, and a client may send them byte by byte: all but the first, which most often is
   * all there is, are joined before they are kept.
   */
  override push(part: Buffer | null): boolean {
    // Node's parser goes on through what it has read. What has a hole must not pass for whole, nor come to an end.
    if (this.#cut) return false;
    if (part === null) {
      this.#passJoined();
      return super.push(null);
    }
    this.#partBytes += part.length;
    if (this.#parts >= tinyPartsMax && this.#partBytes < tinyPartBytes * (this.#parts + 1)) {
      this.#cut = true;
      this.socket.destroy();
      return false;
    }
    if (this.#dumped) {
      this.#parts++;
      return true;
    }
    if (this.waitingIn !== undefined) {
      this.waitingBytes += part.length;
      this.waitingIn.hold(part.length);
    }
    if (this.#parts++ === 0) return super.push(part);
    const more = this.#joinedLength + part.length <= joinedBytes || this.#passJoined();
    if (part.length >= joinedBytes) return super.push(part);
    this.#joined ??= Buffer.allocUnsafeSlow(joinedBytes);
    this.#joinedLength += part.copy(this.#joined, this.#joinedLength);
    return more;
  }

  /** Keeps what is joined, and tells whether more may come. */
  #passJoined(): boolean {
    if (this.#joined === undefined) return true;
    const joined = this.#joined.subarray(0, this.#joinedLength);
    this.#joined = undefined;
    this.#joinedLength = 0;
    return super.push(joined);
  }
}
