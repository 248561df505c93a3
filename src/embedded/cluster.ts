import fs from "node:fs/promises";
import path from "node:path";
import { StartupError, errorCodeOf } from "../lib/errors.ts";
import type { Account } from "./account.ts";
import type { Binaries } from "./binaries.ts";
import { buildDirectory, removeStaleDrafts } from "./drafts.ts";
import type { Layout } from "./layout.ts";
import { runProgram } from "./program.ts";

/** The superuser of the cluster, and the database that the server lives in. */
export const databaseUser = "tidings";
export const databaseName = "tidings";

const initdbTimeoutMs = 180_000;

/**
 * Makes the cluster unless there is one. It is built beside its place and renamed when whole, so that neither a
 * crash nor two starts at the same time leave half of one.
 */
export async function ensureCluster(
  layout: Layout,
  binaries: Binaries,
  options: {
    readonly account: Account | undefined;
    readonly durable: boolean;
    readonly onMissing: () => void;
    readonly signal?: AbortSignal;
  },
): Promise<void> {
  await removeStaleDrafts(layout.cluster);
  const version = await readVersion(layout.cluster);
  if (version === undefined) {
    options.onMissing();
    await createCluster(layout, binaries, options);
  } else if (version !== binaries.majorVersion) {
    throw new StartupError(
      `The database in ${layout.cluster} was made by PostgreSQL ${version} and this release brings PostgreSQL ${binaries.majorVersion}: export it with the release that made it and import it into a new DATA_DIR`,
    );
  }
}

async function createCluster(
  layout: Layout,
  binaries: Binaries,
  options: {
    readonly account: Account | undefined;
    readonly durable: boolean;
    readonly signal?: AbortSignal;
  },
): Promise<void> {
  const { account, signal } = options;
  await buildDirectory(layout.cluster, async (draft) => {
    if (account !== undefined) await fs.chown(draft, account.uid, account.gid);
    const args = ["-D", draft, "-U", databaseUser, "-A", "trust", "-E", "UTF8", "--locale=C"];
    // The collation of a locale of the system changes with the system and would break indexes.
    args.push("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions");
    if (!options.durable) args.push("--no-sync");
    await runProgram(binaries.initdb, args, {
      account,
      timeoutMs: initdbTimeoutMs,
      ...(signal === undefined ? {} : { signal }),
    });
  });
}

/** The major version a cluster was made by, or undefined if there is none. */
async function readVersion(cluster: string): Promise<string | undefined> {
  try {
    return (await fs.readFile(path.join(cluster, "PG_VERSION"), "utf8")).trim();
  } catch (error) {
    if (errorCodeOf(error) !== "ENOENT") throw unreadable(cluster, error);
  }
  const entries = await fs.readdir(cluster).catch((error: unknown) => {
    if (errorCodeOf(error) === "ENOENT") return [];
    throw unreadable(cluster, error);
  });
  if (entries.length === 0) return undefined;
  throw new StartupError(`${cluster} is not empty and no database either: move it away`);
}

function unreadable(cluster: string, cause: unknown): StartupError {
  return new StartupError(`The database in ${cluster} cannot be read: start this as its owner`, {
    cause,
  });
}
