import { topics } from "../../../protocol/topics.ts";
import type { Consumer } from "../../eventlog/consumer.ts";
import {
  type Entry,
  type NewEntry,
  type RedactedData,
  parseData,
  redactedType,
} from "../../eventlog/eventlog.ts";
import { removeBatchMax, removeBroadcasts } from "./broadcasts/end.ts";
import { type ExpireDeps, expireBatchMax, removeNotifications } from "./expire.ts";

/** Notices of one transaction; each may name many entries. */
const batchMax = 100;

/** What was erased from the log is erased here, too: an entry has the id of its notification, or broadcast. */
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
      const named = idsIn(notices, ({ topic }) => topic.startsWith("user/"));
      const broadcasts = idsIn(notices, ({ topic }) => topic === topics.everybody());
      // Told of last: no lock is waited for while the log's own are held. People come before the ledger, as everywhere.
      const entries: NewEntry[] = [];
      const { rows } = await tx.query<{ id: string; user_id: number }>(
        "select id, user_id from notification where id = any($1::uuid[]) order by user_id",
        [named],
      );
      // One entry tells a person of each part, and must not be larger than an entry may be. The parts go by people in order, as
      // their locks do.
      for (let from = 0; from < rows.length; from += expireBatchMax)
        entries.push(...(await removeNotifications(tx, deps, rows.slice(from, from + expireBatchMax))));
      for (let from = 0; from < broadcasts.length; from += removeBatchMax) {
        const ids = broadcasts.slice(from, from + removeBatchMax);
        entries.push(...(await removeBroadcasts(tx, { ids }, "system")).entries);
      }
      if (entries.length > 0) await deps.eventlog.appendIn(tx, entries);
    },
  };
}

function idsIn(notices: readonly Entry[], isMeant: (notice: Entry) => boolean): readonly string[] {
  return notices.filter(isMeant).flatMap((notice) => parseData<RedactedData>(notice).entry_ids);
}
