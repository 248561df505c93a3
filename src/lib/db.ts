import { type ClientConfig, type CustomTypesConfig, Pool, type PoolClient, type PoolConfig, types } from "pg";
import { unlessAborted } from "./aborted.ts";
import { endsWithin } from "./backoff.ts";
import { cancelStatement } from "./cancel.ts";
import {
  asConnectFault,
  asStatementFault,
  breaksConnection,
  isLateNews,
  isOfDatabase,
  isReadTimeout,
} from "./db-faults.ts";
import { errorCodeOf } from "./errors.ts";
import type { Logger } from "./logger.ts";

export {
  isDbLimitError,
  isLockTimeout,
  isPassingDbError,
  isSchemaFault,
  isTransientDbError,
} from "./db-faults.ts";

/** How to reach a PostgreSQL. */
export type DbAddress = {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password?: string;
  readonly database: string;
  readonly ssl?: boolean | { readonly rejectUnauthorized: boolean };
};

export type Row = Record<string, unknown>;

export type QueryOptions = {
  /** Prepared under this name on each connection; only for statements whose text never changes. */
  readonly name?: string;
  /** See `Db.transaction`. In a transaction only that one's own signal counts. */
  readonly signal?: AbortSignal;
};

/** Anything that runs a statement: the pool or one transaction. Parameters always, never text glued together. */
export type Queryable = {
  query<R extends Row = Row>(
    text: string,
    values?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<DbResult<R>>;
};

export type DbResult<R> = { readonly rows: R[]; readonly rowCount: number };

export type Tx = Queryable & {
  /** Runs `callback` once the transaction has committed, and never if it has not. It must not throw. */
  afterCommit(callback: () => void): void;
};

export type Db = Queryable & {
  readonly address: DbAddress;
  /**
   * One transaction (READ COMMITTED) on one connection: commits when `work` resolves, rolls back when it rejects.
   * Resolves only when it has committed: a statement that failed rolls back all of it, also when `work` caught the error.
   * Once the signal is aborted it rejects with its reason, without waiting for what runs: the statement is cancelled and
   * the connection given up, so it has rolled back, or, when it was just committing, perhaps not.
   */
  transaction<T>(work: (tx: Tx) => Promise<T>, signal?: AbortSignal): Promise<T>;
  /**
   * Runs migrations and housekeeping on a connection of its own, closed afterwards. Its statements take the time that
   * they need, but wait no longer than `lockTimeoutMs` for a lock (`isLockTimeout`): all others queue behind whoever
   * waits for a strong one.
   */
  unhurried<T>(lockTimeoutMs: number, work: (db: Db) => Promise<T>): Promise<T>;
  /** Connections in use, idle, and callers that wait for one. */
  load(): { readonly total: number; readonly idle: number; readonly waiting: number };
  close(): Promise<void>;
};

function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} does not fit a JavaScript number`);
  return value;
}

/**
 * bigint arrives as a number (offsets and ids stay below 2^53, larger ones throw), `json` as its text: the log's
 * data is passed on far more often than it is looked into.
 */
export const pgTypes: CustomTypesConfig = {
  getTypeParser: (oid: Parameters<typeof types.getTypeParser>[0]) => {
    if (oid === types.builtins.INT8) return parseInt8;
    if (oid === types.builtins.JSON) return (text: string) => text;
    return types.getTypeParser(oid);
  },
};

/** The settings that every connection of this server shares. */
export function clientConfig(
  address: DbAddress,
  applicationName: string,
  settings: { readonly idleInTransactionMs?: number } = {},
): ClientConfig {
  const { idleInTransactionMs = idleInTransactionMaxMs } = settings;
  return {
    host: address.host,
    port: address.port,
    user: address.user,
    database: address.database,
    ...(address.password === undefined ? {} : { password: address.password }),
    ...(address.ssl === undefined ? {} : { ssl: address.ssl }),
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    types: pgTypes,
    // A session that was opened by a person's psql may default to something else; the log's promise rests on this.
    options: `-c synchronous_commit=on -c timezone=UTC -c idle_in_transaction_session_timeout=${idleInTransactionMs}`,
  };
}

/** An array literal of numbers, UUIDs or hexadecimal digits, which need no escaping: cheaper to make than an array is to bind. */
export function arrayLiteral(values: readonly (number | string)[]): string {
  return `{${values.join(",")}}`;
}

/** The same database for one who may be told to end: see `Db.transaction`. What `unhurried` lends is not bound. */
export function boundTo<D extends Pick<Db, "query" | "transaction">>(
  db: D,
  signal: AbortSignal | undefined,
): D {
  if (signal === undefined) return db;
  return {
    ...db,
    query: (text, values, options) => db.query(text, values, { ...options, signal }),
    transaction: (work) => db.transaction(work, signal),
  };
}

const connectTimeoutMs = 5_000;
const statementTimeoutMs = 30_000;
/**
 * A transaction whose client is silent for so long is ended: it may hold a partition's counter, and with it every
 * append of that partition, while its process hangs or its machine is gone.
 */
export const idleInTransactionMaxMs = 60_000;

export type DbOptions = {
  readonly poolMax: number;
  readonly log: Logger;
  readonly idleInTransactionMs?: number;
};

/** Opens the shared pool. It connects on first use; a lost connection is replaced on the next use. */
export function openDb(address: DbAddress, options: DbOptions): Db {
  const { log } = options;
  return dbOn(address, log, {
    ...clientConfig(address, "tidings", options),
    max: options.poolMax,
    idleTimeoutMillis: 30_000,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + 5_000,
  });
}

/** One connection without a bound on statements. By `set`, since a pooler may not pass on what a connection asks for. */
function openUnhurried(address: DbAddress, log: Logger, lockTimeoutMs: number): Db {
  const limits = `set statement_timeout = 0; set lock_timeout = ${Math.trunc(lockTimeoutMs)}`;
  return dbOn(address, log, { ...clientConfig(address, "tidings housekeeping"), max: 1 }, limits);
}

function dbOn(address: DbAddress, log: Logger, config: PoolConfig, onConnect?: string): Db {
  const pool = new Pool(config);
  const lender: Lender = { pool, address };
  let closing = false;
  pool.on("error", (error) => {
    if (!closing) log.warn({ err: error }, "idle database connection lost");
  });
  if (onConnect !== undefined) {
    // A connection on which this fails is broken, and its first statement says so.
    pool.on("connect", (client) => void client.query(onConnect).catch(() => undefined));
  }
  return {
    address,
    query: (text, values = [], { name, signal } = {}) =>
      onClient(lender, signal, (client) => ask(client, text, values, name)),
    transaction: (work, signal) => runTransaction(lender, log, { work, signal }),
    unhurried: async (lockTimeoutMs, work) => {
      const own = openUnhurried(address, log, lockTimeoutMs);
      try {
        return await work(own);
      } finally {
        await own.close();
      }
    },
    load: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close: () => {
      closing = true;
      return pool.end();
    },
  };
}

type Lender = { readonly pool: Pool; readonly address: DbAddress };

async function ask<R extends Row>(
  client: PoolClient,
  text: string,
  values: readonly unknown[],
  name: string | undefined,
): Promise<DbResult<R>> {
  const query = { text, values: [...values] };
  const result = await client.query<R>(name === undefined ? query : { ...query, name }).catch(failed);
  return { rows: result.rows, rowCount: result.rowCount ?? 0 };
}

function failed(error: unknown): never {
  throw asStatementFault(error);
}

/** A connection that waits for its next statement, unless the signal is aborted first. */
async function borrow({ pool }: Lender, signal: AbortSignal | undefined): Promise<PoolClient> {
  signal?.throwIfAborted();
  const connecting = pool.connect().catch((error: unknown) => {
    throw asConnectFault(error);
  });
  try {
    return await unlessAborted(connecting, signal);
  } catch (error) {
    // It may still arrive, when nobody wants it any more.
    connecting.then(
      (client) => client.release(),
      () => undefined,
    );
    throw error;
  }
}

type GiveUp = (error: unknown, statement?: "is running") => void;

/**
 * Lends a connection of the pool; one that broke, or that `work` has given up, is not used again. When the signal is
 * aborted it is given up at once.
 */
async function onClient<T>(
  lender: Lender,
  signal: AbortSignal | undefined,
  work: (client: PoolClient, giveUp: GiveUp) => Promise<T>,
): Promise<T> {
  const client = await borrow(lender, signal);
  let broken: Error | undefined;
  let running = false;
  const giveUp: GiveUp = (error, statement) => {
    broken ??= error instanceof Error ? error : new Error(String(error));
    running ||= statement === "is running";
  };
  const onError = (error: unknown): void => giveUp(asStatementFault(error));
  // Without a listener, a connection that dies between two statements would end the process.
  client.on("error", onError);
  try {
    return await unlessAborted(work(client, giveUp), signal);
  } catch (error) {
    // Why the connection ended says more than that it has.
    const reason = broken !== undefined && isLateNews(error) ? broken : error;
    if (signal?.aborted === true) giveUp(reason, "is running");
    else if (isOfDatabase(reason) && breaksConnection(reason)) giveUp(reason);
    throw reason;
  } finally {
    client.off("error", onError);
    client.release(broken);
    if (running) cancelStatement(lender.address, client);
  }
}

async function runTransaction<T>(
  lender: Lender,
  log: Logger,
  { work, signal }: { readonly work: (tx: Tx) => Promise<T>; readonly signal: AbortSignal | undefined },
): Promise<T> {
  const callbacks: (() => void)[] = [];
  const value = await onClient(lender, signal, async (client, giveUp) => {
    let failure: unknown;
    const tx: Tx = {
      query: (text, values = [], { name } = {}) =>
        ask<never>(client, text, values, name).catch((error: unknown) => {
          // Of all that fails in a transaction that has failed already, the first is the reason.
          if (errorCodeOf(error) !== inFailedTransaction) failure = error;
          throw error;
        }),
      afterCommit: (callback) => {
        callbacks.push(callback);
      },
    };
    await client.query("begin").catch(failed);
    try {
      const result = await work(tx);
      // PostgreSQL answers the COMMIT of a transaction that has failed with a friendly ROLLBACK.
      const { command } = await client.query("commit").catch(failed);
      if (command !== "COMMIT") throw failure ?? new Error("the transaction was rolled back");
      return result;
    } catch (error) {
      if (isReadTimeout(error) || !(await rollBack(client, giveUp))) giveUp(error, "is running");
      throw error;
    }
  });
  for (const callback of callbacks) {
    try {
      callback();
    } catch (error) {
      // What is committed stays so: the caller must not take it for undone.
      log.error({ err: error }, "callback after a commit failed");
    }
  }
  return value;
}

/** False when it takes too long: behind a statement that is still running it would wait as long as that. */
function rollBack(client: PoolClient, giveUp: GiveUp): Promise<boolean> {
  return endsWithin(
    client.query("rollback").catch((error: unknown) => giveUp(error)),
    rollBackMaxMs,
  );
}

/** How long a rollback may take, milliseconds. */
const rollBackMaxMs = 1_000;
const inFailedTransaction = "25P02";
