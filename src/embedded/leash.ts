import { spawn } from "node:child_process";
import os from "node:os";
import { type Account, spawnIdentity } from "./account.ts";

/**
 * The leash: a shell between Node and postgres that outlives Node just long enough to stop postgres.
 *
 * Node holds one end of a pipe. A watcher in the shell reads orders from the other end, one signal name a line; at
 * the end of the file, which the kernel delivers however Node died, it asks for a fast shutdown until postgres is
 * gone. The shell itself waits for postgres, ends the watcher and exits with the status of postgres.
 *
 * The shell and its watcher ignore what a terminal or a service manager sends to the whole group, so that they are
 * there to the end. postgres inherits that and the ignored SIGINT of a background job, and sets its own handlers as
 * it starts; a signal before that moment is lost, hence the repetition. `3` is the pipe, and only the watcher keeps it.
 */
const script = `
trap '' HUP INT TERM
exec 3<&0 </dev/null
shift
"$@" 3<&- >&2 &
postgres=$!
(
  while read -r order <&3; do kill -s "$order" "$postgres"; done
  while kill -s INT "$postgres"; do sleep 1 3<&-; done
) >/dev/null 2>&1 &
watcher=$!
exec 3<&-
echo "$postgres"
exec >&2
wait "$postgres"
status=$?
kill -s KILL "$watcher"
exit "$status"
`;

/** The shell's $0, by which another process finds out what it is looking at. It is followed by Node's process id. */
const marker = "tidings-leash";

export type Exit = {
  readonly code: number | null;
  readonly signal: string | null;
  /** The shell could not be started, or it died itself: then postgres may live on as an orphan. */
  readonly broken?: string;
};

export type Leash = {
  /** The process id of postgres; undefined if the shell ended before it got that far. */
  readonly postgres: Promise<number | undefined>;
  readonly ended: Promise<Exit>;
  order(signal: "INT" | "QUIT"): void;
  /** Lets go: postgres is told to stop, and this process no longer waits for it. */
  release(): void;
};

/** Starts a command on a leash. `stderr` is a file descriptor that takes everything it prints. */
export function startOnLeash(
  command: readonly string[],
  options: {
    readonly stderr: number;
    readonly account: Account | undefined;
    readonly env: Readonly<Record<string, string>>;
  },
): Leash {
  const child = spawn("/bin/sh", ["-c", script, marker, String(process.pid), ...command], {
    ...spawnIdentity(options.account),
    env: options.env,
    // The directory this process runs in may be closed to the account.
    cwd: "/",
    // A session of its own: Ctrl-C in a terminal reaches only Node, which stops postgres after its own work.
    detached: true,
    stdio: ["pipe", "pipe", options.stderr],
  });
  // Without both streams where the system has no more descriptors; that shows as an error, and so as the end.
  const { stdin, stdout } = child;
  // The shell may be gone before an order is written; that, too, shows as its end.
  stdin?.on("error", () => undefined);
  const ended = new Promise<Exit>((resolve) => {
    child.once("error", (error) => resolve({ code: null, signal: null, broken: error.message }));
    child.once("exit", (code, signal) => resolve(exitOf(code, signal)));
  });
  const closePipes = (): void => {
    stdin?.destroy();
    stdout?.destroy();
  };
  void ended.then(closePipes);
  return {
    postgres: readPid(stdout, ended),
    ended,
    order: (signal) => {
      if (stdin?.writable === true) stdin.write(`${signal}\n`);
    },
    release: () => {
      closePipes();
      child.unref();
    },
  };
}

/** The process that holds the leash whose command line this is; undefined if it is another command. */
export function leashHolder(args: string): number | undefined {
  const match = new RegExp(`\\s${marker} (\\d+) `).exec(args);
  return match === null ? undefined : Number(match[1]);
}

async function readPid(
  stdout: NodeJS.ReadableStream | null,
  ended: Promise<unknown>,
): Promise<number | undefined> {
  let text = "";
  stdout?.setEncoding("utf8");
  const answered = new Promise<void>((resolve) => {
    stdout?.on("data", (chunk: string) => {
      text += chunk;
      if (text.includes("\n")) resolve();
    });
    stdout?.on("error", () => resolve());
  });
  await Promise.race([answered, ended]);
  const pid = Number(text.trim());
  return pid > 0 ? pid : undefined;
}

/** A shell reports the death of its child by a signal as 128 plus the signal's number. */
function exitOf(code: number | null, signal: NodeJS.Signals | null): Exit {
  if (signal !== null) return { code: null, signal: null, broken: `its shell was ended by ${signal}` };
  const number = (code ?? 0) - 128;
  const name = Object.entries(os.constants.signals).find(([, value]) => value === number)?.[0];
  return name === undefined ? { code, signal: null } : { code: null, signal: name };
}
