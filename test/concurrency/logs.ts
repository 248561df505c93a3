import { openPostgresEventLog } from "../../src/eventlog/postgres.ts";
import { partitionOf } from "../../src/eventlog/murmur2.ts";
import type { EventLog, NewEntry } from "../../src/eventlog/eventlog.ts";
import { pause } from "../../src/lib/backoff.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { type Db, type DbAddress, openDb } from "../../src/lib/db.ts";
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

export type LogKind = "eventlog" | "sequence";

export async function openTestLog(kind: LogKind, address: DbAddress): Promise<TestLog> {
  const db = openDb(address, { poolMax: 4, log: testLog });
  return kind === "eventlog" ? fromEventLog(db, await openEventLog(db)) : fromSequence(db);
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

/** What the control writes to: offsets come from a sequence, and nothing holds a counter until the commit. */
export const sequenceLogTables = `
  create sequence control_offset;
  create table control_entry (
    part smallint not null, entry_offset bigint not null default nextval('control_offset'), id uuid not null,
    primary key (part, entry_offset))`;

const insertControl = "insert into control_entry (part, id) select * from unnest($1::smallint[], $2::uuid[])";

/** The log that everyone writes first, and that loses what commits late. */
function fromSequence(db: Db): TestLog {
  const columns = (entries: readonly NewEntry[]): unknown[] => [
    entries.map(({ topic }) => partitionOf(topic, partitions)),
    entries.map(({ id }) => id),
  ];
  return {
    append: async (entries) => {
      await db.query(insertControl, columns(entries));
    },
    appendOpen: (entries, end) =>
      transaction(db, end, async (tx) => {
        await tx.query(insertControl, columns(entries));
      }),
    read: async (partition, after, limit) => {
      const { rows } = await db.query<{ offset: number; id: string }>(
        `select entry_offset as offset, id from control_entry where part = $1 and entry_offset > $2
          order by entry_offset limit $3`,
        [partition, after, limit],
      );
      return { entries: rows, end: rows.at(-1)?.offset ?? after };
    },
    [Symbol.asyncDispose]: () => db.close(),
  };
}
