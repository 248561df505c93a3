import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import type { Db } from "./db.ts";
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

/**
 * Brings the database up to the newest migration and resolves with those that were applied now. Forward only, each
 * in a transaction of its own; safe when several processes start at once: the advisory lock lives in the transaction,
 * so it works behind a transaction-mode pooler too. A database from a newer version is refused.
 */
export async function migrate(db: Db, migrations: readonly Migration[]): Promise<readonly Migration[]> {
  await db.transaction(async (tx) => {
    await tx.query("select pg_advisory_xact_lock($1)", [migrationLock]);
    await tx.query(
      `create table if not exists migration (
         number int primary key, name text not null, applied_at timestamptz not null default now())`,
    );
  });
  const applied: Migration[] = [];
  for (const migration of migrations) {
    const now = await db.transaction(async (tx) => {
      await tx.query("select pg_advisory_xact_lock($1)", [migrationLock]);
      const { rowCount } = await tx.query("select 1 from migration where number = $1", [migration.number]);
      if (rowCount > 0) return false;
      await tx.query(migration.sql);
      await tx.query("insert into migration (number, name) values ($1, $2)", [
        migration.number,
        migration.name,
      ]);
      return true;
    });
    if (now) applied.push(migration);
  }
  await refuseNewerDatabase(db, migrations.length);
  return applied;
}

async function refuseNewerDatabase(db: Db, known: number): Promise<void> {
  const { rows } = await db.query<{ number: number }>("select max(number) as number from migration");
  const newest = rows[0]?.number ?? 0;
  if (newest > known) {
    throw new StartupError(
      `The database is at migration ${newest} and this version of Tidings knows ${known}: start the newer version`,
    );
  }
}
