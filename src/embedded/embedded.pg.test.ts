import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { StartupError } from "../lib/errors.ts";
import { hasCluster, startEmbedded } from "./embedded.ts";
import {
  atEnd,
  hasPostmaster,
  isAlive,
  optionsFor,
  query,
  start,
  startHolder,
  tempDir,
  until,
} from "./embedded.fixture.ts";

test("the first start makes a database, later ones find it and what is in it", async (t) => {
  const dataDir = tempDir(t);
  const steps: string[] = [];
  const options = { ...optionsFor(dataDir), onProgress: (step: string) => steps.push(step) };
  {
    await using first = await startEmbedded(options);
    await query(first.address, "create table kept as select 1 as n");
  }
  await using second = await startEmbedded(options);
  assert.deepEqual(await query(second.address, "select n from kept"), [{ n: 1 }]);
  assert.deepEqual(steps, ["creating the database cluster", "starting PostgreSQL", "starting PostgreSQL"]);
});

test("it listens on a socket in a private directory only, and its texts stay out of its logs", async (t) => {
  const dataDir = tempDir(t);
  const { address } = await start(t, dataDir);
  const rows = await query(
    address,
    `select name, setting from pg_settings where name in ('listen_addresses', 'max_connections',
     'shared_buffers', 'log_error_verbosity', 'server_encoding', 'lc_collate')`,
  );
  const settings = Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
  assert.equal(settings["listen_addresses"], "");
  assert.equal(settings["max_connections"], "60");
  assert.equal(settings["server_encoding"], "UTF8");
  assert.equal(address.host, path.join(fs.realpathSync(dataDir), "run"));
  assert.equal(fs.statSync(address.host).mode & 0o777, 0o700);

  await query(address, "create table said (text text primary key check (text <> 'sesame'))");
  await query(address, "insert into said values ('open')");
  for (const text of ["sesame", "open"]) {
    await assert.rejects(query(address, `insert into said values ('${text}') -- abracadabra`));
  }
  const logs = path.join(dataDir, "postgres-log");
  const written = (): string =>
    fs
      .readdirSync(logs)
      .map((name) => fs.readFileSync(path.join(logs, name), "utf8"))
      .join("");
  await until("error logged", 2_000, async () => written().includes("violates unique constraint"));
  assert.doesNotMatch(written(), /sesame|\(open\)|abracadabra/);
});

test("stopping ends the process, may be repeated, and lets Node end by itself", async (t) => {
  const holder = await startHolder(t, tempDir(t), "stop");
  await holder.exited;
  assert.equal(await isAlive(holder.postmaster), false);

  const embedded = await startEmbedded(optionsFor(tempDir(t)));
  const pid = embedded.pid() ?? 0;
  await Promise.all([embedded.stop(), embedded.stop()]);
  await embedded.stop();
  assert.equal(await isAlive(pid), false);
  assert.equal(embedded.pid(), undefined);
});

test("a data directory with a long path gets its socket elsewhere", async (t) => {
  const dataDir = path.join(tempDir(t), "d".repeat(100));
  const embedded = await start(t, dataDir);
  const { address } = embedded;
  atEnd(t, () => fs.rmSync(address.host, { recursive: true, force: true }));
  assert.match(address.host, /^\/tmp\/tidings-/);
  assert.equal(fs.statSync(address.host).mode & 0o777, 0o700);
  assert.equal((await query(address, "select 1")).length, 1);
  await embedded.stop();
  assert.ok(!fs.existsSync(address.host), "nothing stays behind in /tmp");
});

test("a path with blanks, commas and quotes is no trouble", async (t) => {
  const { address } = await start(t, path.join(tempDir(t), `a b, "c" 'd' [e]`));
  assert.equal((await query(address, "select 1")).length, 1);
});

test("a cluster of another major version is refused in one sentence", async (t) => {
  const dataDir = tempDir(t);
  const cluster = path.join(dataDir, "postgres");
  fs.mkdirSync(cluster);
  fs.writeFileSync(path.join(cluster, "PG_VERSION"), "16\n");
  await assert.rejects(
    startEmbedded(optionsFor(dataDir)),
    (error) =>
      error instanceof StartupError &&
      /made by PostgreSQL 16 and this release brings PostgreSQL 18/.test(error.message),
  );
});

