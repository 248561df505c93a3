import type { Static } from "typebox";
import type { SourceView } from "../../protocol/inbox.ts";
import type {
  ConsumerGroup,
  DeadLetter as DeadLetterSchema,
  DeadLetterDetail as DeadLetterDetailSchema,
  DeadLetterPage,
} from "../../protocol/operations.ts";
import type { ApiKey } from "../access/api-keys.ts";
import type { Backstage } from "../backstage.ts";
import type { GroupState } from "../eventlog/consumer-admin.ts";
import type { DeadLetter, DeadLetterDetail } from "../eventlog/dead-letters.ts";

/** What `--json` prints: spelled as HTTP spells it, so that a program reads both alike. */

/** HTTP has no keys; the spelling is the same. */
export function keyView(key: ApiKey) {
  return {
    id: key.id,
    name: key.name,
    hint: key.hint,
    scopes: key.scopes,
    source_id: key.sourceId ?? null,
    created_at: key.createdAt.toISOString(),
    expires_at: key.expiresAt?.toISOString() ?? null,
    revoked_at: key.revokedAt?.toISOString() ?? null,
    last_used_at: key.lastUsedAt?.toISOString() ?? null,
  };
}

type Sources = Awaited<ReturnType<Backstage["sources"]["list"]>>;

export function sourceView({ id, name, scheme, createdAt }: Sources[number]): SourceView {
  return { id, name, scheme, created_at: createdAt.toISOString() };
}

function deadLetterView(letter: DeadLetter): Static<typeof DeadLetterSchema> {
  return {
    id: letter.id,
    group: letter.group,
    entry_id: letter.entryId,
    topic: letter.topic,
    type: letter.type,
    time: letter.time.toISOString(),
    attempts: letter.attempts,
    error: letter.error,
    parked_at: letter.parkedAt.toISOString(),
    waiting_behind: letter.waitingBehind,
  };
}

export function deadLetterPageView(page: {
  readonly deadLetters: readonly DeadLetter[];
  readonly next: string | undefined;
}): Static<typeof DeadLetterPage> {
  return { dead_letters: page.deadLetters.map(deadLetterView), next_cursor: page.next ?? null };
}

export function deadLetterDetailView(letter: DeadLetterDetail): Static<typeof DeadLetterDetailSchema> {
  return { ...deadLetterView(letter), data: JSON.parse(letter.data) as unknown };
}

export function groupView(state: GroupState): Static<typeof ConsumerGroup> {
  return {
    group: state.group,
    ...figuresOf(state),
    owners: state.owners,
    partitions: state.partitions.map((partition) => ({
      partition: partition.partition,
      ...figuresOf(partition),
      stopped: partition.stopped ?? null,
    })),
  };
}

function figuresOf(state: Pick<GroupState, "lagEntries" | "lagSeconds" | "parked" | "dead">) {
  return {
    lag_entries: state.lagEntries,
    lag_seconds: state.lagSeconds,
    parked: state.parked,
    dead: state.dead,
  };
}
