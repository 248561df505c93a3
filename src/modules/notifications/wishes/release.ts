import type { Deps } from "../../../deps.ts";
import { isPassingDbError } from "../../../lib/db.ts";
import type { ExpireDeps } from "../expire.ts";
import { closePart, releasePart } from "./release-parts.ts";

/** Notifications that one transaction releases, and digests that one closes. */
export const releaseBatchMax = 1_000;
export const digestBatchMax = 100;
/** What one run leaves aside because it cannot be told; at the next one it gives up. */
export const skippedMax = 20;

export type ReleaseDeps = ExpireDeps & Pick<Deps, "log">;

/**
 * Tells what was held until now, and closes digests. Resolves with how many were told, or are not wanted any more. One that
 * cannot be told holds up nobody: it is found by halving, left aside, and tried again by the next run.
 */
export async function releaseHeld(deps: ReleaseDeps, signal: AbortSignal): Promise<number> {
  const dueMs = deps.clock.now();
  const held = await releaseAll(deps, releasePart, { batchMax: releaseBatchMax, dueMs, signal });
  return held + (await releaseAll(deps, closePart, { batchMax: digestBatchMax, dueMs, signal }));
}

async function releaseAll(
  deps: ReleaseDeps,
  release: typeof releasePart,
  { batchMax, dueMs, signal }: { batchMax: number; dueMs: number; signal: AbortSignal },
): Promise<number> {
  const skipped: string[] = [];
  let released = 0;
  let limit = batchMax;
  for (;;) {
    signal.throwIfAborted();
    let ids: readonly string[] = [];
    const wanted = { limit, dueMs, skipped, onDue: (due: readonly string[]) => (ids = due) };
    try {
      const part = await deps.db.transaction((tx) => release(tx, deps, wanted), signal);
      released += part.released;
      if (!part.found) return released;
      limit = Math.min(limit * 2, batchMax);
    } catch (error) {
      const [only] = ids;
      if (signal.aborted || isPassingDbError(error) || only === undefined || skipped.length >= skippedMax)
        throw error;
      if (ids.length > 1) limit = Math.ceil(ids.length / 2);
      else {
        deps.log.error({ err: error, notification: only }, "a notification that was held cannot be told");
        skipped.push(only);
        limit = batchMax;
      }
    }
  }
}
