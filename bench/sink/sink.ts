import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

/** One WebSocket of the sink. */
export type SinkSocket = {
  /** Of the handshake, with the credential in it. */
  readonly path: string;
  /** What it says first. */
  readonly first: string;
  /** What it resumes when it comes back. */
  readonly topic: string;
  /** Of the markers that it may get. */
  readonly key: number;
};

/** How a server speaks. */
export type Dialect = {
  readonly subprotocol: string;
  /** How the messages begin that are counted. */
  readonly counted: string;
  /** How the one begins after which a socket is ready; empty: it is ready with the handshake. */
  readonly ready: string;
};

export type SinkOptions = {
  readonly port: number;
  readonly dialect: Dialect;
  readonly sockets: readonly SinkSocket[];
  /** Sockets of one source address; all of one by default. */
  readonly perAddress?: number;
  /** Of how many sockets one has its markers read. */
  readonly sample?: number;
  /** The markers' numbers are checked. */
  readonly check?: boolean;
  /** What is cut off comes back, as clients do. */
  readonly reconnect?: boolean;
  /** So many sockets, the first ones, have small buffers: what they do not read stays with the server. */
  readonly small?: number;
};

export type SinkState = {
  readonly open: number;
  readonly sockets: number;
  readonly connects: number;
  readonly failures: number;
  readonly closes: number;
  readonly refused: number;
  readonly limited: number;
  readonly seconds: number;
  /** How often each status of a handshake and each close code came. */
  readonly codes: Readonly<Record<string, number>>;
};

export type SinkMeasured = {
  readonly seconds: number;
  readonly messages: number;
  readonly bytes: number;
  readonly samples: number;
  /** Milliseconds from what the marker says to when it was read. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** CPU time of the sink, seconds. */
  readonly cpu: number;
};

export type SinkCheck = {
  readonly gaps: number;
  readonly duplicates: number;
  readonly disordered: number;
  /** Numbers that a socket was told it would not get. */
  readonly skipped: number;
  readonly limited: number;
  /** Messages for somebody else. */
  readonly stray: number;
  /** Sockets that have not got all up to the last number. */
  readonly behind: number;
};

export type SinkCaught = {
  readonly caught: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
};

export type SinkProgram = Disposable & { readonly command: readonly string[]; readonly name: string };

const underwayMax = 200;
const answerTimeoutMs = 120_000;
const saidLengthMax = 2_000;
const sources = ["main.c", "connect.c", "read.c", "message.c", "latency.c"];

/** The sink that costs least: in C where this machine has a compiler and epoll, else in JavaScript. */
export function buildSink(): SinkProgram {
  const directory = mkdtempSync(path.join(tmpdir(), "tidings-bench-sink-"));
  const target = path.join(directory, "sink");
  const files = sources.map((file) => path.join(import.meta.dirname, file));
  const { status } = spawnSync("cc", ["-O2", "-std=gnu11", "-o", target, ...files], { stdio: "ignore" });
  const dispose = (): void => rmSync(directory, { recursive: true, force: true });
  if (status === 0) return { command: [target], name: "C, epoll", [Symbol.dispose]: dispose };
  const script = path.join(import.meta.dirname, "node-sink.ts");
  return { command: [process.execPath, script], name: "Node.js", [Symbol.dispose]: dispose };
}

/** Many WebSockets in a process of their own, which count and check what they are sent. One command at a time. */
export class Sink {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #directory: string;
  readonly #lines: AsyncIterator<string>;
  readonly #count: number;
  #said = "";

  constructor({ command }: Pick<SinkProgram, "command">, options: SinkOptions) {
    this.#count = options.sockets.length;
    this.#directory = mkdtempSync(path.join(tmpdir(), "tidings-bench-sockets-"));
    const file = path.join(this.#directory, "sockets.tsv");
    writeFileSync(file, options.sockets.map(lineOf).join(""));
    const [program = "", ...before] = command;
    this.#child = spawn(program, [...before, ...argumentsOf(options), file], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#child.stderr.on("data", (chunk: Buffer) => {
      this.#said = (this.#said + chunk.toString()).slice(-saidLengthMax);
    });
    this.#child.stdin.on("error", () => undefined);
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Opens all sockets, and resolves when they are ready. Throws when some cannot be. */
  async open(underway = underwayMax): Promise<SinkState> {
    const state = await this.#ask<SinkState>(`open ${this.#count} ${underway}`);
    if (state.open === this.#count) return state;
    throw new Error(
      `${this.#count - state.open} of ${this.#count} sockets do not open: ${JSON.stringify(state)}`,
    );
  }

  state(): Promise<SinkState> {
    return this.#ask("state");
  }

  /** Counts from now on. */
  async begin(): Promise<void> {
    await this.#ask("begin");
  }

  /** What came since `begin`. */
  end(): Promise<SinkMeasured> {
    return this.#ask("end");
  }

  /** The first `count` sockets stop reading. */
  async stall(count: number): Promise<void> {
    await this.#ask(`stall ${count}`);
  }

  /** Those that were stalled read again. */
  async read(): Promise<void> {
    await this.#ask("read");
  }

  /** From now on it is timed when sockets are back; with `cut`, all are cut off now. */
  async storm(cut: boolean): Promise<void> {
    await this.#ask(`storm ${cut ? 1 : 0}`);
  }

  /** Since the storm, in seconds: when sockets had all that was sent before they were back; -1 for never. */
  caught(): Promise<SinkCaught> {
    return this.#ask("caught");
  }

  /** `lasts`: the last number that was sent under each key. */
  check(lasts: ReadonlyMap<number, number>): Promise<SinkCheck> {
    return this.#ask(`check ${[...lasts].map((pair) => pair.join(":")).join(",")}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.stdin.end();
    if (this.#child.exitCode === null && this.#child.signalCode === null) await ended;
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #ask<T>(command: string): Promise<T> {
    this.#child.stdin.write(`${command}\n`);
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), answerTimeoutMs);
    const { value, done } = await this.#lines.next();
    clearTimeout(timer);
    if (done === true) throw new Error(`the sink has ended at "${command.slice(0, 40)}": ${this.#said}`);
    const answer = JSON.parse(value) as T & { readonly answer: string };
    if (answer.answer !== command.split(" ")[0]) throw new Error(`the sink answers ${value} to ${command}`);
    return answer;
  }
}

function lineOf({ path, first, topic, key }: SinkSocket): string {
  return `${[path, first, topic, key].join("\t")}\n`;
}

function argumentsOf(options: SinkOptions): readonly string[] {
  const { port, dialect, perAddress = 0, sample = 1, check = false, reconnect = false, small = 0 } = options;
  return Object.entries({
    port,
    "per-address": perAddress,
    sample,
    small,
    subprotocol: dialect.subprotocol,
    counted: dialect.counted,
    ready: dialect.ready,
    check: check ? 1 : 0,
    reconnect: reconnect ? 1 : 0,
  }).flatMap(([name, value]) => [`--${name}`, String(value)]);
}
