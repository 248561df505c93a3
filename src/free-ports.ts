import { type Server, createServer } from "node:net";
import type { Config } from "./config.ts";
import { listen } from "./lib/listen.ts";

/**
 * Looks whether the ports can be opened, before anything else is: a second server that was started by mistake must not
 * join the first one's work only to fail. Rejects with a `StartupError`, as the real opening does.
 */
export async function requireFreePorts(
  config: Pick<Config, "host" | "port" | "metricsHost" | "metricsPort" | "roles">,
): Promise<void> {
  const { host, port, metricsHost, metricsPort, roles } = config;
  // Both are open at the same time, as they will be.
  await using stack = new AsyncDisposableStack();
  if (roles.includes("api") || roles.includes("gateway")) stack.use(await opened({ host, port }, "PORT"));
  if (metricsPort !== undefined) {
    stack.use(await opened({ host: metricsHost, port: metricsPort }, "METRICS_PORT"));
  }
}

async function opened(at: { readonly host: string; readonly port: number }, option: string): Promise<Server> {
  const server = createServer();
  await listen(server, at, option);
  return server;
}
