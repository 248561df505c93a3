import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { project, start, tidings } from "./process.fixture.ts";

const entry = path.join(project, "bin", "tidings.mjs");
/** Directories in which programs are looked for, but for those that npm adds to its scripts'. */
const outsidePath = (process.env["PATH"] ?? "")
  .split(path.delimiter)
  .filter((dir) => !dir.includes("node_modules") && dir !== path.dirname(process.execPath))
  .join(path.delimiter);
const outside = versionOutside();

/** The version of the Node.js that is installed beside this project's own. */
function versionOutside(): string | undefined {
  try {
    return execFileSync("node", ["--version"], { env: { PATH: outsidePath }, encoding: "utf8" })
      .trim()
      .slice(1);
  } catch {
    return undefined;
  }
}

const noneOutside = outside === undefined && "there is no Node.js beside the project's own";
const noOlderOne =
  (outside === undefined || Number.parseInt(outside, 10) >= 24) && "there is no older Node.js";

function tempDir(t: TestContext): string {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "tidings-entry-"));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A copy of the entry in a project of its own. `node` is a shell script in the place of that project's Node.js. */
function projectWith(t: TestContext, parts: { readonly packages: boolean; readonly node?: string }): string {
  const dir = tempDir(t);
  fs.mkdirSync(path.join(dir, "bin"));
  fs.copyFileSync(entry, path.join(dir, "bin", "tidings.mjs"));
  if (parts.packages) fs.mkdirSync(path.join(dir, "node_modules", ".bin"), { recursive: true });
  if (parts.node !== undefined) {
    fs.writeFileSync(path.join(dir, "node_modules", ".bin", "node"), `#!/bin/sh\n${parts.node}\n`, {
      mode: 0o755,
    });
  }
  return path.join(dir, "bin", "tidings.mjs");
}

test(
  "a command that help prints can be pasted where another Node.js is installed",
  { skip: noneOutside },
  async (t) => {
    const { out } = await tidings(["help"]);
    const printed = out.split("\n").find((line) => line.includes("help key create")) ?? "";
    assert.match(printed, /^ +npx tidings help key create$/);
    const home = tempDir(t);
    const env = {
      PATH: outsidePath,
      HOME: home,
      npm_config_cache: path.join(home, "npm"),
      npm_config_offline: "true",
    };
    const pasted = await start("/bin/sh", ["-c", printed], { env, cwd: project }).ended;
    assert.equal(pasted.code, 0, pasted.err);
    assert.match(pasted.out, /^key create: create an API key/);
  },
);

test(
  "an older Node.js hands over to the project's own, with arguments and exit code",
  { skip: noOlderOne },
  async () => {
    const env = { PATH: outsidePath };
    const version = await start("node", [entry, "version"], { env }).ended;
    assert.match(version.out, new RegExp(`\\(node ${process.versions.node}\\)`));
    const wrong = await start("node", [entry, "srve"], { env }).ended;
    assert.equal(wrong.code, 2);
    assert.match(wrong.err, /Did you mean "serve"/);
  },
);

test("signals reach the Node.js that was handed over to", { skip: noOlderOne }, async (t) => {
  const node = `trap 'exit 7' TERM; echo started >&2; while :; do sleep 0.05; done`;
  const started = start("node", [projectWith(t, { packages: true, node }), "serve"], {
    env: { PATH: outsidePath },
  });
  await started.told("started");
  started.child.kill("SIGTERM");
  assert.equal((await started.ended).code, 7);
});

test(
  "the server ends in good order when the older Node.js that handed over is killed",
  { skip: noOlderOne },
  async (t) => {
    // A database that never answers keeps the start where it is.
    const connections = new Set<net.Socket>();
    const silent = net.createServer((socket) => connections.add(socket.on("error", () => undefined)));
    await once(silent.listen(0, "127.0.0.1"), "listening");
    t.after(() => silent.close());
    const { port } = silent.address() as net.AddressInfo;
    const env = {
      PATH: outsidePath,
      DATABASE_URL: `postgres://me@127.0.0.1:${port}/talk`,
      DATA_DIR: tempDir(t),
    };
    const started = start("node", [entry, "serve"], { env });
    await started.told("connecting to the database");
    started.child.kill("SIGKILL");
    await started.told("stopping");
    for (const socket of connections) socket.destroy();
    assert.match((await started.ended).err, /\nstopped\n$/);
  },
);

test(
  "an older Node.js alone is told in one sentence what to do, and that helps",
  { skip: noOlderOne },
  async (t) => {
    const run = async (packages: readonly string[]) => {
      const copy = projectWith(t, { packages: true });
      for (const name of packages) fs.mkdirSync(path.join(copy, "../../node_modules", name));
      const { code, err } = await start("node", [copy, "serve"], { env: { PATH: outsidePath } }).ended;
      assert.equal(code, 1);
      return err;
    };
    assert.match(
      await run(["node"]),
      /^Tidings needs Node\.js 24\.7 or newer, and this is [\d.]+: run "npm rebuild node[^\n]*\n$/,
    );
    // Without development dependencies there is nothing to rebuild.
    assert.match(await run([]), /: run "npm ci --include=dev", which fetches one [^\n]*\n$/);
  },
);

test("without its packages the program says to install them", async (t) => {
  const { code, err } = await start(process.execPath, [projectWith(t, { packages: false }), "serve"]).ended;
  assert.equal(code, 1);
  assert.equal(err, 'The packages of Tidings are not installed: run "npm ci" first\n');
});
