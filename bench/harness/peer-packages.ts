import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import path from "node:path";

const directory = path.join(import.meta.dirname, "..");
const wanted = path.join(directory, "package-lock.json");
const installed = path.join(directory, "node_modules/.package-lock.json");

/** Installs what the benches compare against, and again when the list has changed; the server itself never needs it. */
export function ensurePeerPackages(): void {
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(wanted).mtimeMs) return;
  console.log("Installing the peers into bench/node_modules (npm ci --prefix bench).");
  const { status } = spawnSync("npm", ["ci", "--prefix", directory, "--loglevel", "error"], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) throw new Error("npm ci --prefix bench has failed: is the registry within reach?");
}
