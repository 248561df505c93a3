import { topics } from "../../../protocol/topics.ts";
import type { Deps } from "../../deps.ts";
import { Batcher } from "../../lib/batcher.ts";
import { entryIdOf } from "./messages.ts";

/** A deleted message, and how many entries hold what it said. */
export type Erasure = { readonly messageId: string; readonly roomId: number; readonly versions: number };

export type Erasing = {
  /** Takes the message's words out of the log. Never rejects: what fails is done by `eraseLeftOvers`. */
  erase(erasure: Erasure): Promise<void>;
  /** Takes out what is still to be taken out: of deletions whose process ended, or whose database was away. */
  eraseLeftOvers(signal: AbortSignal): Promise<void>;
};

/** All appends wait for a redaction, so one does for as many deletions as come meanwhile. */
const batchErasuresMax = 100;
export const queueErasuresMax = 10_000;
const timeoutMs = 10_000;

export function createErasing({ db, eventlog, log }: Pick<Deps, "db" | "eventlog" | "log">): Erasing {
  const eraseAll = async (erasures: readonly Erasure[]): Promise<void> => {
    // With their topic: whoever has copied the words is told also when the log has lost them by age.
    const entries = erasures.flatMap(({ messageId, roomId, versions }) =>
      Array.from({ length: versions }, (_, i) => {
        return { id: entryIdOf(messageId, i + 1), topic: topics.room(roomId) };
      }),
    );
    await eventlog.redact(entries, "message deleted");
    await db.query("delete from chat_erasure where message_id = any($1::uuid[])", [
      erasures.map(({ messageId }) => messageId),
    ]);
  };
  const batcher = new Batcher<Erasure, true>({
    lanes: 1,
    batchItemsMax: batchErasuresMax,
    batchBytesMax: Number.MAX_SAFE_INTEGER,
    queueItemsMax: queueErasuresMax,
    queueBytesMax: Number.MAX_SAFE_INTEGER,
    timeoutMs,
    now: () => performance.now(),
    what: "deletions",
    work: async (erasures) => {
      await eraseAll(erasures);
      return erasures.map(() => true);
    },
  });

  return {
    erase: async (erasure) => {
      await batcher.add(erasure).catch((error: unknown) => {
        log.warn({ err: error, message: erasure.messageId }, "deleted message not erased yet");
      });
    },
    eraseLeftOvers: async (signal) => {
      while (!signal.aborted) {
        const { rows } = await db.query<{ message_id: string; room_id: number; versions: number }>(
          `select e.message_id, m.room_id, e.versions from chat_erasure e join chat_message m on m.id = e.message_id
            limit $1`,
          [batchErasuresMax],
        );
        if (rows.length === 0) return;
        await eraseAll(
          rows.map(({ message_id: messageId, room_id: roomId, versions }) => ({
            messageId,
            roomId,
            versions,
          })),
        );
      }
    },
  };
}
