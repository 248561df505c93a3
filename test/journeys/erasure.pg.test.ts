import assert from "node:assert/strict";
import { test } from "node:test";
import { replayGroup } from "../../src/eventlog/consumer-admin.ts";
import { createModules } from "../../src/modules.ts";
import type { App } from "../../src/app.ts";
import { type NewEntry, jsonText } from "../../src/eventlog/eventlog.ts";
import { eventually } from "../harness.ts";
import { type Inbox, hexId, openInbox, webhook } from "./inbox.ts";

const unknownId = "01900000-0000-7000-8000-000000000000";

/** Everything that the inbox has stored. Where `ids` is false, without the numbers that a rebuild gives anew. */
async function stored({ deps: { db } }: App, { ids = true } = {}): Promise<readonly string[]> {
  const queries = [
    `select c.external_client_id, c.phone, c.created_at, c.source_id ${ids ? ", c.id" : ""} from inbox_contact c`,
    `select c.external_client_id, d.state, d.messages_count, d.opened_at, d.last_message_at, d.last_message_id,
            d.last_message_text ${ids ? ", d.id" : ""} from inbox_dialog d join inbox_contact c on c.id = d.contact_id`,
    `select c.external_client_id, row_number() over (partition by d.id order by m.sent_at, m.number), m.id, m.sent_at,
            m.received_at, m.external_message_id, m.direction, m.text ${ids ? ", m.number, m.dialog_id" : ""}
       from inbox_message m join inbox_dialog d on d.id = m.dialog_id join inbox_contact c on c.id = d.contact_id`,
    `select k.id, k.sent_at, k.received_at ${ids ? ", k.dialog_id" : ""} from inbox_message_key k`,
  ];
  const parts: string[] = [];
  for (const query of queries) {
    const { rows } = await db.query<{ line: string }>(`select q::text as line from (${query}) q order by 1`);
    parts.push(...rows.map(({ line }) => line));
  }
  return parts;
}

async function replay(app: App): Promise<void> {
  const consumers = createModules(app.deps).all.flatMap((module) => module.consumers);
  await replayGroup(app.deps, consumers, { group: "inbox", from: "first" });
  await app.drain();
}

/** Rows of the log's tables that hold these words. */
async function traces({ deps: { db } }: App, words: string): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    `select (select count(*) from eventlog_entry where data::text like $1)
          + (select count(*) from eventlog_parked where data::text like $1) as count`,
    [`%${words}%`],
  );
  return rows[0]?.count ?? -1;
}

test("an erased message loses its words everywhere and keeps its place, and no replay brings them back", async (t) => {
  const { app, dialogsOf, messages, send } = await openInbox(t);
  const client = hexId();
  const write = (message_text: string) => send(webhook({ external_client_id: client, message_text }));
  const first = await write("ordinary");
  const last = await write("words to forget");
  await send(webhook({ message_text: "of somebody else" }));
  await app.drain();
  assert.equal(await traces(app, "words to forget"), 1);
  const [before] = await dialogsOf(client);
  assert.ok(before !== undefined);
  const shown = await messages(before.id);

  assert.equal(await app.deps.eventlog.redact([last], "asked for by the person"), 1);
  await app.drain();
  const expected = shown.map((message) => (message.id === last ? { ...message, text: null } : message));
  assert.deepEqual(await messages(before.id), expected);
  assert.deepEqual(await dialogsOf(client), [{ ...before, last_message_text: "" }]);
  assert.equal(await traces(app, "words to forget"), 0);

  const all = await stored(app);
  await replay(app);
  assert.deepEqual(await stored(app), all);
  assert.equal(await app.deps.eventlog.redact([last], "again"), 0);
  assert.deepEqual(await messages(before.id), expected);

  await write("a new one");
  await app.drain();
  const [now] = await dialogsOf(client);
  assert.deepEqual([now?.messages_count, now?.last_message_text], [3, "a new one"]);
  assert.equal(await app.deps.eventlog.redact([first, last, unknownId], "all"), 1);
  await app.drain();
  assert.deepEqual(
    (await messages(before.id)).map(({ text }) => text),
    [null, null, "a new one"],
  );
});

