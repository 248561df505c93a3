import { readFile } from "node:fs/promises";
import path from "node:path";
import { pause } from "../lib/backoff.ts";
import { StartupError, errorCodeOf } from "../lib/errors.ts";
import { leashHolder } from "./leash.ts";
import { describeProcess } from "./processes.ts";
import { bringDown } from "./shutdown.ts";

/** What a postmaster says of itself in `postmaster.pid`. Only PostgreSQL ever writes or removes that file. */
export type PostmasterFile = { readonly pid: number; readonly status: string };

export type Finding =
  /** No postmaster lives. `stalePid` is what the file still names: a process that is gone, or that is another program. */
  | { readonly kind: "none"; readonly stalePid: number | undefined }
  /** One lives, held by a living process, which may be this one. */
  | { readonly kind: "leashed"; readonly pid: number }
  /** One lives that nobody holds: whoever started it is dead. */
  | { readonly kind: "orphan"; readonly pid: number };

const pollMs = 50;

export async function readPostmasterFile(cluster: string): Promise<PostmasterFile | undefined> {
  try {
    return parsePostmasterFile(await readFile(path.join(cluster, "postmaster.pid"), "utf8"));
  } catch (error) {
    if (errorCodeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Lines: process id, data directory, start time, port, socket directory, address, shared memory key, status. */
export function parsePostmasterFile(text: string): PostmasterFile | undefined {
  const lines = text.split("\n");
  const pid = Number(lines[0]);
  return Number.isInteger(pid) && pid > 0 ? { pid, status: lines[7]?.trim() ?? "" } : undefined;
}

/** Who, if anybody, runs this cluster at the moment. */
export async function inspectPostmaster(cluster: string): Promise<Finding> {
  const file = await readPostmasterFile(cluster);
  if (file === undefined) return { kind: "none", stalePid: undefined };
  const { pid } = file;
  const postmaster = await describeProcess(pid);
  if (postmaster === undefined || !runsCluster(postmaster.args, cluster)) {
    return { kind: "none", stalePid: pid };
  }
  const parent = await describeProcess(postmaster.parent);
  const holder = parent === undefined ? undefined : leashHolder(parent.args);
  // A shell whose Node died is adopted by another process: then its parent is not the one it was started by.
  return { kind: holder !== undefined && parent?.parent === holder ? "leashed" : "orphan", pid };
}

/** Whether a command line is that of this cluster's postmaster. A leash also names the cluster, in its arguments. */
export function runsCluster(args: string, cluster: string): boolean {
  return `${args} `.includes(` -D ${cluster} `) && leashHolder(args) === undefined;
}

/** Whether `pid` is still a postmaster of this cluster, and not a later process of the same number. */
export async function isPostmaster(pid: number, cluster: string): Promise<boolean> {
  const info = await describeProcess(pid);
  return info !== undefined && runsCluster(info.args, cluster);
}

/** Stops the postmaster that nobody holds, if there is one. */
export async function stopOrphan(cluster: string): Promise<void> {
  const found = await inspectPostmaster(cluster);
  if (found.kind !== "orphan") return;
  const { pid } = found;
  await bringDown({
    send: (signal) => sendSignal(pid, signal),
    goneWithin: async (ms) => {
      const deadline = performance.now() + ms;
      while (await isPostmaster(pid, cluster)) {
        if (performance.now() >= deadline) return false;
        await pause(pollMs);
      }
      return true;
    },
  });
}

function sendSignal(pid: number, signal: "INT" | "QUIT"): void {
  try {
    process.kill(pid, `SIG${signal}`);
  } catch (error) {
    const code = errorCodeOf(error);
    if (code === "EPERM") {
      throw new StartupError(
        `The database is still run by process ${pid} of another user: stop that process`,
        { cause: error },
      );
    }
    if (code !== "ESRCH") throw error;
  }
}
