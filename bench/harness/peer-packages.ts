import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";

const directory = path.join(import.meta.dirname, "..");

/** Installs what the benches compare against, once; the server itself never needs it. */
export function ensurePeerPackages(): void {
  if (existsSync(path.join(directory, "node_modules/.package-lock.json"))) return;
  console.log("Installing the peers into bench/node_modules (npm ci --prefix bench), once.");
  const { status } = spawnSync("npm", ["ci", "--prefix", directory, "--loglevel", "error"], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) throw new Error("npm ci --prefix bench has failed: is the registry within reach?");
}
