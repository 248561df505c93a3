import { createHash } from "node:crypto";
import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { backoffMs, pause } from "./backoff.ts";
import { type Db, type Tx, boundTo, isLockTimeout } from "./db.ts";
import { StartupError } from "./errors.ts";

/** Serialises servers that start at the same moment; any number that nothing else uses. */
const migrationLock = 7_319_204_551;

export type Migration = { readonly number: number; readonly name: string; readonly sql: string };

/** Reads `NNNN_name.sql` files. Throws when numbers are missing or doubled. */
export async function readMigrations(directory: string): Promise<readonly Migration[]> {
  const files = (await readdir(directory)).filter((file) => file.endsWith(".sql")).sort();
  return Promise.all(
    files.map(async (file, index) => {
      const match = /^(\d{4})_([a-z0-9_]+)\.sql$/.exec(file);
      const number = Number(match?.[1]);
      if (match?.[2] === undefined || number !== index + 1) {
        throw new Error(`migrations must be numbered without gaps: ${file}`);
      }
      return { number, name: match[2], sql: await readFile(path.join(directory, file), "utf8") };
    }),
  );
}

export type MigrateOptions = {
  /** How long a migration's statement waits for a lock before the migration is begun anew, milliseconds. */
  readonly lockTimeoutMs: number;
  /** How often a migration is begun before the start fails. */
  readonly attemptsMax: number;
};

const patience: MigrateOptions = { lockTimeoutMs: 1_000, attemptsMax: 60 };
const lockRetry = { baseMs: 100, factor: 2, maxMs: 2_000 } as const;

/**
 * Brings the database up to the newest migration and resolves with those that were applied now. Forward only, each
 * in a transaction of its own; safe when several processes start at once: each transaction holds an advisory lock.
 * Refused are a database from a newer version and a migration that is not what it was when it ran. A migration may run
 * for hours; it does not make others queue behind it for a lock. Once the signal is aborted its statement is cancelled,
 * and with it the migration: it rejects with the reason, and those that had landed stay.
 */
export async function migrate(
  db: Db,
  migrations: readonly Migration[],
  { signal, ...options }: Partial<MigrateOptions> & { readonly signal?: AbortSignal | undefined } = {},
): Promise<readonly Migration[]> {
  const rules = { ...patience, ...options };
  return db.unhurried(0, async (unbound) => {
    const own = boundTo(unbound, signal);
    await locked(own, (tx) => prepare(tx, migrations));
    const applied: Migration[] = [];
    for (const migration of migrations)
      if (await apply(own, migration, { ...rules, signal })) applied.push(migration);
    return applied;
  });
}

/** One transaction at a time among all servers that start: waits for as long as another one migrates. */
function locked<T>(db: Db, work: (tx: Tx) => Promise<T>): Promise<T> {
  return db.transaction(async (tx) => {
    await tx.query("select pg_advisory_xact_lock($1)", [migrationLock]);
    return work(tx);
  });
}

type Landed = { readonly number: number; readonly name: string; readonly hash: string | null };

/** Makes the table of migrations what it has to be, and refuses a database that these files do not fit. */
async function prepare(tx: Tx, migrations: readonly Migration[]): Promise<void> {
  await tx.query(
    `create table if not exists migration (
       number int primary key, name text not null, applied_at timestamptz not null default now(), hash text)`,
  );
  const { rowCount } = await tx.query(
    "select from pg_attribute where attrelid = 'migration'::regclass and attname = 'hash' and not attisdropped",
  );
  if (rowCount === 0) await tx.query("alter table migration add column hash text");
  const { rows } = await tx.query<Landed>("select number, name, hash from migration order by number");
  refuseNewerDatabase(rows, migrations.length);
  for (const { number, name, hash } of rows) {
    const file = migrations[number - 1];
    if (file === undefined) continue;
    // It ran before hashes were kept: from now on it is what it is now.
    if (hash === null) {
      await tx.query("update migration set hash = $2 where number = $1", [number, hashOf(file)]);
    } else if (hash !== hashOf(file)) {
      throw new StartupError(
        `The migration ${fileOf({ number, name })} is not the one that has run on this database: put the file back as it was, and make the change in a new migration`,
      );
    }
  }
}

/** Applies one unless it has landed; begun anew when something that it needs is in use. */
async function apply(
  db: Db,
  migration: Migration,
  options: MigrateOptions & { readonly signal: AbortSignal | undefined },
): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await locked(db, (tx) => applyOnce(tx, migration, options.lockTimeoutMs));
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
      if (attempt >= options.attemptsMax) {
        throw new StartupError(
          `The migration ${fileOf(migration)} needs a table that another session holds: end that session and start again`,
          { cause: error },
        );
      }
      await pause(backoffMs(attempt, lockRetry), options.signal);
    }
  }
}

async function applyOnce(tx: Tx, migration: Migration, lockTimeoutMs: number): Promise<boolean> {
  const { rowCount } = await tx.query("select from migration where number = $1", [migration.number]);
  if (rowCount > 0) return false;
  await tx.query("select set_config('lock_timeout', $1, true)", [`${lockTimeoutMs}ms`]);
  await tx.query(migration.sql);
  await tx.query("insert into migration (number, name, hash) values ($1, $2, $3)", [
    migration.number,
    migration.name,
    hashOf(migration),
  ]);
  return true;
}

/** Of the text, whatever way of ending lines the file was checked out with. */
function hashOf({ sql }: Migration): string {
  return createHash("sha256").update(sql.replaceAll("\r\n", "\n")).digest("hex");
}

function fileOf({ number, name }: Pick<Migration, "number" | "name">): string {
  return `${String(number).padStart(4, "0")}_${name}.sql`;
}

function refuseNewerDatabase(landed: readonly Landed[], known: number): void {
  const newest = landed.at(-1)?.number ?? 0;
  if (newest > known) {
    throw new StartupError(
      `The database is at migration ${newest} and this version of Tidings knows ${known}: start the newer version`,
    );
  }
}
