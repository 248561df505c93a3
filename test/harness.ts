import { randomBytes } from "node:crypto";
import path from "node:path";
import { after } from "node:test";
import { type Db, type DbAddress, openDb } from "../src/lib/db.ts";
import { type Logger, createLogger } from "../src/lib/logger.ts";

export const templateDatabase = "tidings_template";

/** The logger of tests: silent unless LOG_LEVEL says otherwise. */
export const testLog: Logger = createLogger(process.env["LOG_LEVEL"] === "debug" ? "debug" : "silent");

/** The PostgreSQL that `npm test` started for this run. */
export function testServer(): DbAddress {
  const host = process.env["TIDINGS_TEST_PG"];
  if (host === undefined) throw new Error("this test needs PostgreSQL: run it as npm test -- FILE");
  return { host, port: 5432, user: "tidings", database: "postgres" };
}

type Cleanup = { after(callback: () => Promise<void>): void };

/**
 * A migrated, empty database of one's own, cloned from the template; closed and dropped after the test `t`, or, when
 * none is given, after the file's last test. `KEEP_DB=1` keeps it and prints its name.
 */
export async function openTestDatabase(t: Cleanup = { after: (callback) => after(callback) }): Promise<Db> {
  const closing: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const close of closing) await close();
  });
  const address = await createTestDatabase(t);
  const db = openDb(address, { poolMax: 10, log: testLog });
  closing.push(() => db.close());
  return db;
}

/** The same without opening it: for tests that start a whole server. */
export async function createTestDatabase(
  t: Cleanup = { after: (callback) => after(callback) },
  template: string = templateDatabase,
): Promise<DbAddress> {
  const server = testServer();
  const database = `test_${randomBytes(6).toString("hex")}`;
  const admin = openDb(server, { poolMax: 1, log: testLog });
  await admin.query(`create database ${database} template ${template}`);
  await admin.close();
  t.after(async () => {
    if (process.env["KEEP_DB"] === "1") {
      console.log(`kept database ${database} of ${path.basename(process.argv[1] ?? "")}`);
      return;
    }
    const closer = openDb(server, { poolMax: 1, log: testLog });
    await closer.query(`drop database ${database} with (force)`);
    await closer.close();
  });
  return { ...server, database };
}

/** Resolves once `condition` holds; rejects with its last state when it does not within `timeoutMs`. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A clock that tests move by hand. */
export function manualClock(startMs = Date.parse("2026-01-01T00:00:00Z")): {
  now(): number;
  advance(ms: number): void;
} {
  let now = startMs;
  return {
    now: () => now,
    advance: (ms) => {
      now += ms;
    },
  };
}
