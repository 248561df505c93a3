import { type ClientConfig, type CustomTypesConfig, Pool, type QueryResult, types } from "pg";
import { StartupError, errorCodeOf, errorMessage } from "./errors.ts";
import type { Logger } from "./logger.ts";

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
  /** Runs `callback` once the transaction has committed, and never if it has not. */
  afterCommit(callback: () => void): void;
};

export type Db = Queryable & {
  readonly address: DbAddress;
  /** One transaction (READ COMMITTED) on one connection: commits when `work` resolves, rolls back when it rejects. */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
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
export function clientConfig(address: DbAddress, applicationName: string): ClientConfig {
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
    options: "-c synchronous_commit=on -c timezone=UTC",
  };
}

const connectTimeoutMs = 5_000;
const statementTimeoutMs = 30_000;

/** Opens the shared pool. It connects on first use; a lost connection is replaced on the next use. */
export function openDb(address: DbAddress, options: { readonly poolMax: number; readonly log: Logger }): Db {
  const pool = new Pool({
    ...clientConfig(address, "tidings"),
    max: options.poolMax,
    idleTimeoutMillis: 30_000,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + 5_000,
  });
  let closing = false;
  pool.on("error", (error) => {
    if (!closing) options.log.warn({ err: error }, "idle database connection lost");
  });

  return {
    address,
    query: async <R extends Row>(
      text: string,
      values: readonly unknown[] = [],
      { name }: QueryOptions = {},
    ) =>
      toResult<R>(
        await pool.query<R>(
          name === undefined ? { text, values: [...values] } : { name, text, values: [...values] },
        ),
      ),
    transaction: (work) => runTransaction(pool, work),
    load: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close: () => {
      closing = true;
      return pool.end();
    },
  };
}

function toResult<R extends Row>(result: QueryResult<R>): DbResult<R> {
  return { rows: result.rows, rowCount: result.rowCount ?? 0 };
}

async function runTransaction<T>(pool: Pool, work: (tx: Tx) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  const callbacks: (() => void)[] = [];
  let broken: Error | undefined;
  // Without a listener, a connection that dies between two statements would end the process.
  const onError = (error: Error): void => {
    broken = error;
  };
  client.on("error", onError);
  try {
    await client.query("begin");
    const value = await work({
      query: async <R extends Row>(
        text: string,
        values: readonly unknown[] = [],
        { name }: QueryOptions = {},
      ) =>
        toResult<R>(
          await client.query<R>(
            name === undefined ? { text, values: [...values] } : { name, text, values: [...values] },
          ),
        ),
      afterCommit: (callback) => {
        callbacks.push(callback);
      },
    });
    await client.query("commit");
    for (const callback of callbacks) callback();
    return value;
  } catch (error) {
    await client.query("rollback").catch((rollbackError: unknown) => {
      broken ??= rollbackError instanceof Error ? rollbackError : new Error(String(rollbackError));
    });
    throw error;
  } finally {
    client.off("error", onError);
    client.release(broken);
  }
}

const transientClasses = new Set(["08", "40", "53", "57"]);
const transientCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ENOENT",
  "EPIPE",
  "ETIMEDOUT",
  "EAI_AGAIN",
  "ENOTFOUND",
  "EHOSTUNREACH",
  "55P03",
  "25P03",
]);
const transientMessages =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Client was closed)/;

/**
 * Whether the database, not the statement, is at fault: connection lost or refused, shutting down, out of
 * resources, deadlock, serialisation. Such work may be tried again unchanged.
 */
export function isTransientDbError(error: unknown): boolean {
  const code = errorCodeOf(error);
  if (
    code !== undefined &&
    (transientCodes.has(code) || (code.length === 5 && transientClasses.has(code.slice(0, 2))))
  ) {
    return true;
  }
  // `pg` gives no code to the errors it makes itself.
  return error instanceof Error && transientMessages.test(error.message);
}

/**
 * Whether a statement does not fit the schema it met (SQLSTATE class 42): a fault of this version or of the migration,
 * which no entry is to blame for and which no entry will be spared.
 */
export function isSchemaFault(error: unknown): boolean {
  return errorCodeOf(error)?.startsWith("42") === true && errorCodeOf(error)?.length === 5;
}

/** Refuses, in one sentence, a database that cannot keep what Tidings stores. */
export async function requireUsableDatabase(db: Db, log: Logger): Promise<void> {
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
