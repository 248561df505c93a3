import path from "node:path";
import { fileURLToPath } from "node:url";
import { createAccess } from "./access/access.ts";
import { type OwnedApiKeys, createApiKeys } from "./access/api-keys.ts";
import { loadDevelopmentSecret } from "./access/development.ts";
import { createTokens } from "./access/tokens.ts";
import { type Config, databaseAddress, options } from "./config.ts";
import type { Deps } from "./deps.ts";
import { type PostgresEventLogOptions, openPostgresEventLog } from "./eventlog/postgres.ts";
import { backoffMs, pause } from "./lib/backoff.ts";
import { systemClock } from "./lib/clock.ts";
import { type Db, type DbAddress, isTransientDbError, openDb } from "./lib/db.ts";
import { StartupError, errorMessage } from "./lib/errors.ts";
import type { Logger } from "./lib/logger.ts";
import { migrate, readMigrations } from "./lib/migrate.ts";
import { createMetrics } from "./observe/metrics.ts";

export const migrationsDir = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "migrations");

export type FoundationOptions = {
  readonly log: Logger;
  readonly onProgress?: (step: string) => void;
  /** Settings of the embedded PostgreSQL, for tests. */
  readonly embeddedSettings?: Readonly<Record<string, string>>;
};

/** What every process needs before it takes a role: a database that is migrated, the log, access. */
export type Foundation = AsyncDisposable & {
  readonly deps: Deps;
  readonly apiKeys: OwnedApiKeys;
  /** Whether the database is the server's own. */
  readonly embedded: boolean;
  /** Runs a step of the start. On the server's own database it is repeated when that was cut off: it comes back. */
  readonly patiently: Patiently;
};

export type Patiently = <T>(step: () => Promise<T>) => Promise<T>;

const dayMs = 86_400_000;
const segmentEntriesMax = 5_000_000;
/** How long a start waits for the embedded PostgreSQL to come back, milliseconds. */
const comeBackMs = 10_000;
const comeBackRetry = { baseMs: 50, factor: 2, maxMs: 500 } as const;

/** Opens everything in order; what was opened is closed in reverse, also when a later step fails. */
export async function openFoundation(wanted: Config, opts: FoundationOptions): Promise<Foundation> {
  await using stack = new AsyncDisposableStack();
  const { log, onProgress = () => undefined } = opts;
  const { address, config, embedded } = await openDatabase(wanted, opts, stack);

  const db = openDb(address, { poolMax: config.dbPoolMax, log });
  stack.defer(() => db.close());
  const patiently: Patiently = (step) => (embedded ? untilItComesBack(step, log) : step());
  await patiently(() => requireUsableDatabase(db, log));
  onProgress("migrating");
  const migrations = await readMigrations(migrationsDir);
  await patiently(() => migrate(db, migrations));

  const metrics = createMetrics({ process: true });
  const logOptions: PostgresEventLogOptions = {
    partitions: config.eventlogPartitions,
    queueEntriesMax: config.eventlogQueueEntries,
    appendTimeoutMs: config.appendTimeoutMs,
    notify: config.eventlogNotify,
    retention: {
      openAfterMs: dayMs,
      openAfterEntries: segmentEntriesMax,
      keepMs: config.eventlogRetentionDays * dayMs,
      keepMaxMs: config.eventlogRetentionMaxDays * dayMs,
    },
    clock: systemClock,
    log: log.child({ room: "eventlog" }),
    metrics,
  };
  const eventlog = await patiently(() => openPostgresEventLog(db, logOptions));
  stack.defer(() => eventlog.close());

  const apiKeys = createApiKeys({ db, clock: systemClock, log });
  stack.defer(() => apiKeys.close());
  const access = createAccess({
    apiKeys,
    tokens: createTokens(await tokenRules(config, log), { clock: systemClock, log }),
  });

  const deps: Deps = { config, log, clock: systemClock, db, eventlog, access, metrics };
  const opened = stack.move();
  return { deps, apiKeys, embedded, patiently, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

/** Every step of a start may be repeated: one that took effect unseen finds its work done. */
async function untilItComesBack<T>(step: () => Promise<T>, log: Logger): Promise<T> {
  const deadline = performance.now() + comeBackMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await step();
    } catch (error) {
      const fault = error instanceof StartupError ? error.cause : error;
      if (!isTransientDbError(fault) || performance.now() > deadline) throw error;
      log.warn({ err: fault, attempt }, "database not there yet, trying again");
      await pause(backoffMs(attempt, comeBackRetry));
    }
  }
}

