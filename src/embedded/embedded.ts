import type { DbAddress } from "../lib/db.ts";
import type { Logger } from "../lib/logger.ts";
import { type Account, chooseAccount, runsAsRoot } from "./account.ts";
import { findPackage, prepareBinaries } from "./binaries.ts";
import { databaseName, databaseUser, ensureCluster } from "./cluster.ts";
import { type DataDirChoice, chooseDataDir, systemDir } from "./data-dir.ts";
import { ensureDatabase } from "./database.ts";
import { prepareDirectories } from "./directories.ts";
import { layoutOf, socketPort } from "./layout.ts";
import { canonicalPath, lookOnDisk } from "./reach.ts";
import type { Site } from "./site.ts";
import { Supervisor } from "./supervisor.ts";

export type EmbeddedOptions = {
  /** DATA_DIR, absolute, as `resolveDataDir` answered it. */
  readonly dataDir: string;
  /** EMBEDDED_USER: the system user to run PostgreSQL as when this process is root. */
  readonly user: string | undefined;
  readonly log: Logger;
  /** Told what is being done when it may take a moment. */
  readonly onProgress?: (step: string) => void;
  /** Further settings of PostgreSQL, for tests. */
  readonly settings?: Readonly<Record<string, string>>;
};

/** A PostgreSQL of the server's own: kept running, and gone when this process is, however it ends. */
export type Embedded = AsyncDisposable & {
  readonly address: DbAddress;
  /** Of the postmaster; undefined while it is being restarted. */
  pid(): number | undefined;
  /** Resolves when the process is gone. One that another process holds is left running. */
  stop(): Promise<void>;
};

/** Where the programs are taken from and copied to; tests put their own in place. */
export type Sources = { readonly packageRoot?: string; readonly copies?: string };

/**
 * Starts the embedded PostgreSQL on a data directory, creating cluster and database if need be, or uses the one that
 * another process of the server already runs there. Rejects with a `StartupError` that says what to do.
 */
export async function startEmbedded(options: EmbeddedOptions, sources: Sources = {}): Promise<Embedded> {
  const progress = options.onProgress ?? (() => undefined);
  const dataDir = canonicalPath(options.dataDir);
  const packageRoot = sources.packageRoot ?? findPackage();
  const account = runsAsRoot() ? chooseAccount(dataDir, options.user) : undefined;
  const settings = options.settings ?? {};
  const layout = layoutOf(dataDir);
  prepareDirectories(layout, account);
  const copies = sources.copies ?? (account === undefined ? dataDir : systemDir);
  const binaries = await prepareBinaries({ packageRoot, account, copies });
  await ensureCluster(layout, binaries, {
    account,
    durable: settings["fsync"] !== "off",
    onMissing: () => progress("creating the database cluster"),
  });

  const address: DbAddress = {
    host: layout.sockets,
    port: socketPort,
    user: databaseUser,
    database: databaseName,
  };
  const log = options.log.child({ room: "embedded" });
  const site: Site = { layout, binaries, account, settings, address, log, progress };
  const supervisor = new Supervisor(site);
  await supervisor.start();
  try {
    await ensureDatabase(address);
  } catch (error) {
    await supervisor.stop();
    throw error;
  }
  return {
    address,
    pid: () => supervisor.pid,
    stop: () => supervisor.stop(),
    [Symbol.asyncDispose]: () => supervisor.stop(),
  };
}

export type DataDirRequest = {
  /** Absolute. */
  readonly dataDir: string;
  /** DATA_DIR is not set. */
  readonly isDefault: boolean;
  /** EMBEDDED_USER. */
  readonly user: string | undefined;
};

/**
 * The data directory to use with the embedded PostgreSQL. Differs from the one asked for only if root asks for none
 * in particular and PostgreSQL's user could not reach the usual one; one that was asked for by name and cannot be
 * reached is a `StartupError`.
 */
export function resolveDataDir(request: DataDirRequest): DataDirChoice {
  if (!runsAsRoot()) return { dataDir: request.dataDir };
  const dataDir = canonicalPath(request.dataDir);
  const account: Account = chooseAccount(dataDir, request.user);
  const choice = chooseDataDir(
    { dataDir, isDefault: request.isDefault, cwd: process.cwd() },
    account,
    lookOnDisk,
  );
  return choice.dataDir === dataDir ? { dataDir: request.dataDir } : choice;
}
