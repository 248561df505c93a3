import { createServer } from "node:net";
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
  if (roles.includes("api")) await tryPort({ host, port }, "PORT");
  if (metricsPort !== undefined) await tryPort({ host: metricsHost, port: metricsPort }, "METRICS_PORT");
}

async function tryPort(at: { readonly host: string; readonly port: number }, option: string): Promise<void> {
  const server = createServer();
  await listen(server, at, option);
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
}
