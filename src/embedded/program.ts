import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { StartupError, errorMessage } from "../lib/errors.ts";
import { type Account, spawnIdentity } from "./account.ts";

/** What an operator can do where the programs do not run. */
export const useOutside = "set DATABASE_URL to a PostgreSQL 15 or newer";

/** What the programs see of this process's environment: nothing that steers PostgreSQL, and no secrets. */
export function programEnv(): Record<string, string> {
  const { PATH = "/usr/bin:/bin", TZ } = process.env;
  return { PATH, LC_ALL: "C", ...(TZ === undefined ? {} : { TZ }) };
}

/**
 * Runs a program that does not outlive Node. Node holds one end of a pipe; at the end of the file, which the kernel
 * delivers however Node died, a watcher ends the whole group, in the end by force: also what the program has started
 * and does not end with it. The shell stays for the program's own status; it is asked to end with the others, and then
 * waits on, and leaves the watcher to its work.
 */
const script = `
asked=
trap 'asked=1' TERM
exec 3<&0 </dev/null
"$@" 3<&- >/dev/null &
program=$!
(
  trap '' TERM
  read -r order <&3
  kill -s TERM 0
  for second in 1 2 3 4 5; do
    sleep 1
    kill -s 0 "$program" || break
  done
  kill -s KILL 0
) >/dev/null 2>&1 &
watcher=$!
exec 3<&-
wait "$program"
status=$?
while kill -s 0 "$program" 2>/dev/null; do
  wait "$program"
  status=$?
done
[ "$asked" ] || kill -s KILL "$watcher" 2>/dev/null
exit "$status"
`;

/** How long a program that is given up may take with all that it has started, milliseconds; then it is killed. */
const endMaxMs = 5_000;

/** Of what it prints, so much is kept, UTF-16 units; the first fault in it is what counts. */
export const saidLengthMax = 65_536;
/** Of a fault, so much is told. */
export const faultLengthMax = 500;

/**
 * Runs a program to its end, in a session of its own: Ctrl-C in a terminal reaches only Node, which decides what
 * becomes of it. A failure is one sentence. Once `signal` is aborted, the program is ended with all that it has
 * started, and the signal's reason is thrown; after `timeoutMs`, a `StartupError`. That takes `endMaxMs` at most.
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
  const { signal, timeoutMs } = options;
  signal?.throwIfAborted();
  const child = spawn("/bin/sh", ["-c", script, "tidings-program", file, ...args], {
    ...spawnIdentity(options.account),
    cwd: "/",
    env: programEnv(),
    detached: true,
    stdio: ["pipe", "ignore", "pipe"],
  });
  const name = path.basename(file);
  let late = false;
  let killer: NodeJS.Timeout | undefined;
  const abandon = (): void => {
    child.stdin?.destroy();
    killer ??= setTimeout(() => killGroup(child), endMaxMs);
  };
  const timer = setTimeout(() => {
    late = true;
    abandon();
  }, timeoutMs);
  signal?.addEventListener("abort", abandon, { once: true });
  try {
    const { code, said } = await ending(child);
    signal?.throwIfAborted();
    if (late) throw new StartupError(`${name} did not end within ${timeoutMs / 1_000} seconds`);
    if (code === 0) return;
    const fault = faultIn(said);
    // The shell's answers for a program that cannot be executed or is not found: the file may be there, but not the
    // loader that it asks for, as on a system with another C library.
    if (code === 126 || code === 127) throw foreignSystem(fault ?? "");
    throw new StartupError(`${name} failed: ${fault ?? endOf(code)}`);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abandon);
    child.stdin?.destroy();
    // The watcher is left, which would wait for its second.
    if (killer !== undefined) killGroup(child);
    clearTimeout(killer);
  }
}

/** What has left the group can no longer be ended, but is not waited for either. */
function killGroup({ pid, stderr }: ChildProcess): void {
  stderr?.destroy();
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // Nobody is left.
  }
}

type Ending = { readonly code: number | null; readonly said: string };

/** Waits until nobody holds the program's standard error any more: its children are gone, too. */
async function ending(child: ChildProcess): Promise<Ending> {
  let said = "";
  // Without streams where the system has no more descriptors; that shows as the child's error.
  child.stdin?.on("error", () => undefined);
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said += text.slice(0, saidLengthMax - said.length);
  });
  try {
    const [code] = (await once(child, "close")) as [number | null];
    return { code, said };
  } catch (error) {
    throw new StartupError(`/bin/sh cannot be started: ${errorMessage(error)}`, { cause: error });
  }
}

/** A shell reports the death of its child by a signal as 128 plus the signal's number. */
function endOf(code: number | null): string {
  return code !== null && code > 128 ? `it was ended by signal ${code - 128}` : `it ended with code ${code}`;
}

/** What went wrong first, without time and process: what a program says after that may only be its giving up. */
export function faultIn(said: string): string | undefined {
  const lines = said.split("\n").filter((line) => line.trim() !== "");
  const first = lines.find((line) => /\b(error|fatal|FATAL|PANIC|cannot|not found)\b/.test(line));
  const told = (first ?? lines.at(-1))?.replace(/^.*?\b(?:error|fatal|FATAL|PANIC): +/, "");
  return told?.slice(0, faultLengthMax);
}

export function foreignSystem(reason: string, cause?: unknown): StartupError {
  const because = reason === "" ? "" : ` (${reason})`;
  return new StartupError(`The embedded PostgreSQL does not run on this system${because}: ${useOutside}`, {
    cause,
  });
}
