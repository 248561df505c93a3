import { chmod, mkdir, open, readFile, stat, unlink } from "node:fs/promises";
import path from "node:path";
import { errorCodeOf } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";

const ownerOnly = 0o600;
const anyoneElse = 0o077;

/**
 * The trimmed text of a file that only its owner may read, or undefined when there is none. Wider permissions (a
 * copied or restored directory) are taken back, with a warning: the secret may have been read meanwhile.
 */
export async function readPrivateFile(file: string, log: Logger): Promise<string | undefined> {
  try {
    const { mode } = await stat(file);
    if ((mode & anyoneElse) !== 0) {
      await chmod(file, ownerOnly);
      log.warn(
        { file, mode: (mode & 0o777).toString(8) },
        "secret file was open to other users, closed to them now",
      );
    }
    return (await readFile(file, "utf8")).trim();
  } catch (error) {
    if (errorCodeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Creates a file with the text that `make` resolves with, exclusively: false when it is already there, and `make` is
 * not called. When `make` rejects, the file is removed again.
 */
export async function createPrivateFile(file: string, make: () => Promise<string>): Promise<boolean> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  let handle;
  try {
    handle = await open(file, "wx", ownerOnly);
  } catch (error) {
    if (errorCodeOf(error) === "EEXIST") return false;
    throw error;
  }
  try {
    await handle.writeFile(`${await make()}\n`);
    await handle.sync();
    return true;
  } catch (error) {
    await unlink(file);
    throw error;
  } finally {
    await handle.close();
  }
}
