import path from "node:path";
import { type PostgresEventLog, openPostgresEventLog } from "../../src/eventlog/postgres.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { type Db, type DbAddress, openDb } from "../../src/lib/db.ts";
import { migrate, readMigrations } from "../../src/lib/migrate.ts";
import { type Metrics, createMetrics } from "../../src/observe/metrics.ts";
import { benchLog } from "../harness/postgres.ts";

const dayMs = 86_400_000;
const migrations = path.join(import.meta.dirname, "../../migrations");

/** The log as the server opens it with default options, metrics included, in an empty database. */
export type OpenLog = AsyncDisposable & {
  readonly db: Db;
  readonly eventlog: PostgresEventLog;
  readonly metrics: Metrics;
};

export async function openLog(address: DbAddress): Promise<OpenLog> {
  const db = openDb(address, { poolMax: 10, log: benchLog });
  await migrate(db, await readMigrations(migrations));
  const metrics = createMetrics({ process: false });
  const eventlog = await openPostgresEventLog(db, {
    partitions: 16,
    queueEntriesMax: 20_000,
    appendTimeoutMs: 5_000,
    notify: true,
    retention: { openAfterMs: dayMs, openAfterEntries: 5_000_000, keepMs: 30 * dayMs, keepMaxMs: 90 * dayMs },
    clock: systemClock,
    log: benchLog,
    metrics,
  });
  return {
    db,
    eventlog,
    metrics,
    [Symbol.asyncDispose]: async () => {
      await eventlog.close();
      await db.close();
    },
  };
}

/** Entries in the log, and how many different ids they have. */
export async function storedEntries(db: Db): Promise<{ readonly count: number; readonly distinct: number }> {
  const { rows } = await db.query<{ count: number; distinct: number }>(
    `select count(*), count(distinct id) as "distinct" from eventlog_entry`,
  );
  return rows[0] ?? { count: 0, distinct: 0 };
}
