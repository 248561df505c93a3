import { entryRoom } from "./chat-state.ts";
import type { ChatEntry, Snapshot } from "./chat-view.ts";
import { clientError } from "./errors.ts";

/** Entries that are kept while something is read over HTTP. */
export const journalEntriesMax = 10_000;
/** Times that something is read anew because a newer answer was there first. */
export const readsMax = 5;

/** What is read: a room, or the list of them all. */
export type Scope = number | "rooms";

/**
 * Reads over HTTP, and what has happened since each was asked for. An answer is taken together with these entries, and
 * only when no answer to a later question about the same was taken before it: then what is known of a room is always
 * one answer and every entry since its question.
 */
export class Journal {
  #entries: ChatEntry[] = [];
  #readers = 0;
  #overflows = 0;
  #questions = 0;
  /** The newest question about each room, and about the list, whose answer was taken. */
  readonly #taken = new Map<Scope, number>();

  /** Keeps the entry if anybody reads. */
  note(entry: ChatEntry): void {
    if (this.#readers === 0) return;
    if (this.#entries.length >= journalEntriesMax) {
      this.#overflows++;
      this.#entries = [];
    }
    this.#entries.push(entry);
  }

  /** Resolves with what was taken. Throws `outpaced` when too much happens meanwhile. */
  async read(
    scope: Scope,
    ask: () => Promise<Snapshot>,
    take: (snapshot: Snapshot, since: readonly ChatEntry[]) => void,
  ): Promise<Snapshot> {
    this.#readers++;
    try {
      for (let reads = 0; reads < readsMax; reads++) {
        const question = ++this.#questions;
        const [overflows, from] = [this.#overflows, this.#entries.length];
        const snapshot = await ask();
        if (overflows !== this.#overflows || this.#isLate(scope, question)) continue;
        // More messages of a room say nothing about the rest of it.
        if (snapshot.kind !== "page") this.#taken.set(scope, question);
        const since = this.#entries.slice(from);
        take(snapshot, scope === "rooms" ? since : since.filter((entry) => entryRoom(entry) === scope));
        return snapshot;
      }
      throw clientError("outpaced");
    } finally {
      if (--this.#readers === 0) {
        this.#entries = [];
        this.#taken.clear();
      }
    }
  }

  #isLate(scope: Scope, question: number): boolean {
    if (scope === "rooms") return [...this.#taken.values()].some((taken) => taken > question);
    return Math.max(this.#taken.get(scope) ?? 0, this.#taken.get("rooms") ?? 0) > question;
  }
}
