import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

export type ProcessInfo = {
  readonly parent: number;
  /** The command line, its arguments joined by spaces. */
  readonly args: string;
};

const psTimeoutMs = 5_000;
const run = promisify(execFile);

/** What is known of a living process. Undefined for one that is gone or only waits to be reaped. */
export async function describeProcess(pid: number): Promise<ProcessInfo | undefined> {
  try {
    return process.platform === "linux" ? await fromProc(pid) : await fromPs(pid);
  } catch {
    return undefined;
  }
}

async function fromProc(pid: number): Promise<ProcessInfo | undefined> {
  const [status, cmdline] = await Promise.all([
    readFile(`/proc/${pid}/status`, "utf8"),
    readFile(`/proc/${pid}/cmdline`, "utf8"),
  ]);
  const parent = /^PPid:\s*(\d+)/m.exec(status)?.[1];
  // A zombie has no command line any more.
  if (parent === undefined || cmdline === "") return undefined;
  return { parent: Number(parent), args: cmdline.replaceAll("\0", " ").trimEnd() };
}

async function fromPs(pid: number): Promise<ProcessInfo | undefined> {
  const { stdout } = await run("ps", ["-ww", "-o", "ppid=,args=", "-p", String(pid)], {
    timeout: psTimeoutMs,
  });
  const match = /^\s*(\d+)\s+(\S[^]*)$/.exec(stdout.trimEnd());
  return match?.[1] === undefined || match[2] === undefined
    ? undefined
    : { parent: Number(match[1]), args: match[2] };
}
