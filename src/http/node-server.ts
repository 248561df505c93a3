import { type RequestListener, type Server, createServer } from "node:http";
import { limits } from "../../protocol/limits.ts";
import type { Config } from "../config.ts";
import { InboundRequest } from "./inbound.ts";

const headerBytesMax = 16_384;
/** Longer than the 60 s for which most load balancers keep idle connections, so that it is they who close them. */
const keepAliveTimeoutMs = 72_000;
/** A connection on which nothing moves for so long is dropped, also in the middle of an answer. */
const connectionTimeoutMs = 75_000;

/** Node's server with its limits set. */
export function createNodeServer(
  listener: RequestListener<typeof InboundRequest>,
  config: Pick<Config, "maxConnections" | "requestTimeoutMs">,
): Server {
  const server = createServer(
    {
      IncomingMessage: InboundRequest,
      maxHeaderSize: headerBytesMax,
      headersTimeout: config.requestTimeoutMs,
      requestTimeout: config.requestTimeoutMs,
      connectionsCheckingInterval: Math.min(1_000, config.requestTimeoutMs / 4),
      keepAliveTimeout: keepAliveTimeoutMs,
      // The guard refuses requests without a Host, in our own form.
      requireHostHeader: false,
      // Node would keep the first of two Host or Authorization headers and drop the other without a word.
      joinDuplicateHeaders: true,
    },
    listener,
  );
  server.setTimeout(connectionTimeoutMs);
  server.maxConnections = config.maxConnections;
  // A client that asks before it sends (`Expect: 100-continue`) is not told to send what would be refused anyway.
  server.on("checkContinue", (request, response) => {
    if (!(Number(request.headers["content-length"]) > limits.requestBodyBytes)) response.writeContinue();
    server.emit("request", request, response);
  });
  // Node's own answer to other expectations says nothing: the guard refuses them in our own form.
  server.on("checkExpectation", (request, response) => {
    request.expectsOther = true;
    server.emit("request", request, response);
  });
  return server;
}
