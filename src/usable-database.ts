import type { Db } from "./lib/db.ts";
import { StartupError, errorMessage } from "./lib/errors.ts";
import type { Logger } from "./lib/logger.ts";

/** What a PostgreSQL says of itself. */
export type DatabaseFacts = { readonly version: number; readonly encoding: string; readonly fsync: string };

const versionMin = 150_000;

/** Refuses, in one sentence, a database that cannot keep what Tidings stores. */
export async function requireUsableDatabase(db: Db, log: Pick<Logger, "warn">): Promise<void> {
  let facts: DatabaseFacts | undefined;
  try {
    const result = await db.query<DatabaseFacts>(
      `select current_setting('server_version_num')::int as version,
              current_setting('server_encoding') as encoding, current_setting('fsync') as fsync`,
    );
    facts = result.rows[0];
  } catch (error) {
    throw new StartupError(`PostgreSQL at ${placeOf(db)} cannot be used: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  if (facts === undefined) throw new StartupError("PostgreSQL answered nothing to the first question");
  const refusal = refusalOf(facts, db.address.database);
  if (refusal !== undefined) throw new StartupError(refusal);
  if (facts.fsync !== "on") {
    log.warn("this PostgreSQL runs with fsync off: what was acknowledged may be lost when its machine fails");
  }
}

/** Why a database cannot be used; undefined when it can. */
export function refusalOf({ version, encoding }: DatabaseFacts, database: string): string | undefined {
  if (version < versionMin) {
    return `PostgreSQL ${versionMin / 10_000} or newer is needed, and the database "${database}" is of version ${Math.floor(version / 10_000)}`;
  }
  if (encoding !== "UTF8") {
    return `The database "${database}" is encoded in ${encoding}: create it anew with "create database … encoding 'UTF8' template template0"`;
  }
  return undefined;
}

/** `db.example:5432/tidings`: where a database is, without how to get in. */
export function placeOf({ address: { host, port, database } }: Pick<Db, "address">): string {
  return `${host}:${port}/${database}`;
}
