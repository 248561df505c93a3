import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startEmbedded } from "../../src/embedded/embedded.ts";
import { type Db, type DbAddress, openDb } from "../../src/lib/db.ts";
import { createLogger } from "../../src/lib/logger.ts";
import { spreadOf } from "./spread.ts";

/** Only what a person must look at; the figures go to standard output too. */
export const benchLog = createLogger("error");

/** A PostgreSQL of the bench's own: the server's embedded one with its usual settings, fsync on, in a temporary place. */
export type TemporaryPostgres = AsyncDisposable & {
  /** What PostgreSQL says about itself, for the head of the report. */
  readonly facts: readonly (readonly [string, string])[];
  /** An empty database, dropped when disposed of. A fresh one per measurement: nobody runs on the other's leftovers. */
  createDatabase(): Promise<TemporaryDatabase>;
};

export type TemporaryDatabase = AsyncDisposable & {
  readonly address: DbAddress;
  /** Writes out what is dirty, so that no measurement pays for the one before it. */
  checkpoint(): Promise<void>;
};

/** The peers' pools are larger than what one server needs. */
const maxConnections = "120";
const unusedTimeoutMs = 2_000;

export async function startTemporaryPostgres(): Promise<TemporaryPostgres> {
  const directory = await mkdtemp(path.join(tmpdir(), "tidings-bench-"));
  // Whoever interrupts a bench should not have to clean up after it; the embedded PostgreSQL ends by itself.
  process.once("exit", () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
  const removeDirectory = (): Promise<void> => rm(directory, { recursive: true, force: true });
  try {
    const embedded = await startEmbedded({
      dataDir: directory,
      user: undefined,
      log: benchLog,
      settings: { max_connections: maxConnections },
    });
    const admin = openDb(embedded.address, { poolMax: 1, log: benchLog });
    let databases = 0;
    return {
      facts: [
        ...(await readFacts(admin)),
        ["disk", `one synced write of 8 KiB takes ${syncedWriteMs(directory)} ms`],
      ],
      createDatabase: () => createDatabase(admin, `bench_${++databases}`),
      [Symbol.asyncDispose]: async () => {
        await admin.close();
        await embedded.stop();
        await removeDirectory();
      },
    };
  } catch (error) {
    await removeDirectory();
    throw error;
  }
}

/** The median, in milliseconds: what a commit waits for at the least, and why other disks give other ratios. */
function syncedWriteMs(directory: string): string {
  const file = openSync(path.join(directory, "synced-write"), "w");
  const block = Buffer.alloc(8_192);
  const times = Array.from({ length: 100 }, () => {
    const startedAt = performance.now();
    writeSync(file, block, 0, block.length, 0);
    fdatasyncSync(file);
    return performance.now() - startedAt;
  });
  closeSync(file);
  return spreadOf(times).median.toFixed(3);
}

async function createDatabase(admin: Db, name: string): Promise<TemporaryDatabase> {
  await admin.query(`create database ${name}`);
  return {
    address: { ...admin.address, database: name },
    checkpoint: async () => {
      await admin.query("checkpoint");
    },
    [Symbol.asyncDispose]: async () => {
      await unused(admin, name);
      await admin.query(`drop database ${name} with (force)`);
    },
  };
}

/** A pool of pg is "ended" before its connections are closed, and would report those that a drop cuts off. */
async function unused(admin: Db, name: string): Promise<void> {
  const deadline = performance.now() + unusedTimeoutMs;
  for (;;) {
    const { rowCount } = await admin.query("select 1 from pg_stat_activity where datname = $1", [name]);
    if (rowCount === 0 || performance.now() > deadline) return;
    await sleep(5);
  }
}

const shownSettings = ["fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size"];

async function readFacts(admin: Db): Promise<readonly (readonly [string, string])[]> {
  const { rows } = await admin.query<{ version: string; settings: string }>(
    `select current_setting('server_version') as version,
            string_agg(name || ' ' || current_setting(name), ', ' order by array_position($1, name)) as settings
       from pg_settings where name = any($1)`,
    [shownSettings],
  );
  const [facts] = rows;
  if (facts === undefined || !facts.settings.startsWith("fsync on, synchronous_commit on")) {
    throw new Error(`the bench measures durable commits only: ${facts?.settings}`);
  }
  return [["PostgreSQL", `${facts.version} on a Unix socket, ${facts.settings}`]];
}
