import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { startEmbedded } from "./embedded.ts";
import {
  hasPostmaster,
  isAlive,
  leashOf,
  optionsFor,
  query,
  start,
  startHolder,
  tempDir,
  until,
  untilUsable,
} from "./embedded.fixture.ts";

/** `leashOf` looks for the watcher among all processes. */
const linuxOnly = process.platform !== "linux" && "needs /proc";

test("when Node is killed, PostgreSQL shuts down in good order", async (t) => {
  const dataDir = tempDir(t);
  const holder = await startHolder(t, dataDir);
  holder.kill();
  await until("postmaster gone", 5_000, async () => !(await isAlive(holder.postmaster)));
  assert.ok(!fs.existsSync(path.join(dataDir, "postgres", "postmaster.pid")));
});

test("a start right after Node was killed waits for the old PostgreSQL to go", async (t) => {
  const dataDir = tempDir(t);
  const holder = await startHolder(t, dataDir);
  holder.kill();
  const embedded = await start(t, dataDir);
  await untilUsable(embedded.address, 5_000);
  await until("own postmaster", 5_000, async () => ![holder.postmaster, undefined].includes(embedded.pid()));
});

test("when the postmaster is killed, it is back within two seconds with all that was committed", async (t) => {
  const embedded = await start(t, tempDir(t));
  const killed = embedded.pid() ?? 0;
  await query(embedded.address, "create table kept as select 1 as n");
  process.kill(killed, "SIGKILL");
  await until("it was noticed", 2_000, async () => embedded.pid() !== killed);
  await untilUsable(embedded.address, 2_000);
  assert.deepEqual(await query(embedded.address, "select n from kept"), [{ n: 1 }]);
  await until("new postmaster", 2_000, async () => embedded.pid() !== undefined);
  assert.notEqual(embedded.pid(), killed);
});

test("when the leash is killed, PostgreSQL is put on a new one", { skip: linuxOnly }, async (t) => {
  const embedded = await start(t, tempDir(t));
  const first = embedded.pid() ?? 0;
  const { shell, watcher } = await leashOf(first);
  process.kill(watcher, "SIGKILL");
  process.kill(shell, "SIGKILL");
  await until("new postmaster", 5_000, async () => ![first, undefined].includes(embedded.pid()));
  await untilUsable(embedded.address, 2_000);
  assert.equal(await isAlive(first), false);
});

test("a PostgreSQL that nobody holds is replaced", { skip: linuxOnly }, async (t) => {
  const dataDir = tempDir(t);
  const holder = await startHolder(t, dataDir);
  const { shell, watcher } = await leashOf(holder.postmaster);
  process.kill(watcher, "SIGKILL");
  holder.kill();
  await holder.exited;
  process.kill(shell, "SIGKILL");
  assert.ok(await isAlive(holder.postmaster), "an orphan is left");
  const embedded = await start(t, dataDir);
  assert.notEqual(embedded.pid(), holder.postmaster);
  assert.equal(await isAlive(holder.postmaster), false);
  assert.equal((await query(embedded.address, "select 1")).length, 1);
});

test("a leash without a watcher does not keep a new start waiting", { skip: linuxOnly }, async (t) => {
  const dataDir = tempDir(t);
  const holder = await startHolder(t, dataDir);
  process.kill((await leashOf(holder.postmaster)).watcher, "SIGKILL");
  holder.kill();
  await holder.exited;
  const embedded = await start(t, dataDir);
  assert.notEqual(embedded.pid(), holder.postmaster);
});

test("a stop in the middle of a restart leaves nothing behind", async (t) => {
  const dataDir = tempDir(t);
  const embedded = await start(t, dataDir);
  const killed = embedded.pid() ?? 0;
  process.kill(killed, "SIGKILL");
  await until("it was noticed", 2_000, async () => embedded.pid() !== killed);
  await embedded.stop();
  assert.equal(await hasPostmaster(dataDir), false);
});

test("when the process that holds PostgreSQL dies, one that uses it starts its own", async (t) => {
  const dataDir = tempDir(t);
  const holder = await startHolder(t, dataDir);
  const embedded = await start(t, dataDir);
  assert.equal(embedded.pid(), holder.postmaster);
  await query(embedded.address, "create table kept as select 1 as n");
  holder.kill();
  await until("own postmaster", 5_000, async () => ![holder.postmaster, undefined].includes(embedded.pid()));
  assert.deepEqual(await query(embedded.address, "select n from kept"), [{ n: 1 }]);
});

test("two starts at the same time share one PostgreSQL, and the second keeps it going", async (t) => {
  const dataDir = tempDir(t);
  const [one, two] = await Promise.all([start(t, dataDir), start(t, dataDir)]);
  const postmaster = one.pid();
  assert.equal(two.pid(), postmaster);
  assert.deepEqual(one.address, two.address);
  assert.deepEqual(
    fs.readdirSync(dataDir).filter((name) => name.startsWith("postgres")),
    ["postgres", "postgres-log"],
  );

  await Promise.all([one, two].map(({ address }) => query(address, "select 1")));
  // One of them holds it and the other one only uses it: whichever goes, the one that stays has a database.
  await one.stop();
  await untilUsable(two.address, 5_000);
  await two.stop();
  assert.equal(await isAlive(postmaster ?? 0), false);
});

test("two processes that start at the same time share one PostgreSQL", async (t) => {
  const dataDir = tempDir(t);
  const [one, two] = await Promise.all([startHolder(t, dataDir), startHolder(t, dataDir)]);
  assert.equal(one.postmaster, two.postmaster);
  const user = await startEmbedded(optionsFor(dataDir));
  assert.equal(user.pid(), one.postmaster);
  await user.stop();
  assert.ok(await isAlive(one.postmaster), "a process that only used it leaves it running");
});

test(
  "a lock file that names a living process of another kind is no obstacle",
  { skip: linuxOnly },
  async (t) => {
    const dataDir = tempDir(t);
    const holder = await startHolder(t, dataDir);
    const { shell, watcher } = await leashOf(holder.postmaster);
    for (const pid of [watcher, holder.pid, shell, holder.postmaster]) process.kill(pid, "SIGKILL");
    await until("postmaster gone", 5_000, async () => !(await isAlive(holder.postmaster)));
    // As after the restart of a container, where numbers begin anew. PostgreSQL would wait for this process to end.
    for (const file of ["postgres/postmaster.pid", "run/.s.PGSQL.5432.lock"]) {
      const name = path.join(dataDir, file);
      fs.writeFileSync(name, fs.readFileSync(name, "utf8").replace(/^\d+/, String(process.pid)));
    }
    const embedded = await start(t, dataDir);
    assert.equal((await query(embedded.address, "select 1")).length, 1);
  },
);
