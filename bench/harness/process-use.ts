import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";

const kibibytesPerMegabyte = 1_000_000 / 1_024;
/** Linux counts in hundredths of a second, whatever its clock does. */
const ticksPerSecond = 100;

/** Resident memory of a process, megabytes. */
export async function residentMb(pid: number): Promise<number> {
  const { stdout } = await promisify(execFile)("ps", ["-o", "rss=", "-p", String(pid)]);
  return Number(stdout.trim()) / kibibytesPerMegabyte;
}

const lookEveryMs = 500;

/** The most memory that a process has while `work` runs, megabytes. */
export async function peakMb(pid: number, work: () => Promise<void>): Promise<number> {
  let peak = await residentMb(pid);
  const look = async (): Promise<void> => {
    peak = Math.max(peak, await residentMb(pid));
  };
  const looking = setInterval(() => void look(), lookEveryMs);
  try {
    await work();
    await look();
  } finally {
    clearInterval(looking);
  }
  return peak;
}

/** CPU time that a process has used, user and system, seconds. */
export async function cpuSeconds(pid: number): Promise<number> {
  if (process.platform === "linux") {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name, in parentheses, may hold anything; utime and stime are the 12th and 13th field behind it.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  }
  const { stdout } = await promisify(execFile)("ps", ["-o", "time=", "-p", String(pid)]);
  return stdout
    .trim()
    .split(":")
    .reduce((sum, part) => sum * 60 + Number(part), 0);
}
