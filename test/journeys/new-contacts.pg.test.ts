import assert from "node:assert/strict";
import { test } from "node:test";
import { hexId, openInbox, webhook } from "./inbox.ts";
import { inLanes, openLeanClient } from "./lean-client.ts";

const contacts = 500;
/** When each of a contact's four messages was sent, unix seconds: the first and last tie, so do the ones between. */
const sentAt = [130, 110, 110, 130];

/** A server on which 500 new contacts write at once, and what it then shows of each. */
async function openCrowd(t: Parameters<typeof openInbox>[0]) {
  const inbox = await openInbox(t);
  const client = openLeanClient(t, inbox.url, 40);
  const clients = Array.from({ length: contacts }, hexId);

  async function write(contact: number, message: number): Promise<void> {
    const body = webhook({
      external_client_id: clients[contact] ?? "",
      message_text: String(message),
      send_at: sentAt[message] ?? 0,
    });
    const headers = { "content-type": "application/json", authorization: `Bearer ${inbox.source.secret}` };
    const reply = await client({ path: "/api/v1/webhook", headers, body: JSON.stringify(body) });
    assert.equal(reply.status, 202, reply.text);
  }

  /** The texts of each contact's one open dialog, by the contact's external id. */
  async function texts(): Promise<ReadonlyMap<string, string>> {
    await inbox.app.drain();
    const dialogs = await inbox.dialogs();
    assert.equal(dialogs.length, contacts);
    assert.ok(dialogs.every((dialog) => dialog.state === "open" && dialog.messages_count === 4));
    assert.equal(new Set(dialogs.map(({ contact }) => contact.id)).size, contacts);
    const found = await inLanes(contacts, 8, async (i) => {
      const dialog = dialogs[i];
      assert.ok(dialog !== undefined);
      const messages = await inbox.messages(dialog.id);
      return [dialog.contact.external_client_id, messages.map(({ text }) => text).join("")] as const;
    });
    return new Map(found);
  }

  return { app: inbox.app, clients, write, texts };
}

test("500 new contacts whose four first messages race have a dialog each, in the order of sending and arrival", async (t) => {
  const { app, clients, write, texts } = await openCrowd(t);
  await Promise.all(clients.flatMap((_, contact) => [0, 1, 2, 3].map((message) => write(contact, message))));
  const found = await texts();

  const { rows } = await app.deps.db.query<{ client: string; arrival: string }>(
    `select split_part(topic, '/', 3) as client,
            string_agg(data -> 'payload' ->> 'message_text', '' order by entry_offset) as arrival
       from eventlog_entry group by 1`,
  );
  assert.equal(rows.length, contacts);
  for (const { client, arrival } of rows) {
    const expected = ["1", "2"].sort(by(arrival)).join("") + ["0", "3"].sort(by(arrival)).join("");
    assert.equal(found.get(client), expected);
  }
});

function by(arrival: string): (a: string, b: string) => number {
  return (a, b) => arrival.indexOf(a) - arrival.indexOf(b);
}

test("a message that was answered before another was sent stands before it", async (t) => {
  const { clients, write, texts } = await openCrowd(t);
  await Promise.all(
    clients.map(async (_, contact) => {
      await Promise.all([write(contact, 0), write(contact, 1)]);
      await Promise.all([write(contact, 2), write(contact, 3)]);
    }),
  );
  assert.deepEqual(new Set((await texts()).values()), new Set(["1203"]));
});