async function openDatabase(
  config: Config,
  opts: FoundationOptions,
  stack: AsyncDisposableStack,
): Promise<{ readonly address: DbAddress; readonly config: Config; readonly embedded: boolean }> {
  const { log, onProgress = () => undefined } = opts;
  const outside = databaseAddress(config);
  if (outside !== undefined) {
    onProgress("connecting to the database");
    return { address: outside, config, embedded: false };
  }
  const { resolveDataDir, startEmbedded } = await import("./embedded/embedded.ts");
  const { dataDir, note } = resolveDataDir({
    dataDir: config.dataDir,
    isDefault: config.dataDir === options.dataDir.default,
    user: config.embeddedUser,
  });
  if (note !== undefined) log.warn(note);
  onProgress("starting the database");
  const own = await startEmbedded({
    dataDir,
    user: config.embeddedUser,
    log,
    onProgress,
    ...(opts.embeddedSettings === undefined ? {} : { settings: opts.embeddedSettings }),
  });
  stack.defer(() => own.stop());
  return { address: own.address, config: { ...config, dataDir }, embedded: true };
}

async function tokenRules(config: Config, log: Logger): Promise<Parameters<typeof createTokens>[0]> {
  const { jwtSecret, jwtJwksUrl, jwtIssuer, jwtAudience, dataDir } = config;
  const rules = {
    ...(jwtIssuer === undefined ? {} : { issuer: jwtIssuer }),
    ...(jwtAudience === undefined ? {} : { audience: jwtAudience }),
  };
  if (jwtJwksUrl !== undefined) {
    return { ...rules, jwksUrl: jwtJwksUrl, ...(jwtSecret === undefined ? {} : { secret: jwtSecret }) };
  }
  return { ...rules, secret: jwtSecret ?? (await loadDevelopmentSecret(dataDir, log)) };
}

/** Refuses, in one sentence, a database that cannot keep what Tidings stores. */
async function requireUsableDatabase(db: Db, log: Logger): Promise<void> {
  let row: { version: number; encoding: string; fsync: string } | undefined;
  try {
    const result = await db.query<{ version: number; encoding: string; fsync: string }>(
      `select current_setting('server_version_num')::int as version,
              current_setting('server_encoding') as encoding, current_setting('fsync') as fsync`,
    );
    row = result.rows[0];
  } catch (error) {
    const { host, port, database } = db.address;
    throw new StartupError(
      `PostgreSQL at ${host}:${port}/${database} cannot be used: ${errorMessage(error)}`,
      { cause: error },
    );
  }
  if (row === undefined) throw new StartupError("PostgreSQL answered nothing to the first question");
  if (row.version < 150_000) {
    const major = Math.floor(row.version / 10_000);
    throw new StartupError(`PostgreSQL 15 or newer is needed, and DATABASE_URL leads to version ${major}`);
  }
  if (row.fsync !== "on") {
    log.warn("this PostgreSQL runs with fsync off: what was acknowledged may be lost when its machine fails");
  }
  if (row.encoding !== "UTF8") {
    throw new StartupError(
      `The database "${db.address.database}" is encoded in ${row.encoding}: create it anew with "create database … encoding 'UTF8' template template0"`,
    );
  }
}
