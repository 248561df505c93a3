import type { RequestListener, ServerResponse } from "node:http";
import type { InboundRequest } from "./inbound.ts";
import { destroyLater } from "./linger.ts";
import type { Load } from "./load.ts";
import { type Meters, clientGoneStatus, unmatchedRoute } from "./route-meter.ts";

type Listener = RequestListener<typeof InboundRequest>;

/**
 * Counts every request in and out, matched or not, answered or abandoned. One listener per response, and the same
 * function for all of them.
 */
export function countTraffic(
  listener: Listener,
  context: { readonly load: Load; readonly meters: Meters },
): Listener {
  const { load, meters } = context;

  function settle(this: ServerResponse<InboundRequest>): void {
    const request = this.req;
    load.leave(request.bodyBytes);
    const meter = request.meter ?? meters.of(request.method ?? "", unmatchedRoute);
    const status = request.rawStatus ?? (this.writableFinished ? this.statusCode : clientGoneStatus);
    meter.record(status, (performance.now() - request.startedMs) / 1_000);
    if (!request.complete && !request.socket.destroyed) destroyLater(request.socket, () => request.complete);
  }

  return (request, response) => {
    load.enter();
    response.on("close", settle);
    listener(request, response);
  };
}
