import { limits } from "../../../protocol/limits.ts";
import { type WebhookAccepted, type WebhookBody, messageReceived } from "../../../protocol/inbox.ts";
import { topics } from "../../../protocol/topics.ts";
import type { Deps } from "../../deps.ts";
import type { JsonText } from "../../eventlog/eventlog.ts";
import { derivedId } from "../../lib/derived-id.ts";
import { AppError } from "../../lib/errors.ts";
import { Lru } from "../../lib/lru.ts";
import { createBuckets } from "../../lib/token-bucket.ts";

/** Ids of durable messages that are remembered, so that a repetition costs no append. */
const seenMax = 100_000;
/** Contacts whose rate is remembered. */
const contactsMax = 100_000;
/** What surrounds the payload in an entry's data, bytes. */
const envelopeBytes = 1_000;

export type ReceivedWebhook = {
  readonly sourceId: number;
  readonly actor: string;
  readonly body: WebhookBody;
  /** The body as it arrived: valid JSON in valid UTF-8. */
  readonly rawBody: Buffer;
};

/** The id of a message: the same for every repetition, whatever else it says. */
export function messageIdOf(sourceId: number, externalMessageId: string): string {
  return derivedId("inbox.message", `${sourceId} ${externalMessageId.toLowerCase()}`);
}

/**
 * Accepts webhooks: answers when the message is durable in the log, and looks nothing up. Repetitions get the same
 * answer: from memory, by joining the append that is under way, or because the log knows the id.
 */
export function createAccept(deps: Pick<Deps, "eventlog" | "clock" | "config">) {
  const seen = new Lru<string, true>(seenMax);
  const underWay = new Map<string, Promise<void>>();
  const contacts = createBuckets({ rate: deps.config.rateContact, keysMax: contactsMax, clock: deps.clock });

  const append = async (id: string, topic: string, received: ReceivedWebhook): Promise<void> => {
    const { sourceId, actor, rawBody } = received;
    const data = `{"source_id":${sourceId},"payload":${rawBody.toString("utf8")}}` as JsonText;
    await deps.eventlog.append([{ id, topic, type: messageReceived, actor, data }]);
    seen.set(id, true);
  };

  return async (received: ReceivedWebhook): Promise<WebhookAccepted> => {
    const { sourceId, body, rawBody } = received;
    const id = messageIdOf(sourceId, body.external_message_id);
    const accepted = { status: "accepted", message_id: id } as const;
    if (seen.get(id) === true) return accepted;
    const same = underWay.get(id);
    if (same !== undefined) {
      await same;
      return accepted;
    }
    if (rawBody.length > limits.entryDataBytes - envelopeBytes) {
      throw new AppError("body_too_large", {
        detail: `a webhook has at most ${limits.entryDataBytes - envelopeBytes} bytes`,
      });
    }
    const topic = topics.contact(sourceId, body.external_client_id.toLowerCase());
    const { allowed, retryAfterS } = contacts.take(topic);
    if (!allowed) throw new AppError("rate_limited", { detail: "this contact sends too fast", retryAfterS });
    const appending = append(id, topic, received);
    underWay.set(id, appending);
    try {
      await appending;
    } finally {
      underWay.delete(id);
    }
    return accepted;
  };
}
