import fs from "node:fs";
import path from "node:path";
import { StartupError, errorCodeOf, errorMessage } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { Account } from "./account.ts";
import type { Layout } from "./layout.ts";
import { closedPart, lookOnDisk } from "./reach.ts";

/** What may lie in a data directory; an empty volume may hold the last of these. */
const ownName = /^(?:postgres(?:ql)?(?:[-.].+)?|run|development-key|jwt-secret|lost\+found)$/;

/** Makes the directories, with owners and modes under which PostgreSQL can use them and other users cannot. */
export function prepareDirectories(
  layout: Layout,
  account: Account | undefined,
  log: Pick<Logger, "warn">,
): void {
  usable(layout.dataDir, () => {
    makeDataDir(layout.dataDir, account, log);
    for (const dir of [layout.sockets, layout.logs]) makePrivateDir(dir, account);
    if (fs.existsSync(layout.cluster)) claim(layout.cluster, account);
  });
}

/** What `look` answers; a fault that it meets in a data directory becomes a sentence that names the directory. */
export function usable<T>(dataDir: string, look: () => T): T {
  try {
    return look();
  } catch (error) {
    if (error instanceof StartupError) throw error;
    const closed = ["EACCES", "EPERM"].includes(errorCodeOf(error) ?? "");
    const advice = closed ? ": start this as the user that it belongs to, or choose another DATA_DIR" : "";
    throw new StartupError(`DATA_DIR ${dataDir} cannot be used: ${errorMessage(error)}${advice}`, {
      cause: error,
    });
  }
}

function makeDataDir(dataDir: string, account: Account | undefined, log: Pick<Logger, "warn">): void {
  const made = makeDirs(dataDir, account === undefined ? 0o700 : 0o711);
  // Looked at before anything is changed: a name that was mistyped may be that of anything.
  if (!fs.statSync(dataDir).isDirectory()) {
    throw new StartupError(`DATA_DIR ${dataDir} cannot be used: it is not a directory`);
  }
  if (account === undefined) return;
  // Whatever root's umask took away from the directories that were just made, the account must pass through them.
  for (const dir of made) fs.chmodSync(dir, 0o711);
  const { uid, mode } = fs.statSync(dataDir);
  // One that holds other things of root's stays as closed as it is, and is refused below.
  const names = fs.readdirSync(dataDir);
  if (uid === 0 && (mode & 0o011) !== 0o011 && names.every((name) => ownName.test(name))) {
    fs.chmodSync(dataDir, (mode & 0o7777) | 0o011);
    if (names.length > 0)
      log.warn({ dataDir, user: account.name }, "data directory opened for the user that PostgreSQL runs as");
  }
  const closed = closedPart(dataDir, account, lookOnDisk);
  if (closed !== undefined) throw unreachableDataDir(dataDir, closed, account);
}

/**
 * Makes a directory with those above it and answers the ones that were missing. Level by level, because the recursive
 * `mkdir` of Node.js hides why it failed (a file system that is read-only) and below /proc never comes to an end.
 */
function makeDirs(dir: string, mode: number): readonly string[] {
  if (fs.existsSync(dir)) return [];
  const made = makeDirs(path.dirname(dir), mode);
  try {
    fs.mkdirSync(dir, { mode });
  } catch (error) {
    // Another process that starts at this moment may have been faster.
    if (errorCodeOf(error) !== "EEXIST") throw error;
  }
  return [...made, dir];
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

/** A directory for the socket outside of the data directory goes with its PostgreSQL, unless another is coming up in it. */
export function removeFarSocketDir({ dataDir, sockets }: Layout): void {
  if (path.dirname(sockets) === dataDir) return;
  try {
    fs.rmdirSync(sockets);
  } catch {
    // It is in use again, or gone.
  }
}

/** Gives what root owns to the account. Anything that belongs to a third user is refused. */
function claim(target: string, account: Account | undefined): void {
  const owner = fs.lstatSync(target).uid;
  if (owner === (account?.uid ?? process.getuid?.())) return;
  if (account === undefined || owner !== 0) {
    throw new StartupError(`${target} belongs to another user: start this as that user`);
  }
  fs.lchownSync(target, account.uid, account.gid);
  if (!fs.lstatSync(target).isDirectory()) return;
  for (const entry of fs.readdirSync(target, { recursive: true, encoding: "utf8" })) {
    fs.lchownSync(path.join(target, entry), account.uid, account.gid);
  }
}
