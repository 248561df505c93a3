import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { createTestDatabase, eventually, openTestDatabase, testLog, testServer } from "../test/harness.ts";
import { createApp } from "./app.ts";
import { type Config, readConfig } from "./config.ts";
import { atEnd, hasPostmaster, quick, tempDir } from "./embedded/embedded.fixture.ts";
import { openFoundation } from "./foundation.ts";
import { type DbAddress, openDb } from "./lib/db.ts";
import { StartupError } from "./lib/errors.ts";
import type { Logger } from "./lib/logger.ts";

for (const cutStep of ["migrating", "starting the worker"]) {
  test(`a start goes on when the embedded PostgreSQL dies while it is ${cutStep}`, async (t) => {
    const dataDir = tempDir(t);
    const config = readConfig({ PORT: "0", METRICS_PORT: "off", DATA_DIR: dataDir });
    let killed = 0;
    const app = await createApp(config, {
      log: testLog,
      embeddedSettings: quick,
      developmentKeyAllowed: true,
      onProgress: (step) => {
        if (step !== cutStep) return;
        const [pid] = readFileSync(path.join(dataDir, "postgres", "postmaster.pid"), "utf8").split("\n");
        process.kill(Number(pid), "SIGKILL");
        killed++;
      },
    });
    atEnd(t, () => app.close());
    assert.equal(killed, 1);
    const response = await fetch(`http://127.0.0.1:${app.api?.port ?? 0}/health/live`);
    assert.equal(response.status, 200);
  });
}

test("a first start that is given up while the cluster is made ends at once and makes none", async (t) => {
  const dataDir = tempDir(t);
  const config = readConfig({ PORT: "0", METRICS_PORT: "off", DATA_DIR: dataDir });
  const wanted = new AbortController();
  const steps: string[] = [];
  const onProgress = (step: string): void => {
    steps.push(step);
    if (step === "creating the database cluster") setImmediate(() => wanted.abort());
  };
  await assert.rejects(
    createApp(config, { log: testLog, embeddedSettings: quick, signal: wanted.signal, onProgress }),
    (error) => error === wanted.signal.reason,
  );
  assert.equal(steps.at(-1), "creating the database cluster");
  assert.ok(!existsSync(path.join(dataDir, "postgres")));
  assert.deepEqual(
    readdirSync(dataDir).filter((name) => name.includes(".new-")),
    [],
  );
});

test("a start that is given up while it waits for PostgreSQL to come back waits no longer", async (t) => {
  const dataDir = tempDir(t);
  const config = readConfig({ PORT: "0", METRICS_PORT: "off", DATA_DIR: dataDir });
  const wanted = new AbortController();
  const onProgress = (step: string): void => {
    if (step !== "migrating") return;
    const [pid] = readFileSync(path.join(dataDir, "postgres", "postmaster.pid"), "utf8").split("\n");
    process.kill(Number(pid), "SIGKILL");
    setImmediate(() => wanted.abort());
  };
  await assert.rejects(
    createApp(config, { log: testLog, embeddedSettings: quick, signal: wanted.signal, onProgress }),
    (error) => error === wanted.signal.reason,
  );
  assert.equal(await hasPostmaster(dataDir), false);
});

/** A configuration for an outside database. */
function configFor(t: TestContext, databaseUrl: DbAddress): Config {
  return { ...readConfig({ PORT: "0", METRICS_PORT: "off", DATA_DIR: tempDir(t) }), databaseUrl };
}

test("a start that is given up while another one migrates does not wait for that", async (t) => {
  const address = await createTestDatabase(t);
  const db = await openTestDatabase(t);
  const other = openDb(address, { poolMax: 1, log: testLog });
  t.after(() => other.close());
  const wanted = new AbortController();
  await other.transaction(async (tx) => {
    await tx.query("select pg_advisory_xact_lock(7319204551)");
    const given = openFoundation(configFor(t, address), { log: testLog, signal: wanted.signal });
    await eventually("it waits for the lock", async () => {
      const { rowCount } = await db.query(
        "select from pg_locks l join pg_database d on d.oid = l.database where not granted and datname = $1",
        [address.database],
      );
      return rowCount > 0;
    });
    wanted.abort();
    await assert.rejects(given, (error) => error === wanted.signal.reason);
  });
});

test("a database in another encoding is refused in one sentence that says what to do", async (t) => {
  const admin = openDb(testServer(), { poolMax: 1, log: testLog });
  t.after(() => admin.close());
  const database = `test_ascii_${process.pid}`;
  await admin.query(
    `create database ${database} encoding 'SQL_ASCII' locale_provider libc locale 'C' template template0`,
  );
  try {
    await assert.rejects(
      openFoundation(configFor(t, { ...testServer(), database }), { log: testLog }),
      (error) =>
        error instanceof StartupError &&
        error.message.startsWith(
          `The database "${database}" is encoded in SQL_ASCII: create it anew with `,
        ) &&
        !error.message.includes("\n"),
    );
  } finally {
    await admin.query(`drop database ${database} with (force)`);
  }
});

test("a server with fsync off is used, with a warning", async (t) => {
  const warnings: unknown[] = [];
  const log: Logger = Object.create(testLog, { warn: { value: (text: unknown) => warnings.push(text) } });
  await using foundation = await openFoundation(configFor(t, await createTestDatabase(t)), { log });
  assert.equal(foundation.embedded, false);
  assert.match(String(warnings[0]), /^this PostgreSQL runs with fsync off: /);
});

test("a user who may not make tables is told what to ask for", async (t) => {
  const address = await createTestDatabase(t, "template0");
  const admin = openDb(testServer(), { poolMax: 1, log: testLog });
  t.after(() => admin.close());
  const user = `test_guest_${process.pid}`;
  await admin.query(`create role ${user} login`);
  try {
    await assert.rejects(
      openFoundation(configFor(t, { ...address, user }), { log: testLog }),
      (error) =>
        error instanceof StartupError &&
        error.message.includes(`/${address.database} cannot be migrated as "${user}": permission denied`) &&
        error.message.includes(`alter database "${address.database}" owner to "${user}"`),
    );
  } finally {
    await admin.query(`drop role ${user}`);
  }
});

test("what the first migration makes is told, and that there was nothing left to make", async (t) => {
  const config = configFor(t, await createTestDatabase(t, "template0"));
  const migrated = async () => {
    await using foundation = await openFoundation(config, { log: testLog });
    return foundation.migrated.map(({ number }) => number);
  };
  const [first, second] = [await migrated(), await migrated()];
  assert.ok(first.length > 1);
  assert.deepEqual(second, []);
});
