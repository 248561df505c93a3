import { mkdir, open, readFile, readdir, rename, rm, stat } from "node:fs/promises";
import type { ClientStorage } from "./storage.ts";

/** Ends the names of files that are being written. No key's file has it. */
const unfinished = "~";
/**
 * A file that has been written for so long belongs to a process that was killed: its number says nothing, since another
 * one, or one of another container, may have the same.
 */
export const draftAgeMaxMs = 3_600_000;

/**
 * Keeps things in a folder, a file for each, in Node. The folder comes with the first thing that is kept, for nobody but
 * its owner to read: tokens are among them. A file is there in full or not at all, whenever the power fails.
 */
export function folderStorage(folder: string): ClientStorage {
  let writes = 0;
  let last: Promise<unknown> = Promise.resolve();
  /** One change after the other, so that the last word about a key is the one that was said last. */
  const inTurn = (change: () => Promise<void>): Promise<void> => {
    const done = last.then(change);
    last = done.catch(() => undefined);
    return done;
  };
  const fileOf = (key: string): string => `${folder}/${nameOf(key)}`;
  return {
    load: async (prefix) => {
      const names = await readdir(folder).catch(unlessMissing<string[]>([]));
      await Promise.all(names.filter(isDraft).map((name) => removeStale(`${folder}/${name}`)));
      const keys = names.map(keyOf).filter((key) => key?.startsWith(prefix) === true) as string[];
      const texts = await Promise.all(
        // Another process may have removed it meanwhile.
        keys.map((key) => readFile(fileOf(key), "utf8").catch(unlessMissing<undefined>(undefined))),
      );
      const found = new Map<string, string>();
      for (const [index, key] of keys.entries()) {
        const text = texts[index];
        if (text !== undefined) found.set(key, text);
      }
      return found;
    },
    save: (key, text) =>
      inTurn(async () => {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        // A name of its own: two processes may keep the same thing at the same time.
        const draft = `${fileOf(key)}.${process.pid}-${++writes}${unfinished}`;
        try {
          await writeDurably(draft, text);
          await rename(draft, fileOf(key));
        } catch (error) {
          await rm(draft, { force: true });
          throw error;
        }
      }),
    remove: (key) => inTurn(() => rm(fileOf(key), { force: true })),
  };
}

/** Whether it is the name of a file that is or was being written. */
function isDraft(name: string): boolean {
  const [, file] = /^(.+)\.\d+-\d+~$/.exec(name) ?? [];
  return file !== undefined && keyOf(file) !== undefined;
}

/** What cannot be looked at or removed stays for the next time: it is no part of what is kept. */
async function removeStale(draft: string): Promise<void> {
  try {
    const { mtimeMs } = await stat(draft);
    if (Date.now() - mtimeMs > draftAgeMaxMs) await rm(draft, { force: true });
  } catch {
    // Finished or removed meanwhile, or not ours to touch.
  }
}

async function writeDurably(file: string, text: string): Promise<void> {
  const handle = await open(file, "w", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A key as the name of a file, on every system: nothing in it leads out of the folder or means something else there. */
function nameOf(key: string): string {
  return encodeURIComponent(key).replace(
    /[.~*!'()]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** Undefined for a file that is not one of these. */
function keyOf(name: string): string | undefined {
  try {
    const key = decodeURIComponent(name);
    return nameOf(key) === name ? key : undefined;
  } catch {
    return undefined;
  }
}

function unlessMissing<T>(otherwise: T): (error: unknown) => T {
  return (error) => {
    if ((error as { readonly code?: unknown }).code === "ENOENT") return otherwise;
    throw error;
  };
}
