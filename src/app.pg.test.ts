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
import { openFoundation } from "./foundation.ts";
import { openDb } from "./lib/db.ts";

/** A database of one's own, and the start of a server on it. */
async function setUp(t: TestContext) {
  const dataDir = await mkdtemp(path.join(os.tmpdir(), "tidings-app-"));
  t.after(() => rm(dataDir, { recursive: true, force: true }));
  const databaseUrl = await createTestDatabase(t);
  const base = readConfig({ PORT: "0", METRICS_PORT: "0", DATA_DIR: dataDir });
  const config: Config = { ...base, databaseUrl };
  const start = (options: Partial<AppOptions> = {}, changed: Partial<Config> = {}) =>
    createApp({ ...config, ...changed }, { log: testLog, ...options });
  return { start, config, database: databaseUrl };
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

test("a server opens the log's own connections before anybody is told anything, and a command opens none", async (t) => {
  const { start, config, database } = await setUp(t);
  const observer = await openTestDatabase(t);
  const opened = async (): Promise<readonly string[]> => {
    const { rows } = await observer.query<{ name: string }>(
      "select application_name as name from pg_stat_activity where datname = $1 order by application_name",
      [database.database],
    );
    return rows.map(({ name }) => name).filter((name) => /^tidings (growth|reader|writer)/.test(name));
  };
  {
    await using foundation = await openFoundation(config, { log: testLog });
    await foundation.deps.db.query("select from account_user");
    assert.deepEqual(await opened(), []);
  }
  const onProgress = async (step: string): Promise<void> => {
    if (step === "listening") steps.push(await opened());
  };
  const steps: (readonly string[])[] = [];
  await using app = await start({ onProgress: (step) => void onProgress(step) });
  assert.ok(app.api !== undefined);
  await eventually("it was looked at", () => steps.length > 0);
  assert.deepEqual(steps[0], ["tidings growth", "tidings reader", "tidings writer 0", "tidings writer 1"]);
});

test("a start that is given up at any step ends with the reason and leaves nothing open", async (t) => {
  const { start, database } = await setUp(t);
  const observer = await openTestDatabase(t);
  for (const step of [
    "connecting to the database",
    "migrating",
    "opening the log",
    "connecting to the log",
    "preparing the wallet",
    "looking up API keys",
    "starting the worker",
    "listening",
  ]) {
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

const stepsThatNeed: Readonly<Record<string, string>> = {
  migration: "migrating",
  eventlog_meta: "opening the log",
  eventlog_partition: "opening the log",
  ledger_currency: "preparing the wallet",
  access_api_key: "looking up API keys",
  eventlog_group: "starting the worker",
  eventlog_member: "starting the worker",
};

for (const [table, step] of Object.entries(stepsThatNeed)) {
  test(`a start that is given up while somebody holds ${table} ends at once while it is ${step}, and so does its statement`, async (t) => {
    const { start, database } = await setUp(t);
    const observer = await openTestDatabase(t);
    const holder = openDb(database, { poolMax: 1, log: testLog });
    t.after(() => holder.close());
    const wanted = new AbortController();
    const steps: string[] = [];
    await holder.transaction(async (tx) => {
      await tx.query(`lock table ${table} in access exclusive mode`);
      const { rows: holders } = await tx.query<{ pid: number }>("select pg_backend_pid() as pid");
      const others = async (): Promise<readonly (string | null)[]> => {
        const { rows } = await observer.query<{ wait: string | null }>(
          "select wait_event_type as wait from pg_stat_activity where datname = $1 and pid <> $2",
          [database.database, holders[0]?.pid],
        );
        return rows.map(({ wait }) => wait);
      };
      const given = start({ signal: wanted.signal, onProgress: (name) => void steps.push(name) });
      await eventually("it waits for the table", async () => (await others()).includes("Lock"));
      assert.equal(steps.at(-1), step);
      wanted.abort();
      await assert.rejects(given, (error) => error === wanted.signal.reason);
      // Long before the database would give it up by itself.
      await eventually("every connection is closed", async () => (await others()).length === 0, 3_000);
    });
  });
}

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
