import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { StartupError, errorCodeOf, errorMessage } from "../lib/errors.ts";
import { type Account, spawnIdentity } from "./account.ts";

/** What an operator can do where the programs do not run. */
export const useOutside = "set DATABASE_URL to a PostgreSQL 15 or newer";

/** What the programs see of this process's environment: nothing that steers PostgreSQL, and no secrets. */
export function programEnv(): Record<string, string> {
  const { PATH = "/usr/bin:/bin", TZ } = process.env;
  return { PATH, LC_ALL: "C", ...(TZ === undefined ? {} : { TZ }) };
}

/**
 * Runs a program to its end, in a session of its own: Ctrl-C in a terminal reaches only Node, which decides what
 * becomes of it. A failure is one sentence. Once `signal` is aborted, the program is ended with all that it has
 * started, and the signal's reason is thrown.
 */
export async function runProgram(
  file: string,
  args: readonly string[],
  options: {
    readonly account: Account | undefined;
    readonly timeoutMs: number;
    readonly signal?: AbortSignal;
  },
): Promise<void> {
  const { signal } = options;
  signal?.throwIfAborted();
  const child = spawn(file, args, {
    ...spawnIdentity(options.account),
    cwd: "/",
    env: programEnv(),
    timeout: options.timeoutMs,
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const abandon = (): void => endGroup(child.pid);
  signal?.addEventListener("abort", abandon, { once: true });
  try {
    const [code, killedBy] = (await once(child, "close")) as [number | null, string | null];
    signal?.throwIfAborted();
    if (code !== 0) {
      const end = killedBy === null ? `it ended with code ${code}` : `it was ended by ${killedBy}`;
      throw new StartupError(`${path.basename(file)} failed: ${faultIn(said) ?? end}`);
    }
  } catch (error) {
    // The file is there, but not the loader it asks for: another C library, as on Alpine.
    if (errorCodeOf(error) === "ENOENT") throw foreignSystem(errorMessage(error), error);
    throw error;
  } finally {
    signal?.removeEventListener("abort", abandon);
  }
}

function endGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, "SIGTERM");
  } catch (error) {
    if (errorCodeOf(error) !== "ESRCH") throw error;
  }
}

function faultIn(said: string): string | undefined {
  const lines = said.split("\n").filter((line) => line.trim() !== "");
  return lines.findLast((line) => /\b(error|fatal|FATAL|PANIC|cannot)\b/.test(line)) ?? lines.at(-1);
}

export function foreignSystem(reason: string, cause?: unknown): StartupError {
  const because = reason === "" ? "" : ` (${reason})`;
  return new StartupError(`The embedded PostgreSQL does not run on this system${because}: ${useOutside}`, {
    cause,
  });
}
