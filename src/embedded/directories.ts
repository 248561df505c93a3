import fs from "node:fs";
import path from "node:path";
import { StartupError, errorMessage } from "../lib/errors.ts";
import type { Account } from "./account.ts";
import type { Layout } from "./layout.ts";
import { closedPart, lookOnDisk } from "./reach.ts";

/** Makes the directories, with owners and modes under which PostgreSQL can use them and other users cannot. */
export function prepareDirectories(layout: Layout, account: Account | undefined): void {
  try {
    makeDataDir(layout.dataDir, account);
    for (const dir of [layout.sockets, layout.logs]) makePrivateDir(dir, account);
    if (fs.existsSync(layout.cluster)) claim(layout.cluster, account);
  } catch (error) {
    if (error instanceof StartupError) throw error;
    throw new StartupError(`DATA_DIR ${layout.dataDir} cannot be used: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

function makeDataDir(dataDir: string, account: Account | undefined): void {
  const first = fs.mkdirSync(dataDir, { recursive: true, mode: account === undefined ? 0o700 : 0o711 });
  if (account === undefined) return;
  // Whatever root's umask took away from the directories that were just made, the account must pass through them.
  for (let dir = dataDir; dir.length >= (first?.length ?? Infinity); dir = path.dirname(dir)) {
    fs.chmodSync(dir, 0o711);
  }
  const { uid, mode } = fs.statSync(dataDir);
  if (uid === 0 && (mode & 0o011) !== 0o011) fs.chmodSync(dataDir, (mode & 0o7777) | 0o011);
  const closed = closedPart(dataDir, account, lookOnDisk);
  if (closed !== undefined) throw unreachableDataDir(dataDir, closed, account);
}

export function unreachableDataDir(
  dataDir: string,
  closed: string,
  account: { readonly name: string },
): StartupError {
  return new StartupError(
    `DATA_DIR ${dataDir} cannot be reached by the system user "${account.name}", as whom PostgreSQL runs when root starts it, because ${closed} is closed to that user: choose another DATA_DIR or start the server as an ordinary user`,
  );
}

/** A directory that only PostgreSQL's user enters. One that is there already must be that user's own. */
export function makePrivateDir(dir: string, account: Account | undefined): void {
  try {
    fs.mkdirSync(dir, { mode: 0o700 });
  } catch (error) {
    if (!fs.existsSync(dir)) throw error;
  }
  // No links: in /tmp, somebody else may have made this name point anywhere.
  if (!fs.lstatSync(dir).isDirectory()) throw new StartupError(`${dir} is in the way: it is not a directory`);
  claim(dir, account);
  if ((fs.lstatSync(dir).mode & 0o777) !== 0o700) fs.chmodSync(dir, 0o700);
}

/** Gives what root owns to the account. Anything that belongs to a third user is refused. */
function claim(target: string, account: Account | undefined): void {
  const owner = fs.lstatSync(target).uid;
  if (owner === (account?.uid ?? process.getuid?.())) return;
  if (account === undefined || owner !== 0) {
    throw new StartupError(`${target} belongs to another user: start the server as that user`);
  }
  fs.lchownSync(target, account.uid, account.gid);
  if (!fs.lstatSync(target).isDirectory()) return;
  for (const entry of fs.readdirSync(target, { recursive: true, encoding: "utf8" })) {
    fs.lchownSync(path.join(target, entry), account.uid, account.gid);
  }
}
