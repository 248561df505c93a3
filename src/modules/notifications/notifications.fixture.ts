import { manualClock, openTestDatabase, testLog } from "../../../test/harness.ts";
import { topics } from "../../../protocol/topics.ts";
import type { Deps } from "../../deps.ts";
import type { Entry, EventLog } from "../../eventlog/eventlog.ts";
import { partitionOf } from "../../eventlog/murmur2.ts";
import { openLog } from "../../eventlog/postgres.fixture.ts";
import type { Tx } from "../../lib/db.ts";
import type { NotificationStore } from "./store.ts";

/** A store with people, a clock that stands still, and the log that it tells of everything. */
export type Stage = Pick<Deps, "db" | "eventlog"> & {
  readonly clock: ReturnType<typeof manualClock>;
  readonly store: NotificationStore;
  /** A person who was not there before. */
  readonly person: () => Promise<number>;
  /** What the log holds of a person, in order. */
  readonly entries: (userId: number) => Promise<readonly Entry[]>;
};

export async function openStage(
  open: (deps: Pick<Deps, "db" | "eventlog" | "clock" | "log">) => NotificationStore,
): Promise<Stage> {
  const db = await openTestDatabase();
  const eventlog = await openLog(db);
  const clock = manualClock(Date.parse("2026-01-01T00:00:00Z"));
  let people = 0;
  return {
    db,
    eventlog,
    clock,
    store: open({ db, eventlog, clock, log: testLog }),
    person: async () => {
      const { rows } = await db.query<{ id: number }>(
        "insert into account_user (username, name) values ($1, $1) returning id",
        [`reader-${++people}`],
      );
      return rows[0]?.id ?? 0;
    },
    entries: createReader(eventlog),
  };
}

/** The transaction, which tells as well what it locks, in order: `person 7`, the `ledger` of broadcasts, `origins`, the `log`. */
export function notingLocks(tx: Tx, locks: string[]): Tx {
  return {
    ...tx,
    query: (text, values = [], options = {}) => {
      if (text.includes("for no key update")) {
        const ids = /^{(.*)}$/.exec(String(values[0]))?.[1]?.split(",") ?? [];
        if (text.includes("from notification_person")) locks.push(...ids.map((id) => `person ${id}`));
        else locks.push(text.includes("from notification_broadcast_ledger") ? "ledger" : "log");
      }
      if (/(insert into|delete from|update) notification_origin/.test(text)) locks.push("origins");
      return tx.query(text, values, options);
    },
  };
}

/** Reads what a person was told; of what it has read before, nothing is read again. */
function createReader(eventlog: EventLog): Stage["entries"] {
  const known = new Map<number, { readonly entries: Entry[]; after: number }>();
  return async (userId) => {
    const topic = topics.user(userId);
    const partition = partitionOf(topic, eventlog.partitions);
    const own = known.get(userId) ?? { entries: [], after: 0 };
    known.set(userId, own);
    for (;;) {
      const { entries, end } = await eventlog.read(partition, own.after, 1_000);
      own.entries.push(...entries.filter((entry) => entry.topic === topic));
      if (end === own.after) return own.entries;
      own.after = end;
    }
  };
}
