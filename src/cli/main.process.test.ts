import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { main, start, tidings } from "./process.fixture.ts";
import { verbs } from "./verbs.ts";

test("help lists every verb with its example", async () => {
  const { code, out } = await tidings(["help"]);
  assert.equal(code, 0);
  for (const { name, example } of verbs) {
    assert.ok(out.includes(`  ${name} `) && out.includes(`npx tidings ${example}`), name);
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

test("output that cannot be written is told in one line", async () => {
  if (!existsSync("/dev/full")) return;
  const { code, err } = await start("/bin/sh", [
    "-c",
    `exec "$0" "$1" help >/dev/full`,
    process.execPath,
    main,
  ]).ended;
  assert.equal(code, 1);
  assert.match(err, /^The output cannot be written: [^\n]*\n$/);
});

test("a database that is not there is told in one line without its password", async () => {
  const closed = createServer();
  await once(closed.listen(0, "127.0.0.1"), "listening");
  const { port } = closed.address() as AddressInfo;
  await new Promise((resolve) => closed.close(resolve));
  const DATABASE_URL = `postgres://me:hunter2@127.0.0.1:${port}/talk`;
  for (const verb of [["key", "list"], ["migrate"], ["serve"]]) {
    const { code, err } = await tidings(verb, { DATABASE_URL, DATA_DIR: tmpdir() });
    assert.equal(code, 1);
    const last = err.trim().split("\n").at(-1) ?? "";
    assert.match(
      last,
      new RegExp(`^PostgreSQL at 127\\.0\\.0\\.1:${port}/talk cannot be used: .*ECONNREFUSED`),
    );
    assert.doesNotMatch(err, /hunter2|\n +at /);
  }
});

test("help of serve shows every setting with its group and default", async () => {
  const { code, out } = await tidings(["serve", "--help"]);
  assert.equal(code, 0);
  assert.match(out, /Listening\n/);
  assert.match(out, /--port, PORT {2}\(5000\)\n {6}port of the HTTP API/);
});

test("a fault of the configuration is told in one line without a stack, unless one debugs", async () => {
  const { code, err } = await tidings(["serve"], { PORT: "high" });
  assert.equal(code, 1);
  assert.match(err, /^PORT: must be a whole number[^\n]*\n$/);
  const debugged = await tidings(["serve", "--log-level", "debug"], { PORT: "high" });
  assert.match(debugged.err, /StartupError: PORT[^\n]*\n +at /);
});

test("the same fault in a flag is a wrong command line: it ends with 2 and names the flag", async () => {
  const { code, err } = await tidings(["serve", "--port", "high"]);
  assert.equal(code, 2);
  assert.match(err, /^--port must be a whole number[^\n]*\nWhat there is: npx tidings help serve\n$/);
});

test("a verb that help does not know leads to help itself", async () => {
  const { code, err } = await tidings(["help", "foo"]);
  assert.equal(code, 2);
  assert.match(err, /^There is no verb "foo"\.[^\n]*\nWhat there is: npx tidings help\n$/);
});

test("serve does not open a development secret to the network, and config says so before", async () => {
  for (const verb of ["serve", "config"]) {
    const { code, err } = await tidings([verb, "--host", "0.0.0.0"]);
    assert.equal(code, 1);
    assert.match(err, /set JWT_SECRET/);
    assert.equal(err.trim().split("\n").length, 1);
  }
});

test("flags win over the environment, which wins over the file .env", async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), "tidings-env-"));
  t.after(() => rm(directory, { recursive: true }));
  await writeFile(
    path.join(directory, ".env"),
    "PORT=1001\nEMBEDDED_USER=nobody\nJWT_SECRET=from-a-file-and-never-to-be-shown\n",
  );
  const { out } = await tidings(["config", "--json", "--port", "1003"], { PORT: "1002" }, directory);
  const rows = JSON.parse(out) as { option: string; value: string }[];
  const values = Object.fromEntries(rows.map(({ option, value }) => [option, value]));
  assert.deepEqual(
    [values["PORT"], values["EMBEDDED_USER"], values["JWT_SECRET"]],
    ["1003", "nobody", "(secret)"],
  );
});

test("an empty value in the environment hides nothing that the file .env says", async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), "tidings-env-"));
  t.after(() => rm(directory, { recursive: true }));
  await writeFile(path.join(directory, ".env"), "PORT=1001\n");
  const { out } = await tidings(["config", "--json"], { PORT: "" }, directory);
  const rows = JSON.parse(out) as { option: string; value: string }[];
  assert.equal(rows.find(({ option }) => option === "PORT")?.value, "1001");
});

test("config shows where the data really lies: for root, below a closed directory, elsewhere", async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), "tidings-env-"));
  t.after(() => rm(directory, { recursive: true }));
  const dataDir = async (...args: readonly string[]) => {
    const { out } = await tidings(["config", "--json", ...args], {}, directory);
    const rows = JSON.parse(out) as { option: string; value: string; from: string }[];
    const row = rows.find(({ option }) => option === "DATA_DIR");
    return [row?.value, row?.from];
  };
  const [usual, from] = await dataDir();
  assert.equal(from, "default");
  if (process.getuid?.() === 0) assert.match(usual ?? "", /^\/var\/lib\/tidings\/tidings-env-/);
  else assert.equal(usual, path.join(directory, ".tidings"));
  await chmod(directory, 0o755);
  assert.deepEqual(await dataDir("--data-dir", "data"), [path.join(directory, "data"), "set"]);
});

test("a file .env that cannot be read is named", async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), "tidings-env-"));
  t.after(() => rm(directory, { recursive: true }));
  await mkdir(path.join(directory, ".env"));
  const { code, err } = await tidings(["config"], {}, directory);
  assert.equal(code, 1);
  assert.ok(err.startsWith(`${path.join(directory, ".env")} cannot be read: `), err);
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
      entrance: { kind: "own" },
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
  const { child, ended, told } = start(process.execPath, ["--input-type=module", "-e", serveWithStub]);
  await told("is ready");
  child.kill("SIGTERM");
  const { code, out, err } = await ended;
  assert.equal(code, 0);
  assert.equal((JSON.parse(out) as { msg: string }).msg, "server started");
  assert.match(
    err,
    /^starting the database …\nTidings .*\n[^]*stopping: finishing what was accepted…\nfinishing …\nstopped\n$/,
  );
});

test("options that this version ignores are named at the start, once", async () => {
  const { child, ended, told } = start(process.execPath, ["--input-type=module", "-e", serveWithStub], {
    env: { REDIS_URL: "redis://cache:6379", KAFKA_BROKERS: "a:9092" },
  });
  await told("is ready");
  child.kill("SIGTERM");
  const { code, out } = await ended;
  assert.equal(code, 0);
  const [warning, ...rest] = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { level: string; options?: string[]; msg: string });
  assert.deepEqual([warning?.level, warning?.options], ["warn", ["KAFKA_BROKERS", "REDIS_URL"]]);
  assert.match(warning?.msg ?? "", /not used yet/);
  assert.ok(!rest.some(({ level }) => level === "warn"));
});

test("a second Ctrl-C ends a server that hangs at once, with 130", async () => {
  const { child, ended, told } = start(process.execPath, ["--input-type=module", "-e", serveWithStub], {
    env: { HANG: "1" },
  });
  await told("is ready");
  child.kill("SIGINT");
  await told("press Ctrl-C again");
  // A press repeated within half a second is npm's copy of the first; later ones are meant.
  const again = setInterval(() => child.kill("SIGINT"), 100);
  const { code } = await ended;
  clearInterval(again);
  assert.equal(code, 130);
});
