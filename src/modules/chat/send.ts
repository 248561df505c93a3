import type { SendParams } from "../../../protocol/chat.ts";
import { uuidv7 } from "../../../protocol/ids.ts";
import { topics } from "../../../protocol/topics.ts";
import { type UserActor, actorName } from "../../access/actor.ts";
import type { Deps } from "../../deps.ts";
import { partitionOf } from "../../eventlog/murmur2.ts";
import { backoffMs, pause } from "../../lib/backoff.ts";
import { isPassingDbError } from "../../lib/db.ts";
import { AppError, errorCodeOf } from "../../lib/errors.ts";
import { Batcher } from "../../lib/batcher.ts";
import type { Send, Sent } from "./decide-sends.ts";
import { fingerprintOf } from "./messages.ts";
import { saveSends } from "./save-sends.ts";

/**
 * Transactions that save messages at the same time. A room always goes through the same one, together with all rooms
 * whose entries share its partition of the log: two of them never wait for the same counter.
 */
const writers = 2;
export const batchSendsMax = 500;
export const batchBytesMax = 1_048_576;
/** Messages that may wait for their transaction, those on their way included. */
export const queueSendsMax = 10_000;
export const queueBytesMax = 64 * 1_048_576;
/** What a message counts for beside its text, bytes. */
const sendOverheadBytes = 256;

const attemptsMax = 4;
const retry = { baseMs: 20, factor: 3, maxMs: 500 } as const;

type SendDeps = Pick<Deps, "db" | "eventlog" | "clock" | "config" | "log" | "metrics">;

export type SendMessage = (actor: UserActor, params: SendParams) => Promise<Sent>;

/**
 * Sends messages, many of them with each transaction. The same message of the same sender (`client_msg_id`), however
 * often and however late it is sent, is one message, and a repetition is answered with it. Resolves when the message is
 * durable.
 */
export function createSend(deps: SendDeps): SendMessage {
  const { config, eventlog, metrics } = deps;
  const batcher = new Batcher<Send, Sent>({
    lanes: writers,
    batchItemsMax: batchSendsMax,
    batchBytesMax,
    queueItemsMax: queueSendsMax,
    queueBytesMax,
    timeoutMs: config.appendTimeoutMs,
    now: () => performance.now(),
    what: "messages",
    work: async (sends) => {
      const answers = await savePatiently(deps, sends);
      metrics.messages.inc({ module: "chat" }, answers.filter(isNew).length);
      return answers;
    },
  });
  return (actor, params) => {
    const send = toSend(actor, params);
    const lane = partitionOf(topics.room(send.roomId), eventlog.partitions) % writers;
    return batcher.add(send, { lane, bytes: sendBytesOf(send.content) });
  };
}

/** What a message counts for, bytes: never less than its text takes as UTF-8. */
export function sendBytesOf(content: string): number {
  return content.length * 3 + sendOverheadBytes;
}

function toSend(actor: UserActor, { room_id, client_msg_id, content, reply_to }: SendParams): Send {
  const text = content.trim();
  return {
    id: uuidv7(),
    roomId: room_id,
    sender: { id: actor.id, username: actor.username },
    actor: actorName(actor),
    clientMsgId: client_msg_id,
    content: text,
    replyTo: reply_to ?? null,
    fingerprint: fingerprintOf(client_msg_id, text),
  };
}

/**
 * Tries again where nothing in the batch is to blame: the database is away for a moment, or somebody sent one of these
 * messages at the same time, into another room or through another process. What an attempt has saved unseen, the next
 * one finds.
 */
async function savePatiently(deps: SendDeps, sends: readonly Send[]): Promise<readonly (Sent | AppError)[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await saveSends(deps, sends);
    } catch (error) {
      if (!mayPass(error)) throw error;
      if (attempt === attemptsMax) throw new AppError("unavailable", { retryAfterS: 1, cause: error });
      deps.log.warn({ err: error, attempt, messages: sends.length }, "messages not saved, trying again");
      await pause(backoffMs(attempt, retry));
    }
  }
}

const uniqueViolation = "23505";

function mayPass(error: unknown): boolean {
  return errorCodeOf(error) === uniqueViolation || isPassingDbError(error);
}

function isNew(answer: Sent | AppError): boolean {
  return !(answer instanceof AppError) && !answer.replayed;
}
