import { openPostgresEventLog } from "../../src/eventlog/postgres.ts";
import { partitionOf } from "../../src/eventlog/murmur2.ts";
import { appendOnce, appendParameters } from "../../src/eventlog/postgres-append.ts";
import { stateOfNewLog } from "../../src/eventlog/postgres-known.ts";
import type { EventLog, NewEntry } from "../../src/eventlog/eventlog.ts";
import { pause } from "../../src/lib/backoff.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { type Db, type DbAddress, type Queryable, openDb } from "../../src/lib/db.ts";
import { testLog } from "../harness.ts";

export const partitions = 16;

/** As much of a log as the test needs: appending, appending in a transaction that stays open, reading on. */
export type TestLog = AsyncDisposable & {
  append(entries: readonly NewEntry[]): Promise<void>;
  /** The transaction stays open for a moment after its entries were inserted, and commits or rolls back. */
  appendOpen(
    entries: readonly NewEntry[],
    end: { readonly afterMs: number; readonly commit: boolean },
  ): Promise<void>;
  read(
    partition: number,
    after: number,
    limit: number,
  ): Promise<{ readonly entries: readonly { offset: number; id: string }[]; readonly end: number }>;
};

/** `unlocked` is the control: the product with the counter's lock taken away. */
export type LogKind = "eventlog" | "unlocked";

export async function openTestLog(kind: LogKind, address: DbAddress): Promise<TestLog> {
  const db = openDb(address, { poolMax: 4, log: testLog });
  const log = await openEventLog(db);
  return kind === "eventlog" ? fromEventLog(db, log) : withoutLock(db, log);
}

export function openEventLog(db: Db): Promise<EventLog> {
  return openPostgresEventLog(db, {
    partitions,
    queueEntriesMax: 20_000,
    appendTimeoutMs: 15_000,
    notify: true,
    retention: { openAfterMs: 1e9, openAfterEntries: 1e9, keepMs: 1e9, keepMaxMs: 1e9 },
    clock: systemClock,
    log: testLog,
  });
}

function fromEventLog(db: Db, log: EventLog): TestLog {
  return {
    append: async (entries) => {
      await log.append(entries);
    },
    appendOpen: (entries, end) =>
      transaction(db, end, async (tx) => {
        await tx.query("select 1");
        await log.appendIn(tx, entries);
      }),
    read: (partition, after, limit) => log.read(partition, after, limit),
    [Symbol.asyncDispose]: async () => {
      await log.close();
      await db.close();
    },
  };
}

class RolledBack extends Error {}

async function transaction(
  db: Db,
  end: { readonly afterMs: number; readonly commit: boolean },
  work: (tx: Parameters<Parameters<Db["transaction"]>[0]>[0]) => Promise<void>,
): Promise<void> {
  try {
    await db.transaction(async (tx) => {
      await work(tx);
      await pause(end.afterMs);
      if (!end.commit) throw new RolledBack();
    });
  } catch (error) {
    if (!(error instanceof RolledBack)) throw error;
  }
}

/**
 * The log's own statement in two, each in a transaction of its own: the counter advances and lets go of its lock, then
 * the entries are inserted. Everything else is the product's: tables, reader, and the SQL but for where it is cut.
 */
function cutStatement(): { readonly advance: string; readonly insert: string } {
  const [counter, insert, ...rest] = appendOnce.text.split("), inserted as (");
  if (counter === undefined || insert === undefined || rest.length > 0) {
    throw new Error("the append statement has changed: cut it anew");
  }
  return {
    advance: `${counter}) select part, base from counter`,
    insert: `with counter as materialized (
               select part, 1 as segment, 0 as redactions, base, false as young from unnest($1::smallint[], $2::bigint[]) c(part, base)
             ), inserted as (${insert}`,
  };
}

/** The log that loses what commits late. */
function withoutLock(db: Db, log: EventLog): TestLog {
  const { advance, insert } = cutStatement();
  // Not those that open transactions hold: they would wait for each other.
  const counters = openDb(db.address, { poolMax: 4, log: testLog });
  const write = async (queryable: Queryable, entries: readonly NewEntry[]): Promise<void> => {
    const items = entries.map((entry) => ({ entry, partition: partitionOf(entry.topic, partitions) }));
    const [parts, counts, ...others] = appendParameters(items, Date.now()).values;
    const { rows } = await counters.query<{ part: number; base: number }>(advance, [parts, counts]);
    const bases = [rows.map(({ part }) => part), rows.map(({ base }) => base)];
    const { segment, redactions } = stateOfNewLog;
    await queryable.query(insert, [...bases, ...others, segment, redactions]);
  };
  return {
    append: (entries) => write(db, entries),
    appendOpen: (entries, end) => transaction(db, end, (tx) => write(tx, entries)),
    read: (partition, after, limit) => log.read(partition, after, limit),
    [Symbol.asyncDispose]: async () => {
      await log.close();
      await counters.close();
      await db.close();
    },
  };
}
