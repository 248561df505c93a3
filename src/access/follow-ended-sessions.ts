import { withTimeLimit } from "../lib/aborted.ts";
import { pause } from "../lib/backoff.ts";
import type { Clock } from "../lib/clock.ts";
import type { Db } from "../lib/db.ts";
import type { Logger } from "../lib/logger.ts";
import { type EndedSessions, endedSessionsMax, endsKeptMs } from "./ended-sessions.ts";

/** How often the database is asked which sessions have ended, milliseconds. */
export const askEveryMs = 1_000;
/** How long one question may take, milliseconds. Its connection is then given up, and the next question gets another. */
const askMaxMs = 5_000;
/**
 * How far before the last question each one reaches back, milliseconds. The time of an end is taken before its
 * transaction commits, which may wait as long as a statement may take, and clocks of several machines differ.
 */
export const askedAgainMs = 40_000;

export type SessionEndsFollower = {
  /** Learns what has ended while access tokens last, and what ends from now on. Rejects when the first answer fails. */
  start(): Promise<void>;
  stop(): Promise<void>;
};

/**
 * Keeps `ended` up with all processes, command line included. While the database is away nothing is forgotten, and its
 * next answer holds all that has ended meanwhile.
 */
export function followEndedSessions(deps: {
  readonly db: Pick<Db, "query">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly ended: Pick<EndedSessions, "ask">;
  /** Tests make it short. */
  readonly everyMs?: number;
}): SessionEndsFollower {
  const { clock, log, everyMs = askEveryMs } = deps;
  let stopping = new AbortController();
  let following: Promise<void> = Promise.resolve();
  /** When the last question was put that has been answered. */
  let answeredMs = Number.NEGATIVE_INFINITY;

  const ask = async (): Promise<void> => {
    const nowMs = clock.now();
    // A clock that was set back must not leave out what ends by its new reading.
    const sinceMs = Math.max(Math.min(answeredMs, nowMs) - askedAgainMs, nowMs - endsKeptMs);
    const learn = deps.ended.ask();
    learn(await endsSince(deps.db, sinceMs, stopping.signal));
    answeredMs = nowMs;
  };

  const goOn = async ({ signal }: AbortController): Promise<void> => {
    for (let failures = 0; ;) {
      await pause(everyMs, signal);
      if (signal.aborted) return;
      try {
        await ask();
        if (failures > 0) log.info({ failures }, "ends of sign-ins are read again");
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (failures++ === 0) log.warn({ err: error }, "ends of sign-ins cannot be read, trying again");
      }
    }
  };

  return {
    start: async () => {
      // A start of the server may be repeated.
      stopping = new AbortController();
      await ask();
      following = goOn(stopping);
    },
    stop: async () => {
      stopping.abort();
      await following;
    },
  };
}

/** Those that were noted first are first. Of more than are remembered, the newest. */
async function endsSince(db: Pick<Db, "query">, sinceMs: number, stopping: AbortSignal) {
  const { rows } = await withTimeLimit(askMaxMs, late, (limit) =>
    db.query<{ id: string; ended_at: Date }>(
      "select id, ended_at from account_session where ended_at > $1 order by ended_at desc limit $2",
      [new Date(sinceMs), endedSessionsMax],
      { name: "account_session_ended", signal: AbortSignal.any([limit, stopping]) },
    ),
  );
  return rows.map((row) => ({ id: row.id, endedAtMs: row.ended_at.getTime() })).reverse();
}

function late(): Error {
  return new Error("the database did not say in time which sessions have ended");
}
