import { type RequestListener, type Server, createServer } from "node:http";
import type { Config } from "../config.ts";
import { InboundRequest } from "./inbound.ts";
import { OutboundResponse } from "./outbound.ts";

const headerBytesMax = 16_384;
/** Longer than the 60 s for which most load balancers keep idle connections, so that it is they who close them. */
const keepAliveTimeoutMs = 72_000;
/** A connection on which nothing moves for so long is dropped, also in the middle of an answer. */
const connectionTimeoutMs = 75_000;

/** Node's server with its limits set. */
export function createNodeServer(
  listener: RequestListener<typeof InboundRequest, typeof OutboundResponse>,
  config: Pick<Config, "maxConnections" | "requestTimeoutMs">,
): Server {
  const server = createServer(
    {
      IncomingMessage: InboundRequest,
      ServerResponse: OutboundResponse,
      maxHeaderSize: headerBytesMax,
      headersTimeout: config.requestTimeoutMs,
      requestTimeout: config.requestTimeoutMs,
      connectionsCheckingInterval: Math.min(1_000, config.requestTimeoutMs / 4),
      keepAliveTimeout: keepAliveTimeoutMs,
      // `upgrades.ts` destroys the connection of a request that is one too many. Clients also offer to upgrade to what
      // nobody here speaks (h2c): they are answered as if they had not.
      shouldUpgradeCallback: (request) => request.excess || isWebSocketHandshake(request),
      // The guard refuses requests without a Host, in our own form.
      requireHostHeader: false,
      // Node would keep the first of two Host or Authorization headers and drop the other without a word.
      joinDuplicateHeaders: true,
    },
    listener,
  );
  server.setTimeout(connectionTimeoutMs);
  server.maxConnections = config.maxConnections;
  // A client that asks before it sends (`Expect: 100-continue`) is told to by whoever wants its body.
  server.on("checkContinue", (request, response) => {
    request.askForBody = () => response.writeContinue();
    server.emit("request", request, response);
  });
  // Node's own answer to other expectations says nothing: the guard refuses them in our own form.
  server.on("checkExpectation", (request, response) => {
    request.expectsOther = true;
    server.emit("request", request, response);
  });
  // The framework's types know Node's own classes only.
  return server as unknown as Server;
}

/** Whether the request wants to become a WebSocket. */
function isWebSocketHandshake({ method, headers }: InboundRequest): boolean {
  return method === "GET" && headers.upgrade?.toLowerCase() === "websocket";
}
