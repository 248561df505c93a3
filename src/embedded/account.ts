import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { StartupError } from "../lib/errors.ts";
import { clusterDir } from "./layout.ts";

/** A system user that PostgreSQL runs as because this process is root. Ids are unsigned, as `stat` gives them. */
export type Account = { readonly name: string; readonly uid: number; readonly gid: number };

const accountNames = ["tidings", "postgres", "nobody"];
const lookUpTimeoutMs = 10_000;

export function runsAsRoot(): boolean {
  return process.getuid?.() === 0;
}

/**
 * Who runs PostgreSQL on behalf of root: the owner of the cluster if there is one, else `user`, else the first
 * that exists of the usual names.
 */
export function chooseAccount(dataDir: string, user: string | undefined): Account {
  const cluster = fs.statSync(clusterDir(dataDir), { throwIfNoEntry: false });
  // A cluster of root's is one that was copied by root: it is given to the account before it is used.
  if (cluster !== undefined && cluster.uid !== 0) {
    const name = String(cluster.uid);
    return lookUp(name) ?? { name, uid: cluster.uid, gid: cluster.gid };
  }
  if (user !== undefined) {
    const account = lookUp(user);
    if (account === undefined) throw new StartupError(`EMBEDDED_USER: there is no system user "${user}"`);
    if (account.uid === 0) throw new StartupError("EMBEDDED_USER: PostgreSQL refuses to run as root");
    return account;
  }
  for (const name of accountNames) {
    const account = lookUp(name);
    if (account !== undefined && account.uid !== 0) return account;
  }
  throw new StartupError(
    'PostgreSQL refuses to run as root: create a system user "tidings", set EMBEDDED_USER, or start the server as an ordinary user',
  );
}

/** What `spawn` needs to start a process as `account`. The supplementary groups are dropped with it. */
export function spawnIdentity(account: Account | undefined): { uid?: number; gid?: number } {
  // `spawn` takes signed 32-bit ids, and macOS gives "nobody" the id -2.
  return account === undefined ? {} : { uid: account.uid | 0, gid: account.gid | 0 };
}

/** Through `id`, because it also knows directories other than the passwd file, and numbers in place of names. */
function lookUp(name: string): Account | undefined {
  const uid = askId("-u", name);
  const gid = askId("-g", name);
  return uid === undefined || gid === undefined ? undefined : { name, uid, gid };
}

function askId(flag: "-u" | "-g", name: string): number | undefined {
  try {
    const text = execFileSync("id", [flag, "--", name], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: lookUpTimeoutMs,
    });
    const id = Number(text.trim());
    return Number.isInteger(id) ? id >>> 0 : undefined;
  } catch {
    return undefined;
  }
}
