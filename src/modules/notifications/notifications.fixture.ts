import assert from "node:assert/strict";
import { manualClock, openTestDatabase, testLog } from "../../../test/harness.ts";
import { topics } from "../../../protocol/topics.ts";
import type { Deps } from "../../deps.ts";
import type { Entry, EventLog } from "../../eventlog/eventlog.ts";
import { partitionOf } from "../../eventlog/murmur2.ts";
import { openLog } from "../../eventlog/postgres.fixture.ts";
import type { Queryable, Tx } from "../../lib/db.ts";
import { expireBatchMax } from "./expire.ts";
import { countUnread } from "./queries.ts";
import { digestBatchMax, releaseBatchMax } from "./wishes/release.ts";
import type { NotificationStore } from "./store.ts";
import type { StoreUnderTest } from "./store-under-test.fixture.ts";

/** A store in a PostgreSQL, and all that it lies on. */
export type Stage = StoreUnderTest & Pick<Deps, "db" | "eventlog">;

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
    held: async (userId) => {
      const { rows } = await db.query<{ message: string }>(
        "select message from notification_held where user_id = $1",
        [userId],
      );
      return rows.map(({ message }) => message);
    },
    audit: (userId) => auditPerson(db, userId, clock.now()),
    stepMax: { told: releaseBatchMax, closed: digestBatchMax, removed: expireBatchMax },
  };
}

/** A person's row has counted what there is, all of it told by what has not ended, and a digest what it has gathered. */
async function auditPerson(db: Queryable, userId: number, nowMs: number): Promise<void> {
  const { rows } = await db.query(
    `select n.unread, n.stored, n.alive, h.held, d.wrong, p.counted_unread, p.counted_stored, p.counted_held
       from (select count(*) filter (where state in ('unread', 'seen'))::int as unread, count(*)::int as stored,
                    count(*) filter (where state in ('unread', 'seen') and expires_at > $2)::int as alive
               from notification where user_id = $1) n,
            (select count(*)::int as held from notification_held where user_id = $1) h,
            (select count(*)::int as wrong from notification_digest d where user_id = $1
                and gathered <> (select count(*) from notification_held h where h.digest_id = d.id)) d,
            (select coalesce(sum(unread), 0)::int as counted_unread, coalesce(sum(stored), 0)::int as counted_stored,
                    coalesce(sum(held), 0)::int as counted_held
               from notification_person where user_id = $1) p`,
    [userId, new Date(nowMs)],
  );
  const [{ unread, stored, alive, held, wrong, ...counted } = assert.fail()] = rows;
  assert.deepEqual(counted, { counted_unread: unread, counted_stored: stored, counted_held: held });
  assert.equal(wrong, 0, "a digest counts what it has gathered");
  assert.equal((await countUnread(db, userId, nowMs)).unread, alive);
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
