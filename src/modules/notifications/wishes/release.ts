import type { Deps } from "../../../deps.ts";
import { isPassingDbError } from "../../../lib/db.ts";
import type { ExpireDeps } from "../expire.ts";
import { closePart, releasePart } from "./release-parts.ts";

/** Notifications that one transaction releases, and digests that one closes. */
export const releaseBatchMax = 1_000;
export const digestBatchMax = 100;
/** What cannot be told is tried again after so long, milliseconds. */
export const putOffMs = 600_000;
/** What one run puts off of each kind; at the next one it gives up: then something else is wrong than a row. */
export const putOffMax = 20;

export type ReleaseDeps = ExpireDeps & Pick<Deps, "log">;

/** What waits to be told in one way: how some of it is, and how one of it is put off. */
type Kind = { readonly batchMax: number; readonly release: typeof releasePart; readonly putOffSql: string };

const kinds: readonly Kind[] = [
  {
    batchMax: releaseBatchMax,
    release: releasePart,
    putOffSql: "update notification_held set release_at = $2 where id = $1",
  },
  {
    batchMax: digestBatchMax,
    release: closePart,
    putOffSql: "update notification_digest set closes_at = $2 where id = $1",
  },
];

/**
 * Tells what was held until now, and closes digests. Resolves with how many were told, or are not wanted any more. One that
 * cannot be told holds up nobody: it is found by halving, and put off. Rejects when too many had to be, or the database is
 * away: what is still due is told by the next run.
 */
export async function releaseHeld(deps: ReleaseDeps, signal: AbortSignal): Promise<number> {
  const dueMs = deps.clock.now();
  let released = 0;
  const errors: unknown[] = [];
  for (const kind of kinds) {
    try {
      released += await releaseAll(deps, kind, dueMs, signal);
    } catch (error) {
      if (signal.aborted || isPassingDbError(error)) throw error;
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
  return released;
}

async function releaseAll(
  deps: ReleaseDeps,
  { batchMax, release, putOffSql }: Kind,
  dueMs: number,
  signal: AbortSignal,
): Promise<number> {
  const { db, log } = deps;
  let released = 0;
  let limit = batchMax;
  for (let putOff = 0; ;) {
    signal.throwIfAborted();
    let ids: readonly string[] = [];
    const wanted = { limit, dueMs, onDue: (due: readonly string[]) => (ids = due) };
    try {
      const part = await db.transaction((tx) => release(tx, deps, wanted), signal);
      released += part.released;
      if (!part.found) return released;
      limit = Math.min(limit * 2, batchMax);
    } catch (error) {
      const [only] = ids;
      if (signal.aborted || isPassingDbError(error) || only === undefined || putOff >= putOffMax) throw error;
      if (ids.length > 1) limit = Math.ceil(ids.length / 2);
      else {
        log.error({ err: error, notification: only }, "a notification that was held cannot be told");
        await db.query(putOffSql, [only, new Date(dueMs + putOffMs)]);
        putOff++;
        limit = batchMax;
      }
    }
  }
}