test("a message that was erased comes back by no repetition, however late, and by no rebuild", async (t) => {
  const { app, dialogsOf, messages, send } = await openInbox(t);
  const { db, eventlog } = app.deps;
  const sent = webhook({ message_text: "words to forget" });
  const id = await send(sent);
  await app.drain();
  assert.equal(await eventlog.redact([id], "asked for by the person"), 1);
  // Two days later; the messenger sends it again, to a server that remembers nothing of it.
  const { rows } = await db.query<Omit<NewEntry, "data">>(
    "select id, topic, type, actor from eventlog_entry where id = $1",
    [id],
  );
  for (let day = 1; day <= 2; day++) {
    await db.query("update eventlog_segment set opened_at = opened_at - interval '1 day'");
    await eventlog.maintain();
    await send(webhook({ message_text: `of day ${day}` }));
  }
  const data = jsonText({ source_id: 1, payload: sent });
  await eventlog.append(rows.map((entry) => ({ ...entry, data })));
  await app.drain();
  assert.equal(await traces(app, "words to forget"), 0);

  await db.query("truncate inbox_message, inbox_message_key, inbox_dialog, inbox_contact");
  await replay(app);
  for (const { id: dialog, last_message_text: preview } of await dialogsOf(sent.external_client_id)) {
    assert.equal(preview, "");
    for (const { text } of await messages(dialog)) assert.equal(text, null);
  }
});

test("a message that is erased while it is being saved is erased all the same", async (t) => {
  const { app, dialogsOf, messages, send } = await openInbox(t);
  const { db, eventlog } = app.deps;
  const [locked, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const holding = db.transaction(async (tx) => {
    await tx.query("select from eventlog_group for no key update");
    locked.resolve();
    await released.promise;
  });
  await locked.promise;
  const sent = webhook({ message_text: "words to forget" });
  const id = await send(sent);
  await eventually("the projection waits for its checkpoint", async () => {
    const { rows } = await db.query<{ waiting: boolean }>(
      "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock') as waiting",
    );
    return rows[0]?.waiting === true;
  });
  assert.equal(await eventlog.redact([id], "asked for by the person"), 1);
  released.resolve();
  await holding;
  await app.drain();
  const [dialog] = await dialogsOf(sent.external_client_id);
  assert.ok(dialog !== undefined);
  assert.equal(dialog.last_message_text, "");
  assert.deepEqual(
    (await messages(dialog.id)).map(({ text }) => text),
    [null],
  );
});

/** Messages of several contacts in several batches, their times and phones changing. */
async function writeMuch({ app, send }: Inbox, clients: readonly string[]): Promise<void> {
  for (let round = 0; round < 6; round++) {
    const bodies = clients.map((external_client_id, i) =>
      webhook({
        external_client_id,
        message_text: String(round),
        send_at: 1_000 - ((round * i) % 3),
        client_phone: `+7919496110${round % 2}`,
      }),
    );
    await Promise.all(bodies.map(send));
    if (round % 2 === 0) await app.drain();
  }
  await app.drain();
}

test("a replay changes nothing: no figure, no state, and no dialog more", async (t) => {
  const inbox = await openInbox(t);
  const { app, dialogsOf } = inbox;
  const clients = Array.from({ length: 8 }, hexId);
  const [closed = "", second = ""] = clients;
  await writeMuch(inbox, clients);
  await app.deps.db.query(
    `update inbox_dialog set state = 'closed'
      where contact_id in (select id from inbox_contact where external_client_id = any($1::uuid[]))`,
    [[closed, second]],
  );
  await writeMuch(inbox, [second]);
  const all = await stored(app);
  await replay(app);
  assert.deepEqual(await stored(app), all);
  const states = async (client: string) => (await dialogsOf(client)).map(({ state }) => state);
  assert.deepEqual([await states(closed), await states(second)], [["closed"], ["open", "closed"]]);
});

test("a replay into empty tables builds the same again", async (t) => {
  const inbox = await openInbox(t);
  const { app, dialogsOf, send } = inbox;
  const clients = Array.from({ length: 8 }, hexId);
  await writeMuch(inbox, clients);
  const content = await stored(app, { ids: false });
  await app.deps.db.query("truncate inbox_message, inbox_message_key, inbox_dialog, inbox_contact");
  await replay(app);
  assert.deepEqual(await stored(app, { ids: false }), content);
  await send(webhook({ external_client_id: clients[0] ?? "", message_text: "after" }));
  await app.drain();
  assert.equal((await dialogsOf(clients[0] ?? ""))[0]?.messages_count, 7);
});
