import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import { type ListenAddress, listen } from "../lib/listen.ts";
import type { Logger } from "../lib/logger.ts";
import type { Metrics } from "./metrics.ts";

export type MetricsServer = { readonly address: ListenAddress; close(): Promise<void> };

const timeoutMs = 10_000;
const connectionsMax = 100;

/**
 * Serves the Prometheus page on a port of its own, which need not be open to the world. Resolves with undefined when
 * `port` is undefined; rejects with a `StartupError` when it cannot be opened.
 */
export async function startMetricsServer(
  deps: { readonly metrics: Pick<Metrics, "registry">; readonly log: Logger },
  at: { readonly host: string; readonly port: number | undefined },
): Promise<MetricsServer | undefined> {
  const { host, port } = at;
  if (port === undefined) return undefined;
  const { registry } = deps.metrics;
  const log = deps.log.child({ room: "observe" });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split("?", 1)[0];
    // Whoever opens the port in a browser means the page.
    if (path === "/") return void response.writeHead(302, { Location: "/metrics" }).end();
    if (path !== "/metrics") return refuse(response, 404);
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("Allow", "GET, HEAD");
      return refuse(response, 405);
    }
    const page = await registry.metrics();
    response.setHeader("Content-Type", registry.contentType);
    response.end(page);
  }

  const server = createServer(
    { requestTimeout: timeoutMs, headersTimeout: timeoutMs },
    (request, response) => {
      response.setHeader("X-Content-Type-Options", "nosniff");
      answer(request, response).catch((error: unknown) => {
        log.error({ err: error }, "metrics page failed");
        if (!response.headersSent) refuse(response, 500);
      });
    },
  );
  server.setTimeout(timeoutMs);
  server.maxConnections = connectionsMax;
  const address = await listen(server, { host, port }, "METRICS_PORT");
  return {
    address,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" });
  response.end(`${status}\n`);
}
