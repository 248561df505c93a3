import fs from "node:fs";
import type { DbAddress } from "../lib/db.ts";
import { errorCodeOf } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import { chooseAccount, runsAsRoot } from "./account.ts";
import { findPackage, prepareBinaries } from "./binaries.ts";
import { databaseName, databaseUser, ensureCluster } from "./cluster.ts";
import { type DataDirChoice, chooseDataDir, systemDir } from "./data-dir.ts";
import { ensureDatabase } from "./database.ts";
import { prepareDirectories, usable } from "./directories.ts";
import { clusterDir, layoutOf, socketPort } from "./layout.ts";
import { canonicalPath, lookOnDisk } from "./reach.ts";
import { inspectPostmaster } from "./postmaster.ts";
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
  /** Gives the start up: what is under way is ended, and its reason thrown. Without effect once it is started. */
  readonly signal?: AbortSignal;
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
  const dataDir = usable(options.dataDir, () => canonicalPath(options.dataDir));
  const packageRoot = sources.packageRoot ?? findPackage();
  const account = runsAsRoot() ? usable(dataDir, () => chooseAccount(dataDir, options.user)) : undefined;
  const { settings = {}, signal } = options;
  const layout = layoutOf(dataDir);
  const log = options.log.child({ room: "embedded" });
  prepareDirectories(layout, account, log);
  const copies = sources.copies ?? (account === undefined ? dataDir : systemDir);
  const binaries = await prepareBinaries({ packageRoot, account, copies, signal });
  await ensureCluster(layout, binaries, {
    account,
    durable: settings["fsync"] !== "off",
    onMissing: () => progress("creating the database cluster"),
    ...(signal === undefined ? {} : { signal }),
  });

  const address: DbAddress = {
    host: layout.sockets,
    port: socketPort,
    user: databaseUser,
    database: databaseName,
  };
  const site: Site = { layout, binaries, account, settings, address, log, progress };
  const supervisor = new Supervisor(site);
  await startSupervised(supervisor, address, signal);
  return {
    address,
    pid: () => supervisor.pid,
    stop: () => supervisor.stop(),
    [Symbol.asyncDispose]: () => supervisor.stop(),
  };
}

/** Starts PostgreSQL and makes the database in it; when that fails or is given up, nothing is left running. */
async function startSupervised(
  supervisor: Supervisor,
  address: DbAddress,
  signal: AbortSignal | undefined,
): Promise<void> {
  const giveUp = (): void => void supervisor.stop();
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    signal?.throwIfAborted();
    await supervisor.start();
    signal?.throwIfAborted();
    await ensureDatabase(address, signal);
    signal?.throwIfAborted();
  } catch (error) {
    await supervisor.stop();
    throw error;
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
}

/**
 * Whether a data directory holds a database. True also where this process may not look: the start tells that better.
 */
export function hasCluster(dataDir: string): boolean {
  try {
    return fs.readdirSync(clusterDir(dataDir)).length > 0;
  } catch (error) {
    return !["ENOENT", "ENOTDIR"].includes(errorCodeOf(error) ?? "");
  }
}

/** Whether a living process runs the database of a data directory. True also where this process may not look. */
export async function isRunning(dataDir: string): Promise<boolean> {
  try {
    return (await inspectPostmaster(clusterDir(canonicalPath(dataDir)))).kind === "leashed";
  } catch (error) {
    if (["EACCES", "EPERM"].includes(errorCodeOf(error) ?? "")) return true;
    throw error;
  }
}

export type DataDirRequest = {
  /** Absolute. */
  readonly dataDir: string;
  /** It is the one that holds unless DATA_DIR says otherwise. */
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
  const { isDefault, user } = request;
  return usable(request.dataDir, () => {
    const dataDir = canonicalPath(request.dataDir);
    const account = chooseAccount(dataDir, user);
    const choice = chooseDataDir({ dataDir, isDefault, cwd: process.cwd() }, account, lookOnDisk);
    return choice.dataDir === dataDir ? { dataDir: request.dataDir } : choice;
  });
}
