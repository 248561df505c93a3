import { uuidv7 } from "../protocol/ids.ts";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type Access, createAccess } from "./access/access.ts";
import { createAccessTokens } from "./access/access-tokens.ts";
import { type OwnedApiKeys, createApiKeys } from "./access/api-keys.ts";
import { loadDevelopmentSecret } from "./access/development.ts";
import { createEndedSessions } from "./access/ended-sessions.ts";
import { followEndedSessions } from "./access/follow-ended-sessions.ts";
import { createIdentities } from "./access/identities.ts";
import { createPasswords } from "./access/passwords.ts";
import { createPersonRate } from "./access/person-rate.ts";
import { createRefreshTokens } from "./access/refresh-tokens.ts";
import { createSessions } from "./access/sessions.ts";
import { type TokenRules, createTokens } from "./access/tokens.ts";
import { announceSessionEnds } from "./announce.ts";
import { type Config, databaseAddress, options } from "./config.ts";
import type { Deps } from "./deps.ts";
import type { DataDirChoice } from "./embedded/data-dir.ts";
import { type PostgresEventLogOptions, openPostgresEventLog } from "./eventlog/postgres.ts";
import { backoffMs, pause } from "./lib/backoff.ts";
import { systemClock } from "./lib/clock.ts";
import { unlessAborted } from "./lib/aborted.ts";
import { type Db, type DbAddress, boundTo, isTransientDbError, openDb } from "./lib/db.ts";
import { StartupError, errorCodeOf, errorMessage } from "./lib/errors.ts";
import type { Logger } from "./lib/logger.ts";
import { type Migration, migrate, readMigrations } from "./lib/migrate.ts";
import { createPostgresSignals } from "./gateway/signals-postgres.ts";
import { createLocalSignals } from "./gateway/signals.ts";
import { createWhoIsThere } from "./gateway/who-is-there.ts";
import { createMetrics } from "./observe/metrics.ts";
import { placeOf, requireUsableDatabase } from "./usable-database.ts";

export const migrationsDir = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "migrations");

export type FoundationOptions = {
  readonly log: Logger;
  readonly onProgress?: (step: string) => void;
  /**
   * Gives the start up at once: the statement that runs is cancelled, what was opened is closed again, and the signal's
   * reason is thrown. After the start it means nothing here.
   */
  readonly signal?: AbortSignal | undefined;
  /** Settings of the embedded PostgreSQL, for tests. */
  readonly embeddedSettings?: Readonly<Record<string, string>>;
};

