import { topics } from "../../../../protocol/topics.ts";
import type { Deps } from "../../../deps.ts";
import { derivedId } from "../../../eventlog/derived-id.ts";
import type { EventLog, Redactable } from "../../../eventlog/eventlog.ts";
import { type Db, type Queryable, type Tx, arrayLiteral } from "../../../lib/db.ts";
import { removeNotifications } from "../expire.ts";
import type { NotificationRow } from "../notification-row.ts";
import type { People } from "../people.ts";
import { moveDue } from "../push/due.ts";
import { type DigestWords, withoutLines } from "./digest-lines.ts";
import { type Quote, findLines, moveOrigins } from "./origins.ts";
import { tellAgain } from "./tell-again.ts";

/** Digests of which one transaction takes something out. */
export const rewriteBatchMax = 100;

type RewriteDeps = Pick<Deps, "clock"> & {
  readonly db: Pick<Db, "transaction">;
  readonly eventlog: Pick<EventLog, "appendIn">;
  readonly people: People;
};

/**
 * Takes what was erased out of digests that were told already: in the place of each comes another one, which says all the
 * rest. Resolves with what the log is to forget then; a digest that does not show what was erased is left alone.
 *
 * In transactions of its own, and before the log forgets anything: whoever follows the log removes the digest with all that
 * it says. Repeating it is harmless: what was erased stays with the digest that showed it, and all else goes along with
 * the new one.
 */
export async function rewriteDigests(
  deps: RewriteDeps,
  quotes: readonly Quote[],
): Promise<readonly Redactable[]> {
  const digests = [...Map.groupBy(quotes, ({ notificationId }) => notificationId).values()];
  const inOrder = digests.toSorted(([a], [b]) => (a?.userId ?? 0) - (b?.userId ?? 0));
  const forgotten: Redactable[] = [];
  for (let from = 0; from < inOrder.length; from += rewriteBatchMax) {
    const part = inOrder.slice(from, from + rewriteBatchMax).flat();
    forgotten.push(...(await deps.db.transaction((tx) => rewritePart(tx, deps, part))));
  }
  return forgotten;
}

async function rewritePart(
  tx: Tx,
  { eventlog, clock, people }: RewriteDeps,
  quotes: readonly Quote[],
): Promise<readonly Redactable[]> {
  const owners = quotes.map(({ userId }) => userId);
  const { nowMs } = await people.lock(tx, owners, clock);
  // Under the locks: somebody else may have taken something out of the same digest meanwhile.
  const digests = await findLines(tx, quotes);
  const rows = await readDigests(tx, [...digests.keys()], nowMs);
  const left: (NotificationRow & { readonly words: DigestWords })[] = [];
  for (const row of rows) {
    const digest = digests.get(row.id);
    if (digest === undefined) continue;
    const words = withoutLines(row, digest.erased, digest.staying);
    if (words === row) digests.delete(row.id);
    else if (words !== undefined) left.push({ ...row, words });
  }
  if (left.length > 0) {
    const removed = await removeNotifications(tx, { clock, people }, left);
    const locked = await people.lock(tx, owners, clock);
    const told = await tellAgain(
      tx,
      left.map(({ words, ...row }) => ({ ...row, ...words, id: successorOf(row.id) })),
      locked,
    );
    const moved = left.map((row) => ({ userId: row.user_id, from: row.id, to: successorOf(row.id) }));
    await moveOrigins(tx, moved, quotes);
    await moveDue(tx, moved);
    await eventlog.appendIn(tx, [...removed, ...told]);
  }
  return [...digests].map(([id, { userId }]) => ({ id, topic: topics.user(userId) }));
}

/** In their order; without those that have ended, which nobody is told again. */
async function readDigests(
  db: Queryable,
  ids: readonly string[],
  nowMs: number,
): Promise<readonly NotificationRow[]> {
  const { rows } = await db.query<NotificationRow>(
    `select id, user_id, stream_ms, stream_n, state, message, source, category, critical, link, gathered, created_at, expires_at
       from notification where id = any($1::uuid[]) and expires_at > $2 order by user_id, stream_ms, stream_n`,
    [arrayLiteral(ids), new Date(nowMs)],
  );
  return rows;
}

/** The id of the digest that takes the place of this one when something is erased from it: the same for every attempt. */
function successorOf(id: string): string {
  return derivedId("digest without", id);
}
