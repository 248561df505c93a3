import { IncomingMessage } from "node:http";
import { limits } from "../../protocol/limits.ts";
import type { Actor } from "../access/actor.ts";
import type { Proof } from "../deps.ts";
import type { RouteMeter } from "./route-meter.ts";

/**
 * A request together with what the hooks learn about it on its way. Fields of a class rather than decorations: the
 * server makes one object per request anyway.
 */
export class InboundRequest extends IncomingMessage {
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
  /** Bytes of the body that are in memory on behalf of this request. */
  bodyBytes = 0;
  /** Kept for routes that authenticate the body. */
  rawText: string | undefined = undefined;
  /** Whether the client expects (`Expect`) anything but leave to send its body. */
  expectsOther = false;
  /** The status of an answer that was written to the socket past the response object. */
  rawStatus: number | undefined = undefined;
}
