import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import { createServer } from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { hasPostmaster, until } from "../embedded/embedded.fixture.ts";
import { clusterDir } from "../embedded/layout.ts";
import { readPostmasterFile } from "../embedded/postmaster.ts";
import { type Started, main, pressCtrlC, start, tidings } from "./process.fixture.ts";

/** A listener beside a server that runs its own database: whose database that is, whatever happens to either. */

async function freePort(): Promise<number> {
  const server = net.createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function newPlace(t: TestContext) {
  const parent = fs.mkdtempSync(path.join(os.tmpdir(), "tidings-listen-"));
  fs.chmodSync(parent, 0o755);
  t.after(() => fs.rmSync(parent, { recursive: true, force: true }));
  const dataDir = path.join(parent, "data");
  const port = await freePort();
  const env = { DATA_DIR: dataDir, PORT: String(port), METRICS_PORT: "0" };
  const run = (verb: string, ...args: readonly string[]): Started => {
    const started = start(process.execPath, [main, verb, ...args], { env });
    // Only a test that failed leaves it running.
    t.after(() => void started.child.kill("SIGKILL"));
    return started;
  };
  const serve = async (): Promise<Started> => {
    const server = run("serve");
    await server.told("is ready");
    return server;
  };
  const tell = async (message: string): Promise<void> => {
    const { code, err } = await tidings(["notify", "--user", "1", "--message", message], env);
    assert.equal(code, 0, err);
  };
  const postmaster = async () => (await readPostmasterFile(clusterDir(dataDir)))?.pid;
  return { dataDir, port, env, run, serve, tell, postmaster, url: `http://127.0.0.1:${port}` };
}

test("a listener hears on when its server comes back, and never runs the server's database", async (t) => {
  const { dataDir, port, env, run, serve, tell, postmaster, url } = await newPlace(t);
  const away = `No server answers at ${url} (ECONNREFUSED); trying every 1 s\n`;

  const early = run("listen", "--user", "1");
  await early.told(away);
  pressCtrlC(early);
  assert.equal((await early.ended).code, 0);
  assert.ok(!fs.existsSync(dataDir), "where there is no server, nothing is made");

  const first = await serve();
  const created = await tidings(["user", "create", "ann", "--email", "ann@example.com"], env);
  assert.equal(created.code, 0, created.err);
  const listener = run("listen", "--user", "1");
  await tell("one");
  await listener.printed("new   one");

  first.child.kill("SIGTERM");
  assert.match((await first.ended).err, /\nstopped\n$/);
  await listener.told(away);
  assert.equal(await hasPostmaster(dataDir), false, "a server that has stopped takes its database with it");

  const second = await serve();
  await listener.told(`Connected to ${url}.\n`);
  await tell("two");
  await listener.printed("new   two");
  second.child.kill("SIGKILL");
  await second.ended;

  const third = await serve();
  await listener.told(`Connected to ${url}.\n`, 2);
  await tell("three");
  await listener.printed("new   three");
  const pid = await postmaster();
  pressCtrlC(listener);
  const { code, out, err } = await listener.ended;
  assert.deepEqual([code, out.match(/^new {3}\w+/gm)], [0, ["new   one", "new   two", "new   three"]]);
  assert.doesNotMatch(err, /database|postgres|\n +at /i);
  assert.deepEqual([await postmaster(), await hasPostmaster(dataDir)], [pid, true]);
  const { out: people } = await tidings(["user", "list", "--json"], env);
  assert.equal((JSON.parse(people) as unknown[]).length, 1);

  pressCtrlC(third);
  assert.equal((await third.ended).code, 0);
  await until("the database is gone", 10_000, async () => !(await hasPostmaster(dataDir)));

  // Something answers at the server's address, and nobody runs this database.
  const other = createServer((_request, response) => response.end("{}"));
  await once(other.listen(port, "127.0.0.1"), "listening");
  t.after(() => {
    other.closeAllConnections();
    other.close();
  });
  const elsewhere = await run("listen", "--user", "1").ended;
  assert.equal(elsewhere.code, 1);
  assert.match(
    elsewhere.err,
    new RegExp(`\nNo server runs the database in ${dataDir}: start one, [^\n]*\n$`),
  );
  assert.equal(await hasPostmaster(dataDir), false);
});
