import { groupStates } from "../../eventlog/consumer-admin.ts";
import * as deadLetters from "../../eventlog/dead-letters.ts";
import type { Db } from "../../lib/db.ts";
import { decodeCursor, encodeCursor } from "../../lib/cursor.ts";
import { AppError } from "../../lib/errors.ts";

/** Which dead letters are asked for: of one group or of all, and where the page before ended. */
export type DeadLetterFilter = {
  readonly group?: string;
  readonly limit: number;
  readonly cursor?: string;
};

/** A page of dead letters, the newest first. Throws `not_found` for a group that is not there, `invalid_cursor`. */
export async function pageOfDeadLetters(
  db: Db,
  { group, limit, cursor }: DeadLetterFilter,
): Promise<{ readonly deadLetters: readonly deadLetters.DeadLetter[]; readonly next: string | undefined }> {
  const list = `dead-letters group=${group ?? ""}`;
  const [before] = cursor === undefined ? [] : decodeCursor(cursor, list, ["number"]);
  const page = await deadLetters.listDeadLetters(db, {
    limit,
    ...(group === undefined ? {} : { group }),
    ...(before === undefined ? {} : { before: Number(before) }),
  });
  if (page.deadLetters.length === 0 && group !== undefined) await requireGroup(db, group);
  return {
    deadLetters: page.deadLetters,
    next: page.next === undefined ? undefined : encodeCursor(list, [page.next]),
  };
}

/** Resolves with how many will be tried again. Throws `not_found` for a group that is not there. */
export async function retryGroup(db: Db, group: string): Promise<number> {
  const retried = await deadLetters.retryDeadLetters(db, { group });
  if (retried === 0) await requireGroup(db, group);
  return retried;
}

/** Nothing found under a name that was mistyped must not look like nothing to do. */
async function requireGroup(db: Db, group: string): Promise<void> {
  const groups = await groupStates(db);
  if (groups.some((state) => state.group === group)) return;
  throw new AppError("not_found", { detail: `there is no consumer group "${group}"` });
}
