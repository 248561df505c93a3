import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { pause } from "../../src/lib/backoff.ts";
import { send } from "./request.ts";

const root = path.join(import.meta.dirname, "../..");
const probeEveryMs = 10;
const probeTimeoutMs = 1_000;
const lineLengthMax = 300;
/** More than any client of the run sends, and more connections than it has. */
const noLimit = "1000000/1000000";
const connectionsMax = "100000";

/** The server under test: a process of its own, with the embedded PostgreSQL and everything as in production. */
export class Server {
  readonly port: number;
  readonly dataDir: string;
  /** How often it ended although nobody wanted it to. */
  readonly unwantedEnds: string[] = [];
  readonly #logFile: string;
  #child: ChildProcess | undefined;
  #retired = false;

  constructor(options: { readonly dataDir: string; readonly port: number; readonly logFile: string }) {
    this.dataDir = options.dataDir;
    this.port = options.port;
    this.#logFile = options.logFile;
  }

  start(): void {
    if (this.#retired) throw new Error("the run is over");
    const log = fs.openSync(this.#logFile, "a");
    // The data directory is an argument, so that the process can be recognised by it.
    const child = spawn(
      process.execPath,
      ["src/main.ts", "serve", "--data-dir", this.dataDir, "--port", String(this.port)],
      { cwd: root, stdio: ["ignore", log, log], env: environment() },
    );
    fs.closeSync(log);
    this.#child = child;
    child.once("exit", (code, signal) => {
      if (this.#child !== child) return;
      this.#child = undefined;
      this.unwantedEnds.push(`process ${child.pid} ended by itself (${signal ?? `code ${code}`})`);
    });
  }

  /** `kill -9`; resolves when the process is gone. */
  async kill(): Promise<void> {
    const child = this.#forget();
    if (child === undefined) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  /** The same, and it never starts again. */
  async retire(): Promise<void> {
    this.#retired = true;
    await this.kill();
  }

  /** SIGTERM; resolves with how it ended. */
  async terminate(waitMs: number): Promise<{ readonly code: number | null; readonly ms: number }> {
    const child = this.#forget();
    if (child === undefined) return { code: null, ms: 0 };
    const startedMs = performance.now();
    const gone = once(child, "exit");
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), waitMs);
    const [code] = (await gone) as [number | null];
    clearTimeout(timer);
    return { code, ms: performance.now() - startedMs };
  }

  /** Whether `/health/ready` says 200 right now. */
  async ready(): Promise<boolean> {
    const call = { port: this.port, path: "/health/ready", timeoutMs: probeTimeoutMs };
    return send(call).then(
      ({ status }) => status === 200,
      () => false,
    );
  }

  async untilReady(limitMs: number): Promise<boolean> {
    const deadline = performance.now() + limitMs;
    while (performance.now() < deadline) {
      if (await this.ready()) return true;
      await pause(probeEveryMs);
    }
    return false;
  }

  /** The last lines that it wrote, as far as they fit a terminal. */
  logTail(lines: number): string {
    const all = fs.readFileSync(this.#logFile, "utf8").trimEnd().split("\n");
    return all
      .slice(-lines)
      .map((line) => line.slice(0, lineLengthMax))
      .join("\n");
  }

  #forget(): ChildProcess | undefined {
    const child = this.#child;
    this.#child = undefined;
    return child;
  }
}

/** Nothing of the caller's settings: a DATABASE_URL among them must not lead here to a database of theirs. */
function environment(): Record<string, string> {
  const { PATH = "", HOME = "/" } = process.env;
  return {
    PATH,
    HOME,
    METRICS_PORT: "off",
    LOG_LEVEL: "info",
    RATE_LIMIT_SOURCE: noLimit,
    RATE_LIMIT_IP: noLimit,
    RATE_LIMIT_CONTACT: noLimit,
    RATE_LIMIT_CONNECT: noLimit,
    CONNECTIONS_PER_ADDRESS: connectionsMax,
  };
}

export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
