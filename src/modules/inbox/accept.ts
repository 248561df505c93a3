import { limits } from "../../../protocol/limits.ts";
import { type WebhookBody, messageReceived } from "../../../protocol/inbox.ts";
import { topics } from "../../../protocol/topics.ts";
import type { Deps } from "../../deps.ts";
import type { JsonText } from "../../eventlog/eventlog.ts";
import { derivedId } from "../../eventlog/derived-id.ts";
import { AppError, errorCodeOf } from "../../lib/errors.ts";
import { Lru } from "../../lib/lru.ts";
import { createBuckets, createRateHeaders } from "../../lib/token-bucket.ts";

/**
 * Ids of messages that are remembered, so that a repetition soon after costs no append; the log knows the others. Few,
 * since every webhook is looked up here: ten times as many cost three times the look-up, in cache misses.
 */
export const seenMax = 10_000;
/** Contacts whose rate is remembered. */
const contactsMax = 100_000;
/** Largest payload, bytes: an entry's data holds little beside it. */
export const payloadBytesMax = limits.entryDataBytes - 1_000;

export type ReceivedWebhook = {
  readonly sourceId: number;
  readonly actor: string;
  readonly body: WebhookBody;
  /** The body as it arrived: valid JSON. */
  readonly text: string;
};

/** The id of a message: the same for every repetition, whatever else it says. */
export function messageIdOf(sourceId: number, externalMessageId: string): string {
  return derivedId("inbox.message", `${sourceId} ${externalMessageId.toLowerCase()}`);
}

/**
 * Accepts webhooks: resolves with the message's id when it is durable in the log, and looks nothing up. Repetitions
 * get the same answer: from memory, by joining the append that is under way, or because the log knows the id.
 */
export function createAccept(deps: Pick<Deps, "eventlog" | "clock" | "config">) {
  const { eventlog, clock, config } = deps;
  const seen = new Lru<string, Seen>(seenMax);
  const contacts = createBuckets({ rate: config.rateContact, keysMax: contactsMax, clock });
  const rateHeaders = createRateHeaders("contact", config.rateContact);

  const append = (id: string, { sourceId, actor, body, text }: ReceivedWebhook): Promise<unknown> => {
    const topic = topics.contact(sourceId, body.external_client_id.toLowerCase());
    const taken = contacts.take(topic);
    if (!taken.allowed) {
      throw new AppError("rate_limited", {
        detail: "this contact sends too fast",
        retryAfterS: taken.retryAfterS,
        headers: { ...rateHeaders(taken) },
      });
    }
    const data = `{"source_id":${sourceId},"payload":${text}}` as JsonText;
    return eventlog.append([{ id, topic, type: messageReceived, actor, data }]);
  };

  return async (received: ReceivedWebhook): Promise<string> => {
    const id = messageIdOf(received.sourceId, received.body.external_message_id);
    const known = seen.get(id);
    if (known !== undefined) {
      if (known.appending !== undefined) await known.appending;
      return id;
    }
    const message: Seen = { appending: append(id, received).catch(refuseDepth) };
    seen.set(id, message);
    try {
      await message.appending;
      message.appending = undefined;
    } catch (error) {
      seen.delete(id);
      throw error;
    }
    return id;
  };
}

/** A message whose append is under way, and durable when it is not. */
type Seen = { appending: Promise<unknown> | undefined };

/**
 * PostgreSQL follows JSON only so deep. No field nests, but of one that is given twice the first value was never
 * validated.
 */
function refuseDepth(error: unknown): never {
  const statementTooComplex = "54001";
  if (errorCodeOf(error) !== statementTooComplex) throw error;
  throw new AppError("invalid_body", { detail: "a value is nested too deep", cause: error });
}