test("a directory that is no cluster is not touched", async (t) => {
  const dataDir = tempDir(t);
  fs.mkdirSync(path.join(dataDir, "postgres"));
  fs.writeFileSync(path.join(dataDir, "postgres", "diary"), "");
  await assert.rejects(startEmbedded(optionsFor(dataDir)), /is not empty and no database either/);
  assert.deepEqual(fs.readdirSync(path.join(dataDir, "postgres")), ["diary"]);
});

test("a start that fails says why, and leaves nothing running", async (t) => {
  const options = optionsFor(tempDir(t));
  await assert.rejects(
    startEmbedded({ ...options, settings: { ...options.settings, shared_buffers: "plenty" } }),
    (error) =>
      error instanceof StartupError &&
      error.message === 'PostgreSQL does not start: invalid value for parameter "shared_buffers": "plenty"',
  );
  await using healed = await startEmbedded(options);
  assert.equal((await query(healed.address, "select 1")).length, 1);
});

test("a first start that is given up at any step leaves nothing running and no half of a cluster", async (t) => {
  const dataDir = tempDir(t);
  for (const stopAt of ["creating the database cluster", "starting PostgreSQL"]) {
    const wanted = new AbortController();
    const onProgress = (step: string): void => {
      if (step === stopAt) setImmediate(() => wanted.abort(new Error("not wanted any more")));
    };
    await assert.rejects(
      startEmbedded({ ...optionsFor(dataDir), onProgress, signal: wanted.signal }),
      /not wanted any more/,
    );
    assert.equal(await hasPostmaster(dataDir), false, stopAt);
    assert.deepEqual(
      fs.readdirSync(dataDir).filter((name) => name.includes(".new-")),
      [],
      stopAt,
    );
  }
  const { address } = await start(t, dataDir);
  assert.equal((await query(address, "select 1")).length, 1);
});

test("what a killed start has left of a cluster goes with the next start, however young the cluster is", async (t) => {
  const dataDir = tempDir(t);
  await (await startEmbedded(optionsFor(dataDir))).stop();
  const [old, young] = [path.join(dataDir, "postgres.new-0ld"), path.join(dataDir, "postgres.new-young")];
  for (const draft of [old, young]) fs.mkdirSync(path.join(draft, "base"), { recursive: true });
  const longAgo = Date.now() / 1_000 - 3_600;
  fs.utimesSync(old, longAgo, longAgo);
  await start(t, dataDir);
  assert.deepEqual(
    [old, young].map(fs.existsSync),
    [false, true],
    "another process may be writing the young one",
  );
});

test("giving up comes too late once it is started", async (t) => {
  const wanted = new AbortController();
  const embedded = await startEmbedded({ ...optionsFor(tempDir(t)), signal: wanted.signal });
  atEnd(t, () => embedded.stop());
  wanted.abort();
  assert.equal((await query(embedded.address, "select 1")).length, 1);
});

test("whether a data directory holds a database is known without making one", async (t) => {
  const dataDir = path.join(tempDir(t), "data");
  assert.equal(hasCluster(dataDir), false);
  assert.ok(!fs.existsSync(dataDir));
  await start(t, dataDir);
  assert.equal(hasCluster(dataDir), true);
});

test("a file in the place of the data directory is refused, and stays as it is", async (t) => {
  const file = path.join(tempDir(t), "file");
  fs.writeFileSync(file, "a diary", { mode: 0o640 });
  const was = fs.statSync(file).mode;
  await assert.rejects(
    startEmbedded(optionsFor(file)),
    new StartupError(`DATA_DIR ${file} cannot be used: it is not a directory`),
  );
  assert.equal(fs.statSync(file).mode, was);
});

test("a data directory that cannot be made is refused in a sentence that names it", async (t) => {
  const file = path.join(tempDir(t), "file");
  fs.writeFileSync(file, "");
  const impossible = [path.join(file, "data"), `/tmp/${"d".repeat(300)}`];
  // Node's own recursive mkdir never comes back from there.
  if (process.platform === "linux") impossible.push("/proc/tidings/data");
  for (const dataDir of impossible) {
    await assert.rejects(
      startEmbedded(optionsFor(dataDir)),
      (error) =>
        error instanceof StartupError && error.message.startsWith(`DATA_DIR ${dataDir} cannot be used`),
    );
  }
});
