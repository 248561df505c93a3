import type { Consumer } from "../../eventlog/consumer.ts";
import { type RedactedData, parseData, redactedType } from "../../eventlog/eventlog.ts";
import { type ExpireDeps, expireBatchMax, removeNotifications } from "./expire.ts";

/** Notices of one transaction; each may name many entries. */
const batchMax = 100;

/** What was erased from the log is erased here, too: an entry has the id of its notification. */
export function followRedactions(deps: Omit<ExpireDeps, "db">): Consumer {
  return {
    group: "notifications",
    kind: "projection",
    types: [redactedType],
    start: "first",
    onPoison: "skip",
    batchMax,
    attemptsMax: 5,
    handle: async (notices, tx) => {
      const named = notices
        .filter(({ topic }) => topic.startsWith("user/"))
        .flatMap((notice) => parseData<RedactedData>(notice).entry_ids);
      if (named.length === 0) return;
      const { rows } = await tx.query<{ id: string; user_id: number }>(
        "select id, user_id from notification where id = any($1::uuid[])",
        [named],
      );
      // One entry tells a person of each part, and must not be larger than an entry may be.
      for (let from = 0; from < rows.length; from += expireBatchMax)
        await removeNotifications(tx, deps, rows.slice(from, from + expireBatchMax));
    },
  };
}
