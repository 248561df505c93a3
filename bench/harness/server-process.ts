import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { DbAddress } from "../../src/lib/db.ts";
import { startOptions } from "./node-options.ts";

const root = path.join(import.meta.dirname, "../..");
export const program = path.join(root, "src/main.ts");
const stopTimeoutMs = 20_000;
const saidLengthMax = 2_000;

/** A server under load, in a process of its own. */
export type LoadedServer = AsyncDisposable & { readonly port: number; readonly pid: number };

export type ServerProcess = LoadedServer & {
  /** Its working directory and environment, for verbs of the command line. */
  readonly directory: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ends it as a crash would. */
  kill(): Promise<void>;
};

/**
 * `node src/main.ts serve` on this database, with the options of `npm start`. Node's own are handed on, so that
 * `--cpu-prof` reaches it too.
 */
export async function startServer(
  address: DbAddress,
  env: Readonly<Record<string, string>>,
  nodeOptions: readonly string[] = [],
): Promise<ServerProcess> {
  const directory = await mkdtemp(path.join(tmpdir(), "tidings-bench-server-"));
  const wholeEnv = {
    PATH: process.env["PATH"],
    DATA_DIR: directory,
    DB_HOST: address.host,
    DB_PORT: String(address.port),
    DB_USER: address.user,
    DB_NAME: address.database,
    PORT: "0",
    METRICS_PORT: "off",
    ...env,
  };
  const options = [...startOptions(), ...process.execArgv, ...nodeOptions];
  const child = spawn(process.execPath, [...options, program, "serve"], {
    cwd: directory,
    env: wholeEnv,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const removeDirectory = (): Promise<void> => rm(directory, { recursive: true, force: true });
  const port = await readPort(child).catch(async (error: unknown) => {
    await removeDirectory();
    throw error;
  });
  return {
    port,
    pid: child.pid ?? 0,
    directory,
    env: wholeEnv,
    kill: () => stopProcess(child, () => child.kill("SIGKILL")),
    [Symbol.asyncDispose]: async () => {
      await stopProcess(child, () => child.kill("SIGTERM"));
      await removeDirectory();
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

/** Resolves when the process has ended; one that does not heed what it is asked is killed. */
export async function stopProcess(child: ChildProcess, ask: () => void): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  ask();
  const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
  await ended;
  clearTimeout(timer);
}
