import type { Clock } from "../lib/clock.ts";
import { accessTokenS } from "./access-tokens.ts";

/**
 * How long the end of a session is remembered, milliseconds: until the last access token of it has ended too, with a
 * minute for clocks that differ and for a token that was signed just then.
 */
export const endsKeptMs = (accessTokenS + 60) * 1_000;
/**
 * Sessions that are remembered as ended, some 100 bytes each; those that were noted first are forgotten first. Every
 * one of them has cost a sign-in, of which a process does less than a hundred a second.
 */
export const endedSessionsMax = 200_000;
/** People all of whose sessions have ended, while the database has not yet said which those were. */
export const endedPeopleMax = 10_000;

export type SessionEnd = { readonly id: string; readonly endedAtMs: number };

/** The sign-ins whose access tokens are not good any more although they have not expired: asked for every request. */
export type EndedSessions = {
  has(token: { readonly userId: number; readonly sessionId: string }): boolean;
  /**
   * Takes note of an end: of one session or, without an id, of all that the person had begun up to `atMs`, by the clock
   * of whoever has ended them.
   */
  ended(userId: number, sessionId: string | undefined, atMs: number): void;
  /**
   * To be called before the database is asked which sessions have ended. The function that it returns takes the answer:
   * people who were noted before the question are then known by their sessions.
   */
  ask(): (answer: readonly SessionEnd[]) => void;
  /** What is remembered. */
  readonly size: { readonly sessions: number; readonly people: number };
};

/** `asked` counts the questions that had been put when the mark was made. */
type Mark = { readonly atMs: number; readonly asked: number };

/** The id of a session says when it began, so one that began after all others had ended is not among them. */
export function createEndedSessions(clock: Clock): EndedSessions {
  const sessions = new Map<string, number>();
  const people = new Map<number, Mark>();
  let asked = 0;

  const note = (sessionId: string, endedAtMs: number): void => {
    if (sessions.has(sessionId)) return;
    sessions.set(sessionId, endedAtMs);
    if (sessions.size > endedSessionsMax) forgetFirst(sessions);
  };
  const isOver = (endedAtMs: number): boolean => endedAtMs + endsKeptMs <= clock.now();

  return {
    has: ({ userId, sessionId }) => {
      if (sessions.has(sessionId)) return true;
      if (people.size === 0) return false;
      const mark = people.get(userId);
      return mark !== undefined && !isOver(mark.atMs) && beganMs(sessionId) <= mark.atMs;
    },

    ended: (userId, sessionId, atMs) => {
      // Whoever reads the log from some way back comes by ends that no token outlives.
      if (isOver(atMs)) return;
      if (sessionId !== undefined) return note(sessionId, atMs);
      const latest = Math.max(atMs, people.get(userId)?.atMs ?? 0);
      people.delete(userId);
      people.set(userId, { atMs: latest, asked });
      if (people.size > endedPeopleMax) forgetFirst(people);
    },

    ask: () => {
      const question = ++asked;
      return (answer) => {
        for (const { id, endedAtMs } of answer) note(id, endedAtMs);
        for (const [userId, mark] of people) if (mark.asked < question) people.delete(userId);
        for (const [sessionId, endedAtMs] of sessions) {
          if (!isOver(endedAtMs)) break;
          sessions.delete(sessionId);
        }
      };
    },

    get size() {
      return { sessions: sessions.size, people: people.size };
    },
  };
}

function forgetFirst(map: Map<unknown, unknown>): void {
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}

/** When the session began, unix milliseconds: its id is a UUIDv7. One of another kind says nothing, and began long ago. */
function beganMs(sessionId: string): number {
  return sessionId[14] === "7" ? Number.parseInt(sessionId.slice(0, 8) + sessionId.slice(9, 13), 16) : 0;
}