/** What every process needs before it takes a role: a database that is migrated, the log, access. */
export type Foundation = AsyncDisposable & {
  readonly deps: Deps;
  readonly apiKeys: OwnedApiKeys;
  /** The migrations that were applied just now. */
  readonly migrated: readonly Migration[];
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
/** SQLSTATE of an object that the user may not touch. */
const insufficientPrivilege = "42501";
const comeBackRetry = { baseMs: 50, factor: 2, maxMs: 500 } as const;

/** Opens everything in order; what was opened is closed in reverse, also when a later step fails. */
export async function openFoundation(wanted: Config, opts: FoundationOptions): Promise<Foundation> {
  await using stack = new AsyncDisposableStack();
  const { log, onProgress = () => undefined, signal } = opts;
  const { address, config, embedded } = await openDatabase(wanted, opts, stack);

  const db = openDb(address, { poolMax: config.dbPoolMax, log });
  stack.defer(() => db.close());
  const patiently: Patiently = (step) => (embedded ? untilItComesBack(step, log, signal) : step());
  const bound = boundTo(db, signal);
  // It tells in a sentence of its own why a statement failed, also when that was cancelled.
  await unlessAborted(
    patiently(() => requireUsableDatabase(bound, log)),
    signal,
  );
  onProgress("migrating");
  const migrations = await readMigrations(migrationsDir);
  const migrated = await patiently(() => migrateAs(db, migrations, signal));

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
  onProgress("opening the log");
  const eventlog = await patiently(() => openPostgresEventLog(db, logOptions, signal));
  stack.defer(() => eventlog.close());

  const apiKeys = createApiKeys({ db, clock: systemClock, log });
  stack.defer(() => apiKeys.close());
  const access = openAccess({ config, log, db, eventlog, apiKeys, rules: await tokenRules(config, log) });
  const signals = config.eventlogNotify
    ? createPostgresSignals(db.address, { log, node: uuidv7() })
    : createLocalSignals();
  stack.defer(() => signals.close());

  const clock = systemClock;
  const personRate = createPersonRate(config.ratePerson, { clock });
  const presence = createWhoIsThere();
  const deps: Deps = { config, log, clock, db, eventlog, access, personRate, metrics, signals, presence };
  const opened = stack.move();
  return { deps, apiKeys, migrated, embedded, patiently, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

function openAccess(parts: {
  readonly config: Config;
  readonly log: Logger;
  readonly db: Db;
  readonly eventlog: Deps["eventlog"];
  readonly apiKeys: OwnedApiKeys;
  readonly rules: TokenRules;
}): Access {
  const { config, log, db, eventlog, apiKeys, rules } = parts;
  const clock = systemClock;
  const { secret } = rules;
  const identities = createIdentities({ db, clock, log });
  const ended = createEndedSessions(clock);
  return createAccess({
    apiKeys,
    passwords: createPasswords(),
    identities,
    sessions: createSessions({
      db,
      clock,
      log,
      signing:
        secret === undefined
          ? undefined
          : { accessTokens: createAccessTokens(secret, clock), refreshTokens: createRefreshTokens(secret) },
      announceEnd: announceSessionEnds(eventlog),
      ended,
    }),
    endedSessions: {
      ...followEndedSessions({ db, clock, log, ended }),
      ended: (...end) => ended.ended(...end),
    },
    tokens: createTokens(rules, { clock, log, personOf: identities.personOf, ended }),
    clock,
    rateRefused: config.rateRefused,
  });
}

/** Every step of a start may be repeated: one that took effect unseen finds its work done. */
async function untilItComesBack<T>(
  step: () => Promise<T>,
  log: Logger,
  signal: AbortSignal | undefined,
): Promise<T> {
  const deadline = performance.now() + comeBackMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await step();
    } catch (error) {
      signal?.throwIfAborted();
      const fault = error instanceof StartupError ? error.cause : error;
      if (!isTransientDbError(fault) || performance.now() > deadline) throw error;
      log.warn({ err: fault, attempt }, "database not there yet, trying again");
      await pause(backoffMs(attempt, comeBackRetry), signal);
    }
  }
}

/** Tells who may not make tables what to ask for. */
async function migrateAs(
  db: Db,
  migrations: readonly Migration[],
  signal: AbortSignal | undefined,
): Promise<readonly Migration[]> {
  try {
    return await migrate(db, migrations, { signal });
  } catch (error) {
    if (errorCodeOf(error) !== insufficientPrivilege) throw error;
    const { user, database } = db.address;
    throw new StartupError(
      `The database ${placeOf(db)} cannot be migrated as "${user}": ${errorMessage(error)}; let the user own the database (alter database "${database}" owner to "${user}") or make tables in it (grant create, usage on schema public to "${user}")`,
      { cause: error },
    );
  }
}

/** Where the embedded PostgreSQL's data lies: not always where DATA_DIR says, when root starts it. */
export async function ownDataDir(config: Config): Promise<DataDirChoice> {
  const { resolveDataDir } = await import("./embedded/embedded.ts");
  const { dataDir, embeddedUser: user } = config;
  return resolveDataDir({ dataDir, isDefault: dataDir === options.dataDir.default, user });
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
  const { startEmbedded } = await import("./embedded/embedded.ts");
  const { dataDir, note } = await ownDataDir(config);
  if (note !== undefined) log.warn(note);
  onProgress("starting the database");
  const own = await startEmbedded({
    dataDir,
    user: config.embeddedUser,
    log,
    onProgress,
    ...(opts.signal === undefined ? {} : { signal: opts.signal }),
    ...(opts.embeddedSettings === undefined ? {} : { settings: opts.embeddedSettings }),
  });
  stack.defer(() => own.stop());
  return { address: own.address, config: { ...config, dataDir }, embedded: true };
}

async function tokenRules(config: Config, log: Logger): Promise<TokenRules> {
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
