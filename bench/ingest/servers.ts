import { type ChildProcess, type ChildProcessByStdio, execFile, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import type { DbAddress } from "../../src/lib/db.ts";

const root = path.join(import.meta.dirname, "../..");
const stopTimeoutMs = 20_000;
const saidLengthMax = 2_000;
/** The generator is one address that speaks for one source: no limit of one sender is to be measured. */
const unlimited = "1000000/1000000";

/** A server under load, in a process of its own. Node's options are handed on, so that `--cpu-prof` reaches it too. */
export type LoadedServer = AsyncDisposable & { readonly port: number; readonly pid: number };
export type TidingsServer = LoadedServer & { readonly sourceName: string; readonly secret: string };

/** `node src/main.ts serve` with all roles on this database, and a source whose webhooks are signed. */
export async function startTidings(address: DbAddress): Promise<TidingsServer> {
  const directory = await mkdtemp(path.join(tmpdir(), "tidings-bench-server-"));
  const env = {
    PATH: process.env["PATH"],
    DATA_DIR: directory,
    DB_HOST: address.host,
    DB_PORT: String(address.port),
    DB_USER: address.user,
    DB_NAME: address.database,
    PORT: "0",
    METRICS_PORT: "off",
    RATE_LIMIT_IP: unlimited,
    RATE_LIMIT_SOURCE: unlimited,
    RATE_LIMIT_CONTACT: unlimited,
  };
  const program = [...process.execArgv, path.join(root, "src/main.ts")];
  const child = spawn(process.execPath, [...program, "serve"], {
    cwd: directory,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const port = await readPort(child);
  const sourceName = "bench";
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [path.join(root, "src/main.ts"), "source", "create", sourceName, "--scheme", "standard"],
    { cwd: directory, env },
  );
  return {
    port,
    pid: child.pid ?? 0,
    sourceName,
    secret: stdout.trim(),
    [Symbol.asyncDispose]: async () => {
      await stop(child, () => child.kill("SIGTERM"));
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The port from the log line that says the server is ready. Shows what the server said when it ends before that. */
async function readPort({ stdout, stderr }: ChildProcessByStdio<null, Readable, Readable>): Promise<number> {
  let said = "";
  stderr.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-saidLengthMax);
  });
  for await (const line of createInterface({ input: stdout })) {
    const port = /"api":\{[^}]*"port":(\d+)/.exec(line)?.[1];
    if (port === undefined) continue;
    stdout.resume();
    return Number(port);
  }
  throw new Error(`the server has ended before it was ready:\n${said}`);
}

/** A Fastify handler that does nothing but parse, check and answer. */
export async function startNoop(): Promise<LoadedServer> {
  const child = fork(path.join(root, "bench/peers/noop-server.ts"));
  const [{ port }] = (await once(child, "message")) as [{ port: number }];
  return {
    port,
    pid: child.pid ?? 0,
    [Symbol.asyncDispose]: () => stop(child, () => child.disconnect()),
  };
}

async function stop(child: ChildProcess, ask: () => void): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  ask();
  const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
  await ended;
  clearTimeout(timer);
}
