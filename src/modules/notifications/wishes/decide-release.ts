import {
  type FreshNotification,
  type PersonState,
  type Told,
  nobodyYet,
  tellPerson,
} from "../person-state.ts";
import { whenDue } from "./when-to-tell.ts";

/** Something that was held, or a digest, which may be told now. */
export type Waiting = {
  readonly id: string;
  readonly userId: number;
  readonly category: string;
  /** How many of those that are held for the person it is. */
  readonly held: number;
  /** Undefined for a digest out of which everything was erased. */
  readonly told: Told | undefined;
};

export type Later = { readonly id: string; readonly atMs: number };

/** What becomes of those that were waiting: of some it is `later`, the others are `done`, told or not. */
export type Released = {
  readonly fresh: readonly FreshNotification[];
  readonly people: ReadonlyMap<number, PersonState>;
  readonly done: readonly string[];
  readonly later: readonly Later[];
};

/**
 * Decides about each that was due at a moment, in order; it is told now. What people wish by then counts, not what they
 * wished when it was accepted: who has turned off a category meanwhile is not told, who has quiet hours again is told later.
 */
export function decideRelease(
  waiting: readonly Waiting[],
  people: ReadonlyMap<number, PersonState>,
  { dueMs, nowMs }: { readonly dueMs: number; readonly nowMs: number },
): Released {
  const after = new Map<number, PersonState>();
  const fresh: FreshNotification[] = [];
  const done: string[] = [];
  const later: Later[] = [];
  for (const { id, userId, category, held, told } of waiting) {
    const before = after.get(userId) ?? people.get(userId) ?? nobodyYet;
    const due = whenDue(before.preferences, category, dueMs);
    if (due.kind === "held") {
      later.push({ id, atMs: due.untilMs });
      continue;
    }
    done.push(id);
    const freed: PersonState = { ...before, held: before.held - held };
    after.set(userId, freed);
    if (due.kind === "muted" || told === undefined) continue;
    const telling = tellPerson(userId, freed, told, nowMs);
    after.set(userId, telling.after);
    fresh.push(telling.fresh);
  }
  return { fresh, people: after, done, later };
}
