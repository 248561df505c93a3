import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";

export const main = fileURLToPath(new URL("../main.ts", import.meta.url));
export const project = fileURLToPath(new URL("../..", import.meta.url));

export type Ended = { readonly code: number | null; readonly out: string; readonly err: string };

export type Started = {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves once a text was written to standard error, so many times. */
  readonly told: (text: string, times?: number) => Promise<void>;
  /** The same of standard output. */
  readonly printed: (text: string, times?: number) => Promise<void>;
  /** Types a line, where the program was started with `input`. */
  readonly type: (line: string) => void;
};

/** Starts a program in an environment of its own, at the head of a process group as a terminal's shell would. */
export function start(
  program: string,
  args: readonly string[],
  {
    env = {},
    cwd = tmpdir(),
    input = false,
  }: { readonly env?: Record<string, string>; readonly cwd?: string; readonly input?: boolean } = {},
): Started {
  const stdin = input ? "pipe" : "ignore";
  const child = spawn(program, args, { cwd, env, stdio: [stdin, "pipe", "pipe"], detached: true });
  const written = { out: "", err: "" };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (written.out += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (written.err += text));
  const ended = once(child, "close").then(([code]): Ended => ({ code: code as number | null, ...written }));
  const wrote = async (where: "out" | "err", text: string, times: number): Promise<void> => {
    const stream = where === "out" ? child.stdout : child.stderr;
    assert.ok(stream !== null);
    while (written[where].split(text).length <= times) {
      const died = await Promise.race([once(stream, "data"), ended.then(() => "died" as const)]);
      assert.notEqual(died, "died", `it ended without saying "${text}": ${written.out}${written.err}`);
    }
  };
  return {
    child,
    ended,
    told: (text, times = 1) => wrote("err", text, times),
    printed: (text, times = 1) => wrote("out", text, times),
    type: (line) => child.stdin?.write(`${line}\n`),
  };
}

/** What Ctrl-C does: every process of the group gets it. */
export function pressCtrlC({ child }: Started): void {
  process.kill(-(child.pid ?? 0), "SIGINT");
}

/** Runs one command line with the Node.js of this test. */
export function tidings(
  args: readonly string[],
  env: Record<string, string> = {},
  cwd?: string,
): Promise<Ended> {
  return start(process.execPath, [main, ...args], { env, ...(cwd === undefined ? {} : { cwd }) }).ended;
}
