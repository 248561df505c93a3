import { execFile, fork } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { promisify } from "node:util";
import type { DbAddress } from "../../src/lib/db.ts";
import { type LoadedServer, program, startServer, stopProcess } from "../harness/server-process.ts";

/** The generator is one address that speaks for one source: no limit of one sender is to be measured. */
const unlimited = "1000000/1000000";

export type TidingsServer = LoadedServer & { readonly sourceName: string; readonly secret: string };

/** The server with all roles on this database, and a source whose webhooks are signed. */
export async function startTidings(address: DbAddress): Promise<TidingsServer> {
  const server = await startServer(address, {
    RATE_LIMIT_IP: unlimited,
    RATE_LIMIT_SOURCE: unlimited,
    RATE_LIMIT_CONTACT: unlimited,
  });
  const sourceName = "bench";
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [program, "source", "create", sourceName, "--scheme", "standard"],
    { cwd: server.directory, env: server.env },
  );
  return { ...server, sourceName, secret: stdout.trim() };
}

/** A Fastify handler that does nothing but parse, check and answer. */
export async function startNoop(): Promise<LoadedServer> {
  const child = fork(path.join(import.meta.dirname, "../peers/noop-server.ts"));
  const [{ port }] = (await once(child, "message")) as [{ port: number }];
  return {
    port,
    pid: child.pid ?? 0,
    [Symbol.asyncDispose]: () => stopProcess(child, () => child.disconnect()),
  };
}
