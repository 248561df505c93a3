import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { StartupError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import { chooseAccount } from "./account.ts";
import { findPackage } from "./binaries.ts";
import { startEmbedded } from "./embedded.ts";
import { asRoot, atEnd, optionsFor, query, start, startAsOrdinaryUser, tempDir } from "./embedded.fixture.ts";

const onLinuxAsRoot = asRoot && process.platform === "linux";

/** The package as npm leaves it when install scripts are forbidden. */
function unlinkedPackage(t: TestContext): string {
  const root = path.join(tempDir(t), "package");
  fs.cpSync(findPackage(), root, { recursive: true, verbatimSymlinks: true });
  for (const name of fs.readdirSync(path.join(root, "native/lib"))) {
    const file = path.join(root, "native/lib", name);
    if (fs.lstatSync(file).isSymbolicLink()) fs.rmSync(file);
  }
  return root;
}

test("the server runs although the package's install script did not", async (t) => {
  const packageRoot = unlinkedPackage(t);
  const { address } = await start(t, tempDir(t), { packageRoot });
  assert.equal((await query(address, "select 1")).length, 1);
  assert.ok(fs.existsSync(path.join(packageRoot, "native/lib/libpq.so.5")));
});

test("a read-only package without its links is used from a copy", async (t) => {
  const packageRoot = unlinkedPackage(t);
  execFileSync("chmod", ["-R", "a-w", packageRoot]);
  atEnd(t, () => execFileSync("chmod", ["-R", "u+w", packageRoot]));
  const dataDir = tempDir(t);
  // Root may write everywhere, so it is another user's start that is looked at.
  await startAsOrdinaryUser(dataDir, { packageRoot });
  assert.ok(!fs.existsSync(path.join(packageRoot, "native/lib/libpq.so.5")));
  assert.ok(fs.readdirSync(dataDir).some((name) => name.startsWith("postgresql-18")));
});

test(
  "a package that only root can reach is used from a copy",
  { skip: !asRoot && "needs root" },
  async (t) => {
    const packageRoot = unlinkedPackage(t);
    fs.chmodSync(path.dirname(packageRoot), 0o700);
    const copies = path.join(tempDir(t), "copies");
    const { address } = await start(t, tempDir(t), { packageRoot, copies });
    assert.equal((await query(address, "select 1")).length, 1);
    assert.deepEqual(
      fs.readdirSync(packageRoot + "/native/lib").filter((name) => name === "libpq.so"),
      [],
    );
  },
);

test(
  "root's database runs as another user without root's groups",
  { skip: !onLinuxAsRoot && "needs root and /proc" },
  async (t) => {
    const dataDir = tempDir(t);
    fs.chmodSync(dataDir, 0o700);
    const embedded = await start(t, dataDir);
    const status = fs.readFileSync(`/proc/${embedded.pid()}/status`, "utf8");
    assert.doesNotMatch(status, /^[UG]id:\s+0/m);
    assert.match(status, /^Groups:\s*$/m);
    assert.equal(fs.statSync(dataDir).uid, 0);
    assert.equal(fs.statSync(dataDir).mode & 0o777, 0o711);
  },
);

test(
  "a closed directory of root's that holds anything else is refused and stays closed",
  { skip: !onLinuxAsRoot && "needs root" },
  async (t) => {
    const home = tempDir(t);
    fs.writeFileSync(path.join(home, "letters"), "");
    fs.chmodSync(home, 0o700);
    await assert.rejects(
      startEmbedded(optionsFor(home)),
      (error) => error instanceof StartupError && error.message.includes(`${home} is closed to that user`),
    );
    assert.equal(fs.statSync(home).mode & 0o777, 0o700);
    assert.deepEqual(fs.readdirSync(home), ["letters"]);
  },
);

test(
  "a closed data directory of root's is opened for PostgreSQL's user, and a warning names it",
  { skip: !onLinuxAsRoot && "needs root" },
  async (t) => {
    const dataDir = tempDir(t);
    fs.writeFileSync(path.join(dataDir, "jwt-secret"), "", { mode: 0o600 });
    fs.chmodSync(dataDir, 0o700);
    const warnings: unknown[] = [];
    const log = { child: () => log, info: () => undefined, warn: (fields: unknown) => warnings.push(fields) };
    // Of the logger, only what the start calls.
    const options = { ...optionsFor(dataDir), log: log as unknown as Logger };
    const embedded = await startEmbedded(options);
    await embedded.stop();
    assert.equal(fs.statSync(dataDir).mode & 0o777, 0o711);
    const user = chooseAccount(tempDir(t), undefined).name;
    assert.deepEqual(warnings, [{ dataDir: fs.realpathSync(dataDir), user }]);
  },
);

test(
  "a data directory that was copied by root is given back",
  { skip: !asRoot && "needs root" },
  async (t) => {
    const dataDir = tempDir(t);
    await (await startEmbedded(optionsFor(dataDir))).stop();
    execFileSync("chown", ["-R", "0:0", dataDir]);
    const { address } = await start(t, dataDir);
    assert.equal((await query(address, "select 1")).length, 1);
  },
);

test(
  "root is told when the data directory cannot be reached",
  { skip: !asRoot && "needs root" },
  async (t) => {
    const closed = tempDir(t);
    fs.chmodSync(closed, 0o700);
    await assert.rejects(
      startEmbedded(optionsFor(path.join(closed, "data"))),
      (error) => error instanceof StartupError && error.message.includes(`${closed} is closed to that user`),
    );
    await assert.rejects(
      startEmbedded({ ...optionsFor(tempDir(t)), user: "no-such-user" }),
      new StartupError('EMBEDDED_USER: there is no system user "no-such-user"'),
    );
  },
);
