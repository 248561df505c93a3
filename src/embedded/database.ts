import { Client } from "pg";
import { type DbAddress, clientConfig, isTransientDbError } from "../lib/db.ts";
import { pause } from "../lib/backoff.ts";
import { StartupError, errorCodeOf, errorMessage } from "../lib/errors.ts";

const questionTimeoutMs = 5_000;
const createTimeoutMs = 30_000;
const retryMs = 100;
const tooManyConnections = "53300";
const duplicateDatabase = "42P04";
const uniqueViolation = "23505";

/** Whether the postmaster at `address` takes connections. */
export async function answers(address: DbAddress): Promise<boolean> {
  try {
    await ask(address, "select 1", questionTimeoutMs);
    return true;
  } catch (error) {
    const code = errorCodeOf(error);
    if (code === tooManyConnections) return true;
    if (code === "EACCES" || code === "EPERM") {
      throw new StartupError(
        `The database in use at ${address.host} belongs to another user: run this as that user`,
        { cause: error },
      );
    }
    return false;
  }
}

/** Creates the database unless it is there. Two processes may do so at the same time. */
export async function ensureDatabase(address: DbAddress, signal?: AbortSignal): Promise<void> {
  const deadline = performance.now() + createTimeoutMs;
  for (;;) {
    try {
      const found = await ask(
        address,
        `select 1 from pg_database where datname = '${address.database}'`,
        questionTimeoutMs,
      );
      // template0, because nobody can be connected to it.
      if (found === 0)
        await ask(address, `create database ${address.database} template template0`, createTimeoutMs);
      return;
    } catch (error) {
      signal?.throwIfAborted();
      const code = errorCodeOf(error) ?? "";
      if (code === duplicateDatabase || code === uniqueViolation) return;
      if (!isTransientDbError(error) || performance.now() >= deadline) {
        throw new StartupError(`The database cannot be created: ${errorMessage(error)}`, { cause: error });
      }
    }
    await pause(retryMs, signal);
  }
}

/** Runs one statement in the maintenance database and answers the number of its rows. */
async function ask(address: DbAddress, statement: string, timeoutMs: number): Promise<number> {
  const client = new Client({
    ...clientConfig({ ...address, database: "postgres" }, "tidings embedded"),
    query_timeout: timeoutMs,
  });
  // A connection that is cut shows in the statement's own failure.
  client.on("error", () => undefined);
  try {
    await client.connect();
    const result = await client.query(statement);
    return result.rowCount ?? 0;
  } finally {
    await client.end().catch(() => undefined);
  }
}
