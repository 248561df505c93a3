import { loadavg } from "node:os";
import { tableLines } from "../src/cli/table.ts";
import { errorMessage } from "../src/lib/errors.ts";
import { suggestion } from "../src/cli/nearest.ts";
import { type Bench, type Figure, holds } from "./harness/bench.ts";
import { machineFacts } from "./harness/machine.ts";
import { ensurePeerPackages } from "./harness/peer-packages.ts";
import { startTemporaryPostgres } from "./harness/postgres.ts";

const missed = 1;
const usageError = 2;

/** Loaded only when it is run: a bench may need packages that are not installed yet. */
type Listed = Pick<Bench, "name" | "summary"> & { readonly load: () => Promise<Bench["run"]> };

const benches: readonly Listed[] = [
  {
    name: "eventlog",
    summary: "durable appends and exactly-once consuming, against single INSERTs and graphile-worker",
    load: async () => (await import("./eventlog.ts")).runEventlog,
  },
  {
    name: "ingest",
    summary: "webhooks through the whole server until they are durable, against a handler that does nothing",
    load: async () => (await import("./ingest.ts")).runIngest,
  },
  {
    name: "fanout",
    summary: "messages through the log to many WebSockets, against a loop over plain ws and Socket.IO",
    load: async () => (await import("./fanout.ts")).runFanout,
  },
  {
    name: "stalled",
    summary: "what readers that stop reading cost the server and everybody else",
    load: async () => (await import("./stalled.ts")).runStalled,
  },
  {
    name: "idle",
    summary: "memory of a connection that is signed in and subscribed, and the CPU that pings take",
    load: async () => (await import("./idle.ts")).runIdle,
  },
  {
    name: "reconnect",
    summary: "everybody cut off at once, or the gateway killed, while messages go on",
    load: async () => (await import("./reconnect.ts")).runReconnect,
  },
  {
    name: "send",
    summary: "durable chat messages over the socket and over HTTP, and how soon another member has them",
    load: async () => (await import("./send.ts")).runSend,
  },
  {
    name: "notify",
    summary:
      "notifications for one and for everybody until they are heard, and what waits for those who come back",
    load: async () => (await import("./notify.ts")).runNotify,
  },
];

async function main(argv: readonly string[]): Promise<number> {
  const names = argv.filter((word) => !word.startsWith("-"));
  const unknown = argv.find((word) => word.startsWith("-") && word !== "--quick");
  const [name] = names;
  if (name === undefined && unknown === undefined) {
    list(console.log);
    return 0;
  }
  const bench = benches.find((candidate) => candidate.name === name);
  if (bench === undefined || unknown !== undefined || names.length > 1) {
    console.error(usageProblem(name, unknown));
    list(console.error);
    return usageError;
  }
  return (await runBench(bench, argv.includes("--quick"))) ? 0 : missed;
}

function usageProblem(name: string | undefined, unknown: string | undefined): string {
  if (unknown !== undefined) return `There is no option "${unknown}".${suggestion(unknown, ["--quick"])}`;
  if (benches.some((bench) => bench.name === name)) return "One bench at a time.";
  const like = suggestion(
    name ?? "",
    benches.map((bench) => bench.name),
  );
  return `There is no bench "${name}".${like}`;
}

function list(print: (line: string) => void): void {
  print("npm run bench -- NAME [--quick]");
  for (const line of tableLines(
    ["name", "what it measures"],
    benches.map(({ name, summary }) => [name, summary]),
  )) {
    print(`  ${line}`);
  }
}

/** Whether all goals held. A bench that breaks off has its last line as well. */
async function runBench(bench: Listed, quick: boolean): Promise<boolean> {
  try {
    const figures = await measure(bench, quick);
    const ok = figures.every(holds);
    const values = Object.fromEntries(figures.map(({ name, value }) => [name, rounded(value)]));
    console.log(JSON.stringify({ bench: bench.name, ok, figures: values }));
    return ok;
  } catch (error) {
    console.error(error);
    console.log(JSON.stringify({ bench: bench.name, ok: false, figures: {}, error: errorMessage(error) }));
    return false;
  }
}

async function measure(bench: Listed, quick: boolean): Promise<readonly Figure[]> {
  ensurePeerPackages();
  const begunAt = performance.now();
  const print = (line: string): void => console.log(line);
  print(`${bench.name}: ${bench.summary}${quick ? " (quick)" : ""}`);
  const run = await bench.load();
  let figures: readonly Figure[];
  {
    await using postgres = await startTemporaryPostgres();
    for (const [what, fact] of [...machineFacts(), ...postgres.facts]) print(`  ${what}: ${fact}`);
    figures = await run({
      quick,
      postgres,
      print,
      table: (heading, rows) => {
        print("");
        for (const line of tableLines(heading, rows)) print(`  ${line}`);
      },
    });
  }
  print("");
  for (const figure of figures) if (hasGoal(figure)) print(`  ${verdict(figure)}`);
  const [load = 0] = loadavg();
  print(
    `  took ${Math.round((performance.now() - begunAt) / 1_000)} s; load in the last minute ${load.toFixed(2)}`,
  );
  return figures;
}

function hasGoal({ atLeast, atMost }: Figure): boolean {
  return atLeast !== undefined || atMost !== undefined;
}

function verdict(figure: Figure): string {
  const { name, value, atLeast, atMost } = figure;
  const goal = atLeast === undefined ? `at most ${atMost}` : `at least ${atLeast}`;
  return `${holds(figure) ? "held  " : "MISSED"}  ${name} ${rounded(value)} (goal: ${goal})`;
}

/** Three digits say all that such a figure can. */
function rounded(value: number): number {
  return Math.abs(value) >= 1_000 ? Math.round(value) : Number(value.toPrecision(3));
}

process.exitCode = await main(process.argv.slice(2));
