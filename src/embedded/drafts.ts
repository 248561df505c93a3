import { randomBytes } from "node:crypto";
import fs from "node:fs/promises";
import path from "node:path";
import { errorCodeOf } from "../lib/errors.ts";

/** A draft that old was left by a process that died: none takes that long to finish. */
const staleMs = 600_000;

/**
 * Has `fill` make a directory beside `target` and then gives it that name in one step, so that `target` is either
 * absent or whole. If another process has put its own there in the meantime, that one stays.
 */
export async function buildDirectory(target: string, fill: (draft: string) => Promise<void>): Promise<void> {
  const draft = `${draftPrefix(target)}${randomBytes(4).toString("hex")}`;
  try {
    await fs.mkdir(draft, { mode: 0o700 });
    await fill(draft);
    await rename(draft, target);
  } finally {
    await fs.rm(draft, { recursive: true, force: true });
  }
}

async function rename(draft: string, target: string): Promise<void> {
  try {
    await fs.rename(draft, target);
  } catch (error) {
    if (!["ENOTEMPTY", "EEXIST"].includes(errorCodeOf(error) ?? "")) throw error;
    return;
  }
  // The new name itself must survive a power cut.
  const parent = await fs.open(path.dirname(target), "r");
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}

/** What a process that was killed has left of its drafts. */
export async function removeStaleDrafts(target: string): Promise<void> {
  const parent = path.dirname(target);
  const prefix = path.basename(draftPrefix(target));
  for (const name of await fs.readdir(parent)) {
    if (!name.startsWith(prefix)) continue;
    const draft = path.join(parent, name);
    const stats = await fs.stat(draft).catch(() => undefined);
    if (stats === undefined || Date.now() - stats.mtimeMs < staleMs) continue;
    // Another user's is no reason not to start.
    await fs.rm(draft, { recursive: true, force: true }).catch(() => undefined);
  }
}

function draftPrefix(target: string): string {
  return `${target}.new-`;
}
