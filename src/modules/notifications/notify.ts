import { uuidv7 } from "../../../protocol/ids.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Notify } from "../../../protocol/notifications.ts";
import { topics } from "../../../protocol/topics.ts";
import type { Deps } from "../../deps.ts";
import { partitionOf } from "../../eventlog/murmur2.ts";
import { backoffMs, pause } from "../../lib/backoff.ts";
import { Batcher } from "../../lib/batcher.ts";
import { isPassingDbError } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";
import type { NotifyAnswer, NotifyRequest } from "./decide-notify.ts";
import type { NotificationStore } from "./store.ts";
import { wordingOf } from "./wording.ts";

/**
 * Transactions that tell people things at the same time. Requests for one person go through the one that the person's
 * partition of the log has: two of them do not wait for the same counter, most of the time.
 */
const writers = 2;
export const batchRequestsMax = 500;
/** What one transaction writes, bytes; a single request may be more. */
export const batchBytesMax = 1_048_576;
/** Requests that may wait for their transaction, those on their way included. */
export const queueRequestsMax = 10_000;
export const queueBytesMax = 64 * 1_048_576;
/** What one notification counts for beside its text, bytes. */
const overheadBytes = 512;

const attemptsMax = 4;
const retry = { baseMs: 20, factor: 3, maxMs: 500 } as const;

type NotifyDeps = Pick<Deps, "config" | "eventlog" | "log" | "metrics"> & {
  readonly store: NotificationStore;
};

export type NotifyPeople = (
  request: Notify & { readonly actor: string; readonly key?: string | undefined },
) => Promise<NotifyAnswer>;

/**
 * Tells people things, many requests with each transaction. Resolves when what is told is durable. Throws `invalid_body`
 * where all the texts together are too much, `idempotency_mismatch`, `request_in_flight`, `overloaded`, `unavailable`.
 */
export function createNotify(deps: NotifyDeps): NotifyPeople {
  const { config, eventlog, metrics } = deps;
  const batcher = new Batcher<NotifyRequest, NotifyAnswer>({
    lanes: writers,
    batchItemsMax: batchRequestsMax,
    batchBytesMax,
    queueItemsMax: queueRequestsMax,
    queueBytesMax,
    timeoutMs: config.appendTimeoutMs,
    now: () => performance.now(),
    what: "notifications",
    work: async (requests) => {
      const answers = await tellPatiently(deps, requests);
      metrics.messages.inc(
        { module: "notifications" },
        answers.reduce((sum, answer) => sum + toldBy(answer), 0),
      );
      return answers;
    },
  });
  return async ({ actor, key, target: targets, ...body }) => {
    const toWhom = targets.map(({ id, login }) => [id, login]);
    const wording = wordingOf(body, { actor, key, toWhom }, config.notificationTtls);
    const waitingMax = limits.notificationsPerPerson;
    const request: NotifyRequest = { ...wording, id: uuidv7(), targets, waitingMax };
    const bytes = bytesOf(request);
    const lane = partitionOf(topics.user(targets[0]?.id ?? 0), eventlog.partitions) % writers;
    return batcher.add(request, { lane, bytes });
  };
}

/** What a request counts for. Throws where its texts are more than one request may make. */
export function bytesOf({
  targets,
  message,
  source,
  link,
}: Pick<NotifyRequest, "targets" | "message" | "source" | "link">): number {
  const textBytes = Buffer.byteLength(message + source + (link ?? "")) * targets.length;
  if (textBytes <= limits.notifyBytes) return textBytes + targets.length * overheadBytes;
  const detail = `is for so many that the texts together have more than ${limits.notifyBytes} bytes: tell fewer at once`;
  throw new AppError("invalid_body", {
    detail: `/message ${detail}`,
    fields: [{ pointer: "/message", code: "too_large", detail }],
  });
}

/** Tries again where nothing in the batch is to blame. What an attempt has done unseen, the next one finds. */
async function tellPatiently(
  { store, log }: NotifyDeps,
  requests: readonly NotifyRequest[],
): Promise<readonly (NotifyAnswer | AppError)[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await store.notify(requests, { again: attempt > 1 });
    } catch (error) {
      if (!isPassingDbError(error)) throw error;
      if (attempt === attemptsMax) throw new AppError("unavailable", { retryAfterS: 1, cause: error });
      log.warn({ err: error, attempt, requests: requests.length }, "notifications not saved, trying again");
      await pause(backoffMs(attempt, retry));
    }
  }
}

function toldBy(answer: NotifyAnswer | AppError): number {
  if (answer instanceof AppError || answer.replayed) return 0;
  return answer.results.filter((result) => "notification_id" in result).length;
}
