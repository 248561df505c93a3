import type { Static } from "typebox";
import type * as operations from "../../protocol/operations.ts";
import type { GroupState } from "./consumer-admin.ts";
import type { DeadLetter, DeadLetterDetail } from "./dead-letters.ts";

/** What HTTP answers and the command line prints of the log's groups and dead letters, as `protocol` spells it. */

export function deadLetterView(letter: DeadLetter): Static<typeof operations.DeadLetter> {
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
}): Static<typeof operations.DeadLetterPage> {
  return { dead_letters: page.deadLetters.map(deadLetterView), next_cursor: page.next ?? null };
}

/**
 * A dead letter with its data (`operations.DeadLetterDetail`) as JSON text. The data stands in it as the text that was
 * appended: read and written anew, what made it fail may be gone.
 */
export function deadLetterDetailJson(letter: DeadLetterDetail): string {
  return `${JSON.stringify(deadLetterView(letter)).slice(0, -1)},"data":${letter.data}}`;
}

export function groupView(state: GroupState): Static<typeof operations.ConsumerGroup> {
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
