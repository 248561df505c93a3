import path from "node:path";
import { fileURLToPath } from "node:url";
import { createAccess } from "./access/access.ts";
import { type OwnedApiKeys, createApiKeys } from "./access/api-keys.ts";
import { loadDevelopmentSecret } from "./access/development.ts";
import { createTokens } from "./access/tokens.ts";
import { type Config, databaseAddress, options } from "./config.ts";
import type { Deps } from "./deps.ts";
import { openPostgresEventLog } from "./eventlog/postgres.ts";
import { systemClock } from "./lib/clock.ts";
import { type DbAddress, openDb, requireUsableDatabase } from "./lib/db.ts";
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
};

const dayMs = 86_400_000;
const segmentEntriesMax = 5_000_000;

/** Opens everything in order; what was opened is closed in reverse, also when a later step fails. */
export async function openFoundation(wanted: Config, opts: FoundationOptions): Promise<Foundation> {
  await using stack = new AsyncDisposableStack();
  const { log, onProgress = () => undefined } = opts;
  const { address, config, embedded } = await openDatabase(wanted, opts, stack);

  const db = openDb(address, { poolMax: config.dbPoolMax, log });
  stack.defer(() => db.close());
  await requireUsableDatabase(db, log);
  onProgress("migrating");
  await migrate(db, await readMigrations(migrationsDir));

  const metrics = createMetrics({ process: true });
  const eventlog = await openPostgresEventLog(db, {
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
  });
  stack.defer(() => eventlog.close());

  const apiKeys = createApiKeys({ db, clock: systemClock, log });
  stack.defer(() => apiKeys.close());
  const access = createAccess({
    apiKeys,
    tokens: createTokens(await tokenRules(config, log), { clock: systemClock, log }),
  });

  const deps: Deps = { config, log, clock: systemClock, db, eventlog, access, metrics };
  const opened = stack.move();
  return { deps, apiKeys, embedded, [Symbol.asyncDispose]: () => opened.disposeAsync() };
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
