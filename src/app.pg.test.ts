import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { createTestDatabase, eventually, openTestDatabase, testLog } from "../test/harness.ts";
import { type AppOptions, createApp } from "./app.ts";
import { type Config, readConfig } from "./config.ts";

/** A database of one's own, and the start of a server on it. */
async function setUp(t: TestContext) {
  const dataDir = await mkdtemp(path.join(os.tmpdir(), "tidings-app-"));
  t.after(() => rm(dataDir, { recursive: true, force: true }));
  const databaseUrl = await createTestDatabase(t);
  const base = readConfig({ PORT: "0", METRICS_PORT: "0", DATA_DIR: dataDir });
  const config: Config = { ...base, databaseUrl };
  const start = (options: Partial<AppOptions> = {}, changed: Partial<Config> = {}) =>
    createApp({ ...config, ...changed }, { log: testLog, ...options });
  return { start, database: databaseUrl };
}

test("a server on somebody's database says whether anybody has a key yet, and makes none", async (t) => {
  const { start } = await setUp(t);
  {
    await using app = await start({ developmentKeyAllowed: true });
    assert.deepEqual(app.entrance, { kind: "none" });
    const { apiKeys } = app.deps.access;
    const { key } = await apiKeys.create({ name: "me", scopes: ["admin"] });
    await apiKeys.revoke(key.id);
  }
  {
    await using app = await start();
    assert.deepEqual(app.entrance, { kind: "none" }, "a revoked key lets nobody in");
    await app.deps.access.apiKeys.create({ name: "me", scopes: ["admin"] });
  }
  await using app = await start();
  assert.deepEqual(app.entrance, { kind: "own" });
});

test("a start that is given up at any step ends with the reason and leaves nothing open", async (t) => {
  const { start, database } = await setUp(t);
  const observer = await openTestDatabase(t);
  for (const step of ["connecting to the database", "migrating", "starting the worker", "listening"]) {
    const wanted = new AbortController();
    const steps: string[] = [];
    const onProgress = (name: string): void => {
      steps.push(name);
      if (name === step) wanted.abort(new Error(`not wanted any more at ${step}`));
    };
    await assert.rejects(
      start({ signal: wanted.signal, onProgress }),
      new Error(`not wanted any more at ${step}`),
    );
    assert.equal(steps.at(-1), step);
    await eventually("every connection is closed", async () => {
      const { rows } = await observer.query("select from pg_stat_activity where datname = $1", [
        database.database,
      ]);
      return rows.length === 0;
    });
  }
});

test("a port that is taken, or an address of another machine, is told before the database is touched", async (t) => {
  const { start } = await setUp(t);
  const other = createServer();
  await once(other.listen(0, "127.0.0.1"), "listening");
  t.after(() => other.close());
  const { port } = other.address() as AddressInfo;
  const steps: string[] = [];
  const onProgress = (step: string): void => void steps.push(step);
  await assert.rejects(start({ onProgress }, { port }), new RegExp(`port ${port} is already taken .* PORT=`));
  await assert.rejects(start({ onProgress }, { metricsPort: port }), / METRICS_PORT=/);
  await assert.rejects(start({ onProgress }, { host: "192.0.2.1" }), /HOST=192\.0\.2\.1 is not an address/);
  assert.deepEqual(steps, []);
});
