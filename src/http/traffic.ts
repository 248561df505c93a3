import type { RequestListener } from "node:http";
import type { InboundRequest } from "./inbound.ts";
import type { Load } from "./load.ts";
import type { OutboundResponse } from "./outbound.ts";
import { pipelineOf } from "./pipeline.ts";
import { type Meters, clientGoneStatus, unmatchedRoute } from "./route-meter.ts";

type Listener = RequestListener<typeof InboundRequest, typeof OutboundResponse>;

/**
 * Lets the requests of a connection in one after the other, and counts every one in and out, matched or not, answered
 * or abandoned. One listener per response, and the same function for all of them.
 */
export function countTraffic(
  listener: Listener,
  context: { readonly load: Load; readonly meters: Meters },
): Listener {
  const { load, meters } = context;

  function begin(request: InboundRequest, response: OutboundResponse): void {
    load.enter(request);
    response.load = load;
    response.on("close", settle);
    listener(request, response);
  }

  function settle(this: OutboundResponse): void {
    const request = this.req;
    load.leave(request);
    const meter = request.meter ?? meters.of(request.method ?? "", unmatchedRoute);
    const status = request.rawStatus ?? (this.writableFinished ? this.statusCode : clientGoneStatus);
    meter.record(status, (performance.now() - request.startedMs) / 1_000);
    const pipeline = pipelineOf(request.socket);
    if (!request.complete && !request.socket.destroyed) pipeline.linger(request);
    const next = pipeline.next();
    if (next !== undefined) begin(next.request, next.response);
  }

  return (request, response) => {
    if (pipelineOf(request.socket).admit(request, response)) begin(request, response);
  };
}
