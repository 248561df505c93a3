import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { StartupError } from "../lib/errors.ts";
import { asRoot, isAlive, tempDir, until } from "./embedded.fixture.ts";
import { faultIn, faultLengthMax, runProgram, saidLengthMax } from "./program.ts";

/** Writes its own number and that of a child into a file, and waits for ever. */
const endless = 'sleep 1000 & echo "$$ $!" >"$0.new" && mv "$0.new" "$0"; wait';

async function pidsIn(file: string): Promise<readonly number[]> {
  await until("the program runs", 10_000, async () => fs.existsSync(file));
  return fs.readFileSync(file, "utf8").trim().split(" ").map(Number);
}

async function untilGone(pids: readonly number[]): Promise<void> {
  await until("the program and its child are gone", 10_000, async () => {
    return (await Promise.all(pids.map(isAlive))).every((alive) => !alive);
  });
}

test("a program that is given up ends with all that it has started", async (t) => {
  const file = path.join(tempDir(t), "pids");
  const wanted = new AbortController();
  const options = { account: undefined, timeoutMs: 60_000, signal: wanted.signal };
  const running = runProgram("/bin/sh", ["-c", endless, file], options);
  const pids = await pidsIn(file);
  wanted.abort(new Error("not wanted any more"));
  await assert.rejects(running, /not wanted any more/);
  await untilGone(pids);
});

/** Ends when it is told to, but its child, which holds its standard error, does not. */
const stubborn =
  '(trap "" TERM; while :; do sleep 1; done) & echo "$$ $!" >"$0.new" && mv "$0.new" "$0"; wait';

test("a program that is given up ends with a child that does not want to", { timeout: 60_000 }, async (t) => {
  const file = path.join(tempDir(t), "pids");
  const wanted = new AbortController();
  const options = { account: undefined, timeoutMs: 60_000, signal: wanted.signal };
  const running = runProgram("/bin/sh", ["-c", stubborn, file], options);
  const pids = await pidsIn(file);
  wanted.abort(new Error("not wanted any more"));
  await assert.rejects(running, /not wanted any more/);
  await untilGone(pids);
});

test(
  "a program that has ended and left a child takes no longer than it may",
  { timeout: 60_000 },
  async (t) => {
    const file = path.join(tempDir(t), "pids");
    const args = ["-c", stubborn.replace(/wait$/, "exit 0"), file];
    const running = runProgram("/bin/sh", args, { account: undefined, timeoutMs: 500 });
    await assert.rejects(running, new StartupError("sh did not end within 0.5 seconds"));
    await untilGone(await pidsIn(file));
  },
);

test("a program takes no longer than it may, and is gone then", async (t) => {
  const file = path.join(tempDir(t), "pids");
  const running = runProgram("/bin/sh", ["-c", endless, file], { account: undefined, timeoutMs: 500 });
  await assert.rejects(running, new StartupError("sh did not end within 0.5 seconds"));
  await untilGone(await pidsIn(file));
});

for (const [which, script] of Object.entries({ program: endless, "program's stubborn child": stubborn }))
  test(`a ${which} does not outlive a Node that is killed`, async (t) => {
    const file = path.join(tempDir(t), "pids");
    const source = `
    const { runProgram } = await import(${JSON.stringify(new URL("program.ts", import.meta.url).href)});
    const args = ["-c", ${JSON.stringify(script)}, ${JSON.stringify(file)}];
    await runProgram("/bin/sh", args, { account: undefined, timeoutMs: 60_000 });`;
    const node = spawn(process.execPath, ["--input-type=module", "--eval", source], { stdio: "ignore" });
    const pids = await pidsIn(file);
    node.kill("SIGKILL");
    await once(node, "exit");
    await untilGone(pids);
  });

test("a program that fails is told by its first fault, without time and process", async () => {
  const run = (script: string): Promise<void> =>
    runProgram("/bin/sh", ["-c", script], { account: undefined, timeoutMs: 60_000 });
  await run("exit 0");
  await assert.rejects(run("exit 3"), new StartupError("sh failed: it ended with code 3"));
  const fullDisk = [
    '2026-11-21 14:23:02.638 UTC [19766] FATAL:  could not extend file "base/1/2691": No space left on device',
    "2026-11-21 14:23:02.638 UTC [19766] HINT:  Check free disk space.",
    "2026-11-21 14:23:02.639 UTC [19766] PANIC:  cannot abort transaction 1, it was already committed",
    "child process was terminated by signal 6: Aborted",
  ].join("\n");
  const first = 'could not extend file "base/1/2691": No space left on device';
  assert.equal(faultIn(fullDisk), first);
  assert.equal(
    faultIn('initdb: error: directory "/x" exists but is not empty\ninitdb: hint: Y'),
    'directory "/x" exists but is not empty',
  );
  assert.equal(faultIn("\nnothing like it\n"), "nothing like it");
  assert.equal(faultIn(""), undefined);
  await assert.rejects(run(`echo '${fullDisk}' >&2; exit 1`), new StartupError(`sh failed: ${first}`));
});

test("of a program that says too much, only the beginning is kept, and a line of it told", async () => {
  const failure = async (lead: number): Promise<string> => {
    const args = [
      "-c",
      'head -c "$0" /dev/zero | tr "\\0" "x" >&2; echo >&2; echo "FATAL: y" >&2; exit 1',
      String(lead),
    ];
    const error = await runProgram("/bin/sh", args, { account: undefined, timeoutMs: 60_000 }).catch(String);
    return String(error);
  };
  const rest = "\nFATAL: y".length;
  assert.equal(await failure(saidLengthMax - rest), "StartupError: sh failed: y");
  assert.equal(await failure(saidLengthMax), `StartupError: sh failed: ${"x".repeat(faultLengthMax)}`);
});

test("a program that is not there, or not for this system, is told with what can be done", async (t) => {
  const foreign = path.join(tempDir(t), "foreign");
  fs.writeFileSync(foreign, "#!/lib/ld-of-another-system.so\n", { mode: 0o755 });
  for (const file of [foreign, `${foreign}.not`]) {
    await assert.rejects(
      runProgram(file, [], { account: undefined, timeoutMs: 60_000 }),
      (error) =>
        error instanceof StartupError &&
        /^The embedded PostgreSQL does not run on this system \(.+\): set DATABASE_URL/.test(error.message),
    );
  }
});

test("a program runs as the account that it is given", { skip: !asRoot && "needs root" }, async (t) => {
  const dir = tempDir(t);
  const account = { name: "nobody", uid: 65_534, gid: 65_534 };
  fs.chownSync(dir, account.uid, account.gid);
  const file = path.join(dir, "who");
  await runProgram("/bin/sh", ["-c", 'id -u >"$0"', file], { account, timeoutMs: 60_000 });
  assert.equal(fs.readFileSync(file, "utf8"), "65534\n");
});
