import assert from "node:assert/strict";
import { test } from "node:test";
import { messageReceived } from "../../../protocol/inbox.ts";
import { eventually, openTestDatabase } from "../../../test/harness.ts";
import { type Entry, jsonText } from "../../eventlog/eventlog.ts";
import type { Db } from "../../lib/db.ts";
import { derivedId } from "../../eventlog/derived-id.ts";
import { createMetrics } from "../../observe/metrics.ts";
import { dropOldMonths } from "./months.ts";
import { createProjection } from "./projection.ts";

const at = (day: string): number => Date.parse(`${day}T12:00:00Z`);

type Inbox = {
  readonly db: Db;
  /** A message of a contact arrives then. */
  readonly write: (contact: number, day: string) => Promise<void>;
  /** Retention of one whole month before the current one. */
  readonly retain: (today: string) => Promise<readonly string[]>;
  /** What is shown of each contact, in the order of their dialogs. */
  readonly shown: () => Promise<readonly Shown[]>;
};

type Shown = {
  readonly client: number;
  readonly phone: string;
  readonly state: string;
  readonly count: number;
  readonly preview: string;
  readonly last: boolean;
  readonly messages: number;
};

/** One projection for the whole test: it remembers contacts and dialogs, as that of a server does. */
async function openInbox(): Promise<Inbox> {
  const db = await openTestDatabase();
  await db.query("insert into inbox_source (name, scheme) values ('demo', 'api_key')");
  const projection = createProjection({ metrics: createMetrics({ process: false }) });
  let offset = 0;
  return {
    db,
    write: async (contact, day) => {
      const entry = entryOf(contact, day, ++offset);
      await db.transaction((tx) => projection.handle([entry], tx, new AbortController().signal));
    },
    retain: (today) => dropOldMonths(db, { keepMonths: 1, nowMs: at(today) }),
    shown: async () => {
      const { rows } = await db.query<Shown>(
        `select right(c.external_client_id::text, 1)::int as client, c.phone, d.state, d.messages_count as count,
                d.last_message_text as preview, d.last_message_id is not null as last,
                (select count(*) from inbox_message m where m.dialog_id = d.id) as messages
           from inbox_dialog d join inbox_contact c on c.id = d.contact_id order by d.id`,
      );
      return rows;
    },
  };
}

function entryOf(contact: number, day: string, offset: number): Entry {
  const payload = {
    external_message_id: String(offset).padStart(32, "0"),
    external_client_id: String(contact).padStart(32, "0"),
    client_phone: `+7919496110${contact}`,
    message_text: `${day} of ${contact}`,
    send_at: 1_640_995_200,
  };
  return {
    id: derivedId("test", String(offset)),
    partition: 0,
    offset,
    topic: `contact/1/${contact}`,
    type: messageReceived,
    time: at(day),
    actor: "system",
    data: jsonText({ source_id: 1, payload }),
    trace: undefined,
  };
}

test("a month that is dropped takes its part of the figures along, and previews and phones where nothing is left", async () => {
  const { write, retain, shown } = await openInbox();
  for (const day of ["2026-01-05", "2026-02-05"]) await write(1, day);
  for (const day of ["2026-01-06", "2026-01-07", "2026-05-06"]) await write(2, day);
  await write(3, "2026-06-01");
  const [, , third] = await shown();
  assert.deepEqual(await retain("2026-06-15"), ["inbox_message_2026_01", "inbox_message_2026_02"]);
  assert.deepEqual(await shown(), [
    { client: 1, phone: "", state: "closed", count: 0, preview: "", last: false, messages: 0 },
    {
      client: 2,
      phone: "+79194961102",
      state: "open",
      count: 1,
      preview: "2026-05-06 of 2",
      last: true,
      messages: 1,
    },
    third,
  ]);
});

test("the dialog of a month that stays shows what it did, also when its contact has older ones", async () => {
  const { db, write, retain, shown } = await openInbox();
  await write(1, "2026-01-05");
  await db.query("update inbox_dialog set state = 'closed'");
  await write(1, "2026-06-05");
  await retain("2026-06-15");
  assert.deepEqual(
    (await shown()).map(({ phone, state, count, preview }) => [phone, state, count, preview]),
    [
      ["+79194961101", "closed", 0, ""],
      ["+79194961101", "open", 1, "2026-06-05 of 1"],
    ],
  );
});

test("a contact who writes again after everything was forgotten is known by phone again, in a new dialog", async () => {
  const { write, retain, shown } = await openInbox();
  await write(1, "2026-01-05");
  await retain("2026-06-15");
  await write(1, "2026-06-16");
  assert.deepEqual(
    (await shown()).map(({ phone, state, count, preview }) => [phone, state, count, preview]),
    [
      ["+79194961101", "closed", 0, ""],
      ["+79194961101", "open", 1, "2026-06-16 of 1"],
    ],
  );
});

test("a contact who is being saved while the last of the messages goes keeps the phone", async () => {
  const { db, write, retain, shown } = await openInbox();
  await write(1, "2026-01-05");
  await db.query("update inbox_dialog set state = 'closed'");
  let retaining: Promise<unknown> | undefined;
  await db.transaction(async (tx) => {
    const projection = createProjection({ metrics: createMetrics({ process: false }) });
    await projection.handle([entryOf(1, "2026-06-14", 77)], tx, new AbortController().signal);
    retaining = retain("2026-06-15");
    await eventually("retention waits for the contact", async () => {
      const { rows } = await db.query(
        "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      return rows.length > 0;
    });
  });
  await retaining;
  assert.deepEqual(
    (await shown()).map(({ phone, state, count }) => [phone, state, count]),
    [
      ["+79194961101", "closed", 0],
      ["+79194961101", "open", 1],
    ],
  );
});
