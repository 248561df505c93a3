import type { Notification } from "../../../protocol/notifications.ts";
import { Batcher } from "../../lib/batcher.ts";
import type { NotificationStore, Replay } from "./store.ts";

/** Pages that one statement reads, and that may wait for theirs. */
export const batchPagesMax = 100;
export const queuePagesMax = 100_000;
const timeoutMs = 30_000;
/** The first is asked at once; those of a crowd share statements. */
const spacingMs = 5;

export type ReplayUnread = (wish: Replay) => Promise<readonly Notification[]>;

/**
 * Pages of unread notifications for those who connect. Thousands come back at once after a restart, so pages that are asked
 * for while a look is under way are read together. Nothing is remembered.
 */
export function createReplay(store: Pick<NotificationStore, "replay">): ReplayUnread {
  const batcher = new Batcher<Replay, readonly Notification[]>({
    lanes: 1,
    batchItemsMax: batchPagesMax,
    batchBytesMax: Number.MAX_SAFE_INTEGER,
    queueItemsMax: queuePagesMax,
    queueBytesMax: Number.MAX_SAFE_INTEGER,
    timeoutMs,
    spacingMs,
    now: () => performance.now(),
    what: "connections that hear their notifications",
    work: (wishes) => store.replay(wishes),
  });
  return (wish) => batcher.add(wish);
}
