import { databaseName, databaseUser } from "../../src/embedded/cluster.ts";
import { layoutOf, socketPort } from "../../src/embedded/layout.ts";
import { pause } from "../../src/lib/backoff.ts";
import { type Db, openDb } from "../../src/lib/db.ts";
import { createLogger } from "../../src/lib/logger.ts";
import { messageReceived } from "../../protocol/inbox.ts";
import type { Stored } from "./findings.ts";
import type { Message } from "./ledger.ts";

/** Looks into the database of the server under test, past the server. */
export async function withDatabase<T>(dataDir: string, work: (db: Db) => Promise<T>): Promise<T> {
  const address = {
    host: layoutOf(dataDir).sockets,
    port: socketPort,
    user: databaseUser,
    database: databaseName,
  };
  const db = openDb(address, { poolMax: 2, log: createLogger("silent") });
  try {
    return await work(db);
  } finally {
    await db.close();
  }
}

/** Waits until every group has handled what the log holds now; resolves with the milliseconds, undefined if too long. */
export async function untilDrained(db: Db, limitMs: number): Promise<number | undefined> {
  const startedMs = performance.now();
  const { rows: heads } = await db.query<{ part: number; head: number }>(
    "select part, next_offset - 1 as head from eventlog_partition",
  );
  while (performance.now() - startedMs < limitMs) {
    const { rows } = await db.query<{ behind: boolean }>(
      `select exists (select from eventlog_group g join unnest($1::smallint[], $2::bigint[]) h(part, head) using (part)
                       where g.checkpoint < h.head) as behind`,
      [heads.map(({ part }) => part), heads.map(({ head }) => head)],
    );
    if (rows[0]?.behind === false) return performance.now() - startedMs;
    await pause(20);
  }
  return undefined;
}

/** Of these messages, how many are not in the log exactly once, and how many are not in the inbox. */
export async function spotCheck(
  db: Db,
  messages: readonly Message[],
): Promise<{ readonly log: number; readonly inbox: number }> {
  const { rows } = await db.query<{ log: number; inbox: number }>(
    `select (count(*) filter (where (select count(*) from eventlog_entry e where e.id = a.id) <> 1))::int as log,
            (count(*) filter (where not exists (select from inbox_message_key k where k.id = a.id)))::int as inbox
       from unnest($1::uuid[]) a(id)`,
    [messages.map(({ id }) => id)],
  );
  return rows[0] ?? { log: messages.length, inbox: messages.length };
}

/** Every message of the inbox in the order in which it was saved. */
export async function storedMessages(db: Db): Promise<readonly Stored[]> {
  const { rows } = await db.query<Stored>(
    `select m.id, replace(m.external_message_id::text, '-', '') as "externalId",
            coalesce(s.name || ' ' || replace(c.external_client_id::text, '-', ''), 'nobody') as contact
       from inbox_message m left join inbox_dialog d on d.id = m.dialog_id
       left join inbox_contact c on c.id = d.contact_id left join inbox_source s on s.id = c.source_id
      order by m.number`,
  );
  return rows;
}

/** Every received message of the log; in the order of the log within each contact. */
export async function loggedMessages(db: Db): Promise<readonly Stored[]> {
  const { rows } = await db.query<Stored>(
    `select e.id, e.data -> 'payload' ->> 'external_message_id' as "externalId",
            s.name || ' ' || (e.data -> 'payload' ->> 'external_client_id') as contact
       from eventlog_entry e left join inbox_source s on s.id = (e.data ->> 'source_id')::bigint
      where e.type = $1 order by e.part, e.entry_offset`,
    [messageReceived],
  );
  return rows;
}

/** What must be none of, by name. */
export async function inconsistencies(db: Db): Promise<Readonly<Record<string, number>>> {
  const { rows } = await db.query<Record<string, number>>(
    `select (select count(*) from inbox_message m where not exists (select from inbox_message_key k where k.id = m.id
              and k.dialog_id = m.dialog_id))::int as "messages without their key",
            (select count(*) from inbox_message_key k where not exists (select from inbox_message m where m.id = k.id
              and m.dialog_id = k.dialog_id and m.received_at = k.received_at))::int as "keys without their message",
            (select count(*) from (select d.id from inbox_dialog d left join inbox_message m on m.dialog_id = d.id
              group by d.id having d.messages_count <> count(m.id)) wrong)::int as "dialogs that count wrong",
            (select count(*) from (select c.id from inbox_contact c left join inbox_dialog d on d.contact_id = c.id and d.state <> 'closed'
              group by c.id having count(d.id) <> 1) wrong)::int as "contacts without one open dialog",
            (select count(*) from inbox_dialog d where not exists (select from inbox_message m
              where m.dialog_id = d.id and m.id = d.last_message_id))::int as "dialogs with a foreign last message",
            (select count(*) from eventlog_parked where state = 'dead')::int as "dead letters",
            (select count(*) from eventlog_parked where state = 'parked')::int as "parked entries"`,
  );
  return rows[0] ?? { "no answer": 1 };
}
