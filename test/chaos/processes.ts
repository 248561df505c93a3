import fs from "node:fs";
import path from "node:path";
import { clusterDir } from "../../src/embedded/layout.ts";
import { readPostmasterFile, runsCluster } from "../../src/embedded/postmaster.ts";
import { pause } from "../../src/lib/backoff.ts";

export type Found = { readonly pid: number; readonly args: string };

/**
 * Every process that works for this data directory: by its command line, or, for PostgreSQL's own children, which
 * rename themselves, by the directory they stand in. Needs /proc.
 */
export function processesOf(dataDir: string): readonly Found[] {
  return fs
    .readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => {
      const args = look(() => fs.readFileSync(`/proc/${name}/cmdline`, "utf8"));
      const directory = look(() => fs.readlinkSync(`/proc/${name}/cwd`));
      // A zombie has neither.
      if (!args.includes(dataDir) && !isBelow(directory, dataDir)) return [];
      return [{ pid: Number(name), args: args.replaceAll("\0", " ").trim() }];
    });
}

function look(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}

function isBelow(directory: string, parent: string): boolean {
  return directory === parent || directory.startsWith(`${parent}${path.sep}`);
}

/** Postmasters of the data directory. What one has just forked looks the same until it renames itself. */
export function postmastersOf(dataDir: string): readonly Found[] {
  const found = processesOf(dataDir).filter(({ args }) => runsCluster(args, clusterDir(dataDir)));
  const pids = new Set(found.map(({ pid }) => pid));
  return found.filter(({ pid }) => !pids.has(parentOf(pid)));
}

function parentOf(pid: number): number {
  const status = look(() => fs.readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(/^PPid:\s*(\d+)/m.exec(status)?.[1] ?? 0);
}

/** The process id that PostgreSQL's lock file names, once it is up (`ready`) or however far it is. */
export async function postmasterPid(dataDir: string, state: "any" | "ready"): Promise<number | undefined> {
  const file = await readPostmasterFile(clusterDir(dataDir)).catch(() => undefined);
  return file !== undefined && (state === "any" || file.status === "ready") ? file.pid : undefined;
}

/** Waits until no process of the data directory is left; resolves with those that are when the time is over. */
export async function untilNoneLeft(dataDir: string, limitMs: number): Promise<readonly Found[]> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const left = processesOf(dataDir);
    if (left.length === 0 || performance.now() >= deadline) return left;
    await pause(50);
  }
}

/** Ends what is left of the data directory, by force. */
export async function endAll(dataDir: string): Promise<void> {
  for (const { pid } of await untilNoneLeft(dataDir, 3_000)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // Gone meanwhile.
    }
  }
  await untilNoneLeft(dataDir, 5_000);
}
