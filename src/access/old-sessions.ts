import type { Queryable } from "../lib/db.ts";

/** How long a session is kept after it could have been renewed for the last time: to see what became of it. */
export const keepSessionsMs = 30 * 24 * 3_600_000;
/** Sessions that one statement removes. */
const batchRows = 1_000;
/** Statements of one run; the next run goes on from there. */
const batchesMax = 100;

/**
 * Removes sessions whose time is long over. Those that were ended are among them: the time of a session passes also
 * when it was ended before. Resolves with their number.
 */
export async function removeOldSessions(
  db: Queryable,
  nowMs: number,
  {
    signal,
    rows = batchRows,
    batches = batchesMax,
  }: { signal?: AbortSignal; rows?: number; batches?: number } = {},
): Promise<number> {
  let removed = 0;
  for (let batch = 0; batch < batches; batch++) {
    if (signal?.aborted === true) break;
    const { rowCount } = await db.query(
      `delete from account_session
        where id in (select id from account_session where expires_at < $1 order by expires_at limit $2
                       for update skip locked)`,
      [new Date(nowMs - keepSessionsMs), rows],
    );
    removed += rowCount;
    if (rowCount < rows) break;
  }
  return removed;
}
