import { type MessageReceivedData, messageReceived } from "../../../protocol/inbox.ts";
import type { Consumer } from "../../eventlog/consumer.ts";
import { type Entry, type RedactedData, parseData, redactedType } from "../../eventlog/eventlog.ts";
import type { Tx } from "../../lib/db.ts";
import type { Metrics } from "../../observe/metrics.ts";
import { createContactCache } from "./contacts.ts";
import { eraseMessages } from "./erase.ts";
import { type ArrivedMessage, saveMessages } from "./save.ts";

/** Builds contacts, dialogs and messages from accepted webhooks. A failing one holds up its own contact only. */
export function createProjection(deps: { readonly metrics: Pick<Metrics, "messages"> }): Consumer {
  const { metrics } = deps;
  const cache = createContactCache();
  return {
    group: "inbox",
    kind: "projection",
    types: [messageReceived, redactedType],
    start: "first",
    onPoison: "quarantine-topic",
    batchMax: 1_000,
    attemptsMax: 5,
    // Another process may have saved other phones meanwhile.
    onTakeOver: () => cache.clear(),
    handle: async (entries, tx) => {
      const messages = entries.filter(({ type }) => type === messageReceived).map(toMessage);
      const saved = await saveMessages(tx, messages, cache);
      await erase(
        tx,
        entries.filter(({ type }) => type === redactedType),
      );
      if (saved > 0) tx.afterCommit(() => metrics.messages.inc({ module: "inbox" }, saved));
    },
  };
}

/** Redactions come after the messages they speak of: they are later entries of the same topic. */
async function erase(tx: Tx, notices: readonly Entry[]): Promise<void> {
  const ids = notices.flatMap((notice) => parseData<RedactedData>(notice).entry_ids);
  if (ids.length > 0) await eraseMessages(tx, ids);
}

function toMessage(entry: Entry): ArrivedMessage {
  const { source_id: sourceId, payload } = parseData<MessageReceivedData>(entry);
  return {
    id: entry.id,
    contact: entry.topic,
    sourceId,
    externalMessageId: payload.external_message_id,
    externalClientId: payload.external_client_id.toLowerCase(),
    phone: payload.client_phone,
    text: payload.message_text.trim(),
    sentAtS: payload.send_at,
    receivedAtMs: entry.time,
    number: entry.offset,
  };
}
