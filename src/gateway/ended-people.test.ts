import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type SessionEndedData, sessionEnded } from "../../protocol/accounts.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { topics } from "../../protocol/topics.ts";
import { eventually, manualClock } from "../../test/harness.ts";
import type { Access } from "../access/access.ts";
import { createEndedSessions } from "../access/ended-sessions.ts";
import { createIdentities } from "../access/identities.ts";
import { createPersonRate } from "../access/person-rate.ts";
import { readConfig } from "../config.ts";
import { jsonText } from "../eventlog/eventlog.ts";
import { MemoryEventLog } from "../eventlog/memory.ts";
import type { Db } from "../lib/db.ts";
import { createLogger } from "../lib/logger.ts";
import { createMetrics } from "../observe/metrics.ts";
import { Gateway } from "./gateway.ts";
import { createLocalSignals } from "./signals.ts";

const log = createLogger("silent");
const identity = {
  issuer: "https://id.example",
  subject: "s",
  username: "ann",
  name: "Ann",
  email: undefined,
};

/** A gateway whose process learns of ends by the log alone: the database says nothing of them. */
async function open(t: TestContext) {
  // Sign-ins that ids name have begun before whatever happens by this clock, also where ids of other tests in this
  // process have run ahead of the time.
  const clock = manualClock(Date.UTC(2100));
  const eventlog = new MemoryEventLog({ partitions: 1, clock });
  const ended = createEndedSessions(clock);
  const asked = { times: 0 };
  const db: Pick<Db, "query" | "transaction"> = {
    query: async <R>() => {
      asked.times++;
      return { rows: [{ id: 7, username: "ann", role: "user", disabled: false }] as R[], rowCount: 1 };
    },
    transaction: () => assert.fail("nobody is new"),
  };
  const identities = createIdentities({ db, clock, log });
  const access: Pick<Access, "endedSessions" | "identities"> = {
    endedSessions: {
      start: () => Promise.resolve(),
      stop: () => Promise.resolve(),
      ended: (...end) => ended.ended(...end),
    },
    identities,
  };
  const gateway = await Gateway.start(
    {
      access: access as Access,
      clock,
      config: readConfig({}),
      eventlog,
      log,
      metrics: createMetrics({ process: false }),
      personRate: createPersonRate({ perSecond: 1, burst: 1 }, { clock }),
      signals: createLocalSignals(),
    },
    [],
  );
  t.after(async () => {
    await gateway.close();
    await eventlog.close();
  });
  return {
    ended,
    asked,
    personOf: () => identities.personOf(identity),
    sessionId: uuidv7(),
    another: uuidv7(),
    tell: async (userId: number, data: SessionEndedData) => {
      const entry = { id: uuidv7(), topic: topics.user(userId), type: sessionEnded, actor: "system" };
      await eventlog.append([{ ...entry, data: jsonText(data) }]);
    },
  };
}

test("a sign-in that has ended by the log is refused although the database has not yet said so", async (t) => {
  const { ended, sessionId, another, tell } = await open(t);
  await tell(7, { session_id: sessionId, reason: "logout" });
  await eventually("it is known", () => ended.has({ userId: 7, sessionId }));
  assert.equal(ended.has({ userId: 7, sessionId: another }), false);
  await tell(8, { reason: "disabled" });
  await eventually("all of somebody's are", () => ended.has({ userId: 8, sessionId }));
});

test("somebody all of whose sign-ins have ended is looked up again, and for the end of one nobody is", async (t) => {
  const { asked, ended, personOf, sessionId, another, tell } = await open(t);
  await personOf();
  await tell(7, { session_id: sessionId, reason: "logout" });
  await tell(8, { reason: "disabled" });
  await eventually("both are known", () => ended.has({ userId: 8, sessionId }));
  await personOf();
  assert.equal(asked.times, 1);
  await tell(7, { reason: "disabled" });
  await eventually("it is known", () => ended.has({ userId: 7, sessionId: another }));
  await personOf();
  assert.equal(asked.times, 2);
});
