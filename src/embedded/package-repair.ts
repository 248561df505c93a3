import fs from "node:fs";
import path from "node:path";
import { errorCodeOf } from "../lib/errors.ts";

/** A link that npm packages cannot hold: `target` is its path and `source` what it leads to, below the package. */
type LibraryLink = { readonly source: string; readonly target: string };

const notPermitted = new Set(["EACCES", "EPERM", "EROFS"]);
const executable = 0o111;

/**
 * Does what the package's install script would have done, where it is still undone: install scripts are often
 * forbidden. False if something is missing and this process may not write here.
 */
export function repairPackage(packageRoot: string): boolean {
  try {
    for (const link of readLinks(packageRoot)) ensureLink(packageRoot, link);
    for (const name of ["initdb", "postgres"])
      ensureExecutable(path.join(packageRoot, "native", "bin", name));
    return true;
  } catch (error) {
    if (notPermitted.has(errorCodeOf(error) ?? "")) return false;
    throw error;
  }
}

function readLinks(packageRoot: string): LibraryLink[] {
  const text = fs.readFileSync(path.join(packageRoot, "native", "pg-symlinks.json"), "utf8");
  const links: unknown = JSON.parse(text);
  if (!Array.isArray(links) || !links.every(isLibraryLink)) {
    throw new Error("pg-symlinks.json is not a list of links");
  }
  return links;
}

function isLibraryLink(value: unknown): value is LibraryLink {
  return (
    typeof value === "object" &&
    value !== null &&
    "source" in value &&
    typeof value.source === "string" &&
    "target" in value &&
    typeof value.target === "string"
  );
}

function ensureLink(packageRoot: string, link: LibraryLink): void {
  const target = path.join(packageRoot, link.target);
  if (fs.existsSync(target)) return;
  const source = path.relative(path.dirname(target), path.join(packageRoot, link.source));
  fs.rmSync(target, { force: true });
  fs.mkdirSync(path.dirname(target), { recursive: true });
  try {
    fs.symlinkSync(source, target);
  } catch (error) {
    // Another process that starts at this moment may have been faster.
    if (errorCodeOf(error) !== "EEXIST") throw error;
  }
}

function ensureExecutable(file: string): void {
  const { mode } = fs.statSync(file);
  if ((mode & executable) !== executable) fs.chmodSync(file, 0o755);
}
