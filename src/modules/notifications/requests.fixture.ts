import { limits } from "../../../protocol/limits.ts";
import { uuidv7 } from "../../../protocol/ids.ts";
import type { NotifyAnswer, NotifyRequest } from "./decide-notify.ts";

/** Something to tell people, right in every way. */
export function requestTo(userIds: readonly number[], parts: Partial<NotifyRequest> = {}): NotifyRequest {
  return {
    id: uuidv7(),
    targets: userIds.map((id) => ({ id })),
    message: "Hello",
    source: "test",
    createdAt: undefined,
    ttlS: 900,
    category: "general",
    critical: false,
    link: null,
    actor: "key:1",
    waitingMax: limits.notificationsPerPerson,
    idempotency: undefined,
    ...parts,
  };
}

/** The ids that were given to the targets, in order; whatever else was answered, as its code. */
export function idsOf(answer: NotifyAnswer | Error | undefined): readonly string[] {
  if (answer === undefined || answer instanceof Error)
    return [(answer as { code?: string } | undefined)?.code ?? "nothing"];
  return answer.results.map((result) =>
    "notification_id" in result ? result.notification_id : result.error.code,
  );
}
