import { createHash } from "node:crypto";
import path from "node:path";
import type { Account } from "./account.ts";
import { unreachableDataDir } from "./directories.ts";
import { type Look, closedPart } from "./reach.ts";

/** Where root keeps what must be reachable for other users. */
export const systemDir = "/var/lib/tidings";

export type DataDirChoice = {
  readonly dataDir: string;
  /** One sentence for the operator when the directory is not the one that was asked for. */
  readonly note?: string;
};

/** Chooses a data directory that `account` can reach. Pure: the file system is seen through `look`. */
export function chooseDataDir(
  asked: { readonly dataDir: string; readonly isDefault: boolean; readonly cwd: string },
  account: Account,
  look: Look,
): DataDirChoice {
  // The directory itself is left out: where it is root's own, the start opens it for the account.
  const closed = closedPart(path.dirname(asked.dataDir), account, look);
  if (closed === undefined) return { dataDir: asked.dataDir };
  if (!asked.isDefault) throw unreachableDataDir(asked.dataDir, closed, account);
  const project = path.basename(path.dirname(asked.dataDir)) || "tidings";
  const hash = createHash("sha256").update(asked.cwd).digest("hex").slice(0, 8);
  const dataDir = path.join(systemDir, `${project}-${hash}`);
  return {
    dataDir,
    note: `The data lies in ${dataDir}, because PostgreSQL does not run as root and the system user "${account.name}" cannot enter ${closed}.`,
  };
}
