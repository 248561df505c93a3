import fs from "node:fs";
import path from "node:path";

/** Owner and permission bits of a path. */
export type Ownership = { readonly uid: number; readonly gid: number; readonly mode: number };

export type Identity = { readonly uid: number; readonly gid: number };

/** Answers undefined for a path that does not exist. */
export type Look = (path: string) => Ownership | undefined;

/**
 * The topmost part of `target` (itself included) that `who` may not enter, or undefined. Parts that do not exist
 * yet count as open, because the server creates them. Symbolic links must be resolved already.
 */
export function closedPart(target: string, who: Identity, look: Look): string | undefined {
  const names = target.split(path.sep).filter((name) => name !== "");
  const parts = [path.sep, ...names.map((_, index) => path.sep + path.join(...names.slice(0, index + 1)))];
  return parts.find((part) => {
    const found = look(part);
    return found !== undefined && !mayEnter(found, who);
  });
}

/** Only the account's own group counts: supplementary groups are dropped when a process is started as `who`. */
function mayEnter(found: Ownership, who: Identity): boolean {
  if (found.uid === who.uid) return (found.mode & 0o100) !== 0;
  if (found.gid === who.gid) return (found.mode & 0o010) !== 0;
  return (found.mode & 0o001) !== 0;
}

export const lookOnDisk: Look = (target) => fs.statSync(target, { throwIfNoEntry: false });

/** `target` with the links of its existing part resolved. */
export function canonicalPath(target: string): string {
  const parent = path.dirname(target);
  if (parent === target || fs.existsSync(target)) return fs.realpathSync(target);
  return path.join(canonicalPath(parent), path.basename(target));
}
