import fs from "node:fs/promises";
import path from "node:path";
import { buildDirectory, removeStaleDrafts } from "./drafts.ts";
import { repairPackage } from "./package-repair.ts";

/** Written last, so that a directory without it is not a whole copy. */
const markerName = ".complete";

/**
 * Copies the programs and libraries of a package to `target`, once, readable for every user, and makes the copy
 * usable. Answers `target`, or throws the signal's reason once that is aborted.
 */
export async function copyPackage(
  packageRoot: string,
  target: string,
  signal?: AbortSignal,
): Promise<string> {
  if (await exists(path.join(target, markerName))) return target;
  await makeParent(path.dirname(target));
  await removeStaleDrafts(target);
  await buildDirectory(target, async (draft) => {
    await fs.chmod(draft, 0o755);
    await copyTree(path.join(packageRoot, "native"), path.join(draft, "native"), signal);
    if (!repairPackage(draft)) throw new Error(`${draft} cannot be written`);
    await fs.writeFile(path.join(draft, markerName), "");
  });
  return target;
}

/** Directories that are new are open to every user, whatever the umask. */
async function makeParent(dir: string): Promise<void> {
  if (await exists(dir)) return;
  await makeParent(path.dirname(dir));
  await fs.mkdir(dir, { recursive: true });
  await fs.chmod(dir, 0o755);
}

/** Without links, which `repairPackage` makes anew; with modes of its own, as the source may be closed or read-only. */
async function copyTree(from: string, to: string, signal: AbortSignal | undefined): Promise<void> {
  await fs.mkdir(to, { recursive: true });
  await fs.chmod(to, 0o755);
  for (const entry of await fs.readdir(from, { withFileTypes: true })) {
    signal?.throwIfAborted();
    const source = path.join(from, entry.name);
    const copy = path.join(to, entry.name);
    if (entry.isDirectory()) await copyTree(source, copy, signal);
    if (!entry.isFile()) continue;
    await fs.copyFile(source, copy);
    await fs.chmod(copy, path.basename(from) === "bin" ? 0o755 : 0o644);
  }
}

async function exists(file: string): Promise<boolean> {
  return fs.access(file).then(
    () => true,
    () => false,
  );
}
