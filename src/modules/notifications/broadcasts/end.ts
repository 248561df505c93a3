import type { BroadcastExpiredData } from "../../../../protocol/broadcasts.ts";
import { uuidv7 } from "../../../../protocol/ids.ts";
import type { Place } from "../../../../protocol/notifications.ts";
import { topics } from "../../../../protocol/topics.ts";
import { type NewEntry, jsonText } from "../../../eventlog/eventlog.ts";
import type { Tx } from "../../../lib/db.ts";
import { lockLedger, saveLedger } from "./ledger.ts";
import type { BroadcastDeps } from "./save.ts";
import { streamIdOf } from "../person-state.ts";

/** Broadcasts that one transaction removes. */
export const removeBatchMax = 1_000;

/** Ends a broadcast before its time. Resolves with whether it was there: one that nobody knows may have ended just now. */
export async function withdrawBroadcast(
  { db, eventlog }: Pick<BroadcastDeps, "db" | "eventlog">,
  id: string,
  actor: string,
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const { count, entries } = await removeBroadcasts(tx, { ids: [id] }, actor);
    if (entries.length > 0) await eventlog.appendIn(tx, entries);
    return count > 0;
  });
}

/** Removes broadcasts that have ended, and tells of it. Resolves with how many. */
export async function expireBroadcasts(
  { db, eventlog, clock }: BroadcastDeps,
  signal: AbortSignal,
): Promise<number> {
  let removed = 0;
  for (;;) {
    signal.throwIfAborted();
    const part = await db.transaction(async (tx) => {
      const { count, entries } = await removeBroadcasts(tx, { endedAtMs: clock.now() }, "system");
      if (entries.length > 0) await eventlog.appendIn(tx, entries);
      return count;
    }, signal);
    removed += part;
    if (part < removeBatchMax) return removed;
  }
}

/** Removes up to `removeBatchMax` of them and counts that as one change; resolves with the entry that tells of it, to be appended last. */
export async function removeBroadcasts(
  tx: Tx,
  which: { readonly ids: readonly string[] } | { readonly endedAtMs: number },
  actor: string,
): Promise<{ readonly count: number; readonly entries: readonly NewEntry[] }> {
  const ledger = await lockLedger(tx);
  const [condition, value] =
    "ids" in which
      ? ["id = any($1::uuid[])", which.ids]
      : ["expires_at <= $1", new Date(which.endedAtMs).toISOString()];
  const { rows } = await tx.query<{ id: string; streamMs: number; streamN: number }>(
    `delete from notification_broadcast where id in (
       select id from notification_broadcast where ${condition} order by stream_ms, stream_n limit $2)
     returning id, stream_ms as "streamMs", stream_n as "streamN"`,
    [value, removeBatchMax],
  );
  if (rows.length === 0) return { count: 0, entries: [] };
  const version = ledger.version + 1;
  await saveLedger(tx, { ...ledger, version });
  const broadcasts = rows
    .toSorted((a, b) => a.streamMs - b.streamMs || a.streamN - b.streamN)
    .map(({ id, ...place }): Place => ({ notification_id: id, stream_id: streamIdOf(place) }));
  const data: BroadcastExpiredData = { broadcasts, version };
  const entry: NewEntry = {
    id: uuidv7(),
    topic: topics.everybody(),
    type: "broadcast.expired",
    actor,
    data: jsonText(data),
  };
  return { count: rows.length, entries: [entry] };
}
