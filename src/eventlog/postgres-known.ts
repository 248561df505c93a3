import type { Queryable } from "../lib/db.ts";
import type { NewEntry } from "./eventlog.ts";

/** What is the same in all partitions' rows. */
export type LogState = { readonly segment: number; readonly redactions: number };
export const stateOfNewLog: LogState = { segment: 1, redactions: 0 };

/** Redacted ids that are kept in memory at most: 10 MB. Where there are more, the database is asked for each entry. */
export const knownIdsMax = 100_000;

/**
 * What a process knows of the log for its appends: the segment, how often ids were redacted, and which ones. It learns
 * of changes from the answers to its appends, so it may be outdated at any moment, but never incomplete for the state
 * that it names.
 */
export class KnownLog {
  readonly #idsMax: number;
  #state = stateOfNewLog;
  /** Grows with each `forget`: what was asked for before it is not taken over after it. */
  #era = 0;
  /** Undefined when there are too many. */
  #ids: ReadonlySet<string> | undefined = new Set();

  constructor(idsMax: number = knownIdsMax) {
    this.#idsMax = idsMax;
  }

  get era(): number {
    return this.#era;
  }

  get state(): LogState {
    return this.#state;
  }

  /** Whether some of these may get a tombstone for their data. */
  mayBeRedacted(entries: readonly Pick<NewEntry, "id">[]): boolean {
    if (this.#state.redactions === 0) return false;
    const ids = this.#ids;
    return ids === undefined || entries.some(({ id }) => ids.has(id));
  }

  /** The log may not be the one that this was learnt of: its database may have failed over or been restored. */
  forget(): void {
    this.#state = stateOfNewLog;
    this.#ids = new Set();
    this.#era++;
  }

  /** `seen` was read from a locked row, so all that led to it is committed. */
  async learn(queryable: Queryable, seen: LogState): Promise<void> {
    // Counts only go back with the log itself, when its database fails over or is restored.
    const era = this.#era;
    const back = seen.redactions < this.#state.redactions;
    const [known, from] = back ? [new Set<string>(), 0] : [this.#ids, this.#state.redactions];
    if (known !== undefined && seen.redactions > from) {
      const { rows } = await queryable.query<{ id: string }>(
        "select id from eventlog_redacted where redaction > $1 and redaction <= $2 limit $3",
        [from, seen.redactions, this.#idsMax - known.size + 1],
      );
      if (era !== this.#era) return;
      const ids = new Set([...known, ...rows.map(({ id }) => id)]);
      this.#ids = ids.size > this.#idsMax ? undefined : ids;
    }
    this.#state = seen;
  }
}
