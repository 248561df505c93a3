import { manualClock, testLog } from "../../test/harness.ts";
import { type SessionEndedData, sessionEnded } from "../../protocol/accounts.ts";
import { topics } from "../../protocol/topics.ts";
import { announceSessionEnds } from "../announce.ts";
import { type Entry, type EventLog, parseData } from "../eventlog/eventlog.ts";
import { openLog } from "../eventlog/postgres.fixture.ts";
import type { Db } from "../lib/db.ts";
import { createAccessTokens } from "./access-tokens.ts";
import { createEndedSessions } from "./ended-sessions.ts";
import { createRefreshTokens } from "./refresh-tokens.ts";
import { type SignIn, createSessions } from "./sessions.ts";
import { type NewUser, type User, insertUser } from "./users.ts";

export const testSecret = "a secret of the tests of sessions, long enough";
export const refreshTokens = createRefreshTokens(testSecret);

let people = 0;

/** A person whom nobody else in this file has. */
export function newPerson(db: Db, person: Partial<NewUser> = {}): Promise<User> {
  return insertUser(db, { username: `person-${++people}`, ...person });
}

/** Sessions on a real database and log, with a clock that is moved by hand. */
export async function openSessions(db: Db) {
  const clock = manualClock();
  const eventlog = await openLog(db);
  const ended = createEndedSessions(clock);
  const sessions = createSessions({
    db,
    clock,
    log: testLog,
    signing: { accessTokens: createAccessTokens(testSecret, clock), refreshTokens },
    announceEnd: announceSessionEnds(eventlog),
    ended,
  });
  return {
    clock,
    eventlog,
    sessions,
    ended,
    start: (user: Pick<User, "id">): Promise<SignIn> => db.transaction((tx) => sessions.start(tx, user.id)),
    /** What the person's devices were told, in order. */
    ends: async (user: Pick<User, "id">): Promise<readonly SessionEndedData[]> =>
      (await entriesOf(eventlog, topics.user(user.id)))
        .filter(({ type }) => type === sessionEnded)
        .map((entry) => parseData<SessionEndedData>(entry)),
  };
}

/** All entries of a topic. */
export async function entriesOf(
  eventlog: Pick<EventLog, "partitions" | "read">,
  topic: string,
): Promise<readonly Entry[]> {
  const found: Entry[] = [];
  for (let partition = 0; partition < eventlog.partitions; partition++) {
    for (let after = 0; ;) {
      const { entries, end } = await eventlog.read(partition, after, 1_000);
      found.push(...entries.filter((entry) => entry.topic === topic));
      if (end === after) break;
      after = end;
    }
  }
  return found;
}
