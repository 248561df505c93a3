import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { verbs } from "./verbs.ts";

const main = fileURLToPath(new URL("../main.ts", import.meta.url));

type Ended = { readonly code: number | null; readonly out: string; readonly err: string };

/** Starts Node in an environment of its own; `told` resolves once a text was written to standard error. */
function start(args: readonly string[], env: Record<string, string> = {}, cwd = tmpdir()) {
  const child = spawn(process.execPath, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  const written = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (written.out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (written.err += text));
  const ended = once(child, "close").then(([code]): Ended => ({ code: code as number | null, ...written }));
  const told = async (text: string): Promise<void> => {
    while (!written.err.includes(text)) {
      const died = await Promise.race([once(child.stderr, "data"), ended.then(() => "died" as const)]);
      assert.notEqual(died, "died", `it ended without saying "${text}": ${written.err}`);
    }
  };
  return { child, ended, told };
}

function tidings(args: readonly string[], env?: Record<string, string>, cwd?: string): Promise<Ended> {
  return start([main, ...args], env, cwd).ended;
}

test("help lists every verb with its example", async () => {
  const { code, out } = await tidings(["help"]);
  assert.equal(code, 0);
  for (const { name, example } of verbs) {
    assert.ok(out.includes(`  ${name} `) && out.includes(`node src/main.ts ${example}`), name);
  }
});

test("a mistyped verb and a mistyped option end with 2 and the nearest name", async () => {
  const [verb, option, nothing] = await Promise.all([
    tidings(["srve"]),
    tidings(["serve", "--prot", "1"]),
    tidings([]),
  ]);
  assert.deepEqual([verb.code, option.code, nothing.code], [2, 2, 2]);
  assert.match(verb.err, /Did you mean "serve"\?/);
  assert.match(option.err, /Did you mean "--port"\?/);
  assert.equal(verb.out + option.out + nothing.out, "");
});

test("help of serve shows every setting with its group and default", async () => {
  const { code, out } = await tidings(["serve", "--help"]);
  assert.equal(code, 0);
  assert.match(out, /Listening\n/);
  assert.match(out, /--port, PORT {2}\(5000\)\n {6}port of the HTTP API/);
});

test("a fault of the configuration is told in one line without a stack, unless one debugs", async () => {
  const { code, err } = await tidings(["serve", "--port", "high"]);
  assert.equal(code, 1);
  assert.match(err, /^PORT: must be a whole number[^\n]*\n$/);
  const debugged = await tidings(["serve", "--port", "high", "--log-level", "debug"]);
  assert.match(debugged.err, /StartupError: PORT[^\n]*\n +at /);
});

test("serve does not open a development secret to the network", async () => {
  const { code, err } = await tidings(["serve", "--host", "0.0.0.0"]);
  assert.equal(code, 1);
  assert.match(err, /set JWT_SECRET/);
  assert.equal(err.trim().split("\n").length, 1);
});

test("flags win over the environment, which wins over the file .env", async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), "tidings-env-"));
  t.after(() => rm(directory, { recursive: true }));
  await writeFile(
    path.join(directory, ".env"),
    "PORT=1001\nDB_USER=file\nJWT_SECRET=from-a-file-and-never-to-be-shown\n",
  );
  const { out } = await tidings(["config", "--json", "--port", "1003"], { PORT: "1002" }, directory);
  const rows = JSON.parse(out) as { option: string; value: string }[];
  const values = Object.fromEntries(rows.map(({ option, value }) => [option, value]));
  assert.deepEqual([values["PORT"], values["DB_USER"], values["JWT_SECRET"]], ["1003", "file", "(secret)"]);
});

/** Runs `serve` with an app that only listens to time: what `main.ts` and the signals do is real. */
const serveWithStub = `
  import { createContext } from "${new URL("context.ts", import.meta.url).href}";
  import { serve } from "${new URL("serve.ts", import.meta.url).href}";
  import { createTerminal } from "${new URL("terminal.ts", import.meta.url).href}";
  const terminal = createTerminal({ stdout: process.stdout, stderr: process.stderr, env: {} });
  const startApp = async (config, { log, onProgress }) => {
    onProgress("starting the database");
    log.info("server started");
    const alive = setInterval(() => {}, 1000);
    return {
      deps: { config },
      api: { host: "127.0.0.1", port: 5000 },
      close: async () => {
        onProgress("finishing");
        if (process.env.HANG === undefined) clearInterval(alive);
        else await new Promise(() => {});
      },
    };
  };
  await serve.run({ ...createContext(terminal, process.env), startApp });
`;

test("SIGTERM drains and ends with 0; logs are JSON on standard output, words on standard error", async () => {
  const { child, ended, told } = start(["--input-type=module", "-e", serveWithStub]);
  await told("is ready");
  child.kill("SIGTERM");
  const { code, out, err } = await ended;
  assert.equal(code, 0);
  assert.equal((JSON.parse(out) as { msg: string }).msg, "server started");
  assert.match(err, /^starting the database …\nTidings .*\n[^]*stopping: finishing what was accepted…\n/);
});

test("a second Ctrl-C ends a server that hangs at once, with 130", async () => {
  const { child, ended, told } = start(["--input-type=module", "-e", serveWithStub], { HANG: "1" });
  await told("is ready");
  child.kill("SIGINT");
  await told("press Ctrl-C again");
  // A press repeated within half a second is npm's copy of the first; later ones are meant.
  const again = setInterval(() => child.kill("SIGINT"), 100);
  const { code } = await ended;
  clearInterval(again);
  assert.equal(code, 130);
});
