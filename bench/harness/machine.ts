import { readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem, type as systemName } from "node:os";
import path from "node:path";

const gibibyte = 2 ** 30;
const rootModules = path.join(import.meta.dirname, "../../node_modules");
const benchModules = path.join(import.meta.dirname, "../node_modules");

/** What the figures depend on and a reader elsewhere needs to know. */
export function machineFacts(): readonly (readonly [string, string])[] {
  const load = loadavg().map((value) => value.toFixed(2));
  return [
    ["CPU", `${cpus()[0]?.model.trim() ?? "unknown"}, ${availableParallelism()} cores for everything`],
    ["memory", `${(totalmem() / gibibyte).toFixed(1)} GiB`],
    ["system", `${systemName()} ${release()}, load before the run ${load.join(" ")}`],
    ["Node.js", process.versions.node],
    ["libraries", [...versions(rootModules, ours), ...versions(benchModules, peers)].join(", ")],
  ];
}

const ours = ["pg", "fastify", "typebox"];
const peers = ["graphile-worker", "ws", "socket.io"];

function versions(modules: string, names: readonly string[]): string[] {
  return names.map((name) => {
    const file = readFileSync(path.join(modules, name, "package.json"), "utf8");
    return `${name} ${(JSON.parse(file) as { version: string }).version}`;
  });
}
