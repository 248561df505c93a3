import assert from "node:assert/strict";
import { after, test } from "node:test";
import { DialogPage, MessagePage } from "../../protocol/inbox.ts";
import { hexId, openInbox, webhook } from "./inbox.ts";

const inbox = await openInbox({ after });
const { admin, app, dialogs, dialogsOf, messages, request, send } = inbox;

async function dialogPage(query: string) {
  return (await request("GET", `/api/v1/dialogs?${query}`, { key: admin })).as(DialogPage);
}

test("pages of dialogs hold each one once, the newest first, while new ones arrive and states change", async () => {
  const clients = Array.from({ length: 7 }, hexId);
  for (const client of clients) {
    await send(webhook({ external_client_id: client }));
    // Alone in its batch: within ten seconds, pages are told apart by the order in which dialogs were opened.
    await app.drain();
  }
  const first = await dialogPage("limit=3");
  await send(webhook());
  await app.drain();
  const second = await dialogPage(`limit=3&cursor=${first.next_cursor}`);
  const third = await dialogPage(`limit=3&cursor=${second.next_cursor}`);
  const seen = [first, second, third].flatMap((page) => page.dialogs);
  assert.deepEqual(
    seen.map(({ contact }) => contact.external_client_id),
    clients.toReversed(),
  );
  assert.deepEqual([first.dialogs.length, third.dialogs.length, third.next_cursor], [3, 1, null]);

  const [closed, pending] = [seen[1]?.id, seen[2]?.id];
  await app.deps.db.query("update inbox_dialog set state = 'closed' where id = $1", [closed]);
  await app.deps.db.query("update inbox_dialog set state = 'pending' where id = $1", [pending]);
  assert.deepEqual(
    (await dialogPage("state=closed")).dialogs.map(({ id }) => id),
    [closed],
  );
  assert.deepEqual(
    (await dialogPage("state=pending")).dialogs.map(({ id }) => id),
    [pending],
  );
  assert.deepEqual((await dialogPage("state=snoozed")).dialogs, []);
  const open = await dialogPage("state=open&limit=4");
  const rest = await dialogPage(`state=open&limit=4&cursor=${open.next_cursor}`);
  assert.equal(open.dialogs.length + rest.dialogs.length, 6);
  assert.ok([...open.dialogs, ...rest.dialogs].every(({ state }) => state === "open"));
});

test("dialogs whose newest messages arrived in the same moment are paged without loss", async () => {
  const clients = Array.from({ length: 5 }, hexId);
  for (const client of clients) await send(webhook({ external_client_id: client }));
  await app.drain();
  await app.deps.db.query(
    `update inbox_dialog set last_message_at = '2030-01-01T00:00:00Z', activity_step = 189345600
      where contact_id in (select id from inbox_contact where external_client_id = any($1::uuid[]))`,
    [clients],
  );
  const found: string[] = [];
  let query = "limit=2";
  while (found.length < 5) {
    const page = await dialogPage(query);
    found.push(...page.dialogs.map(({ contact }) => contact.external_client_id));
    query = `limit=2&cursor=${page.next_cursor}`;
  }
  assert.deepEqual(found.slice(0, 5).sort(), clients.toSorted());
});

test("messages come in the order in which they were sent, in the same second as they arrived, page by page", async () => {
  const client = hexId();
  const sentAt = [50, 40, 40, 60, 40, 10, 60];
  for (const [i, send_at] of sentAt.entries()) {
    await send(webhook({ external_client_id: client, send_at, message_text: String(i) }));
  }
  await app.drain();
  const [dialog] = await dialogsOf(client);
  assert.ok(dialog !== undefined);
  const expected = ["5", "1", "2", "4", "0", "3", "6"];
  assert.deepEqual(
    (await messages(dialog.id)).map(({ text }) => text),
    expected,
  );
  const texts: (string | null)[] = [];
  let cursor = "";
  for (let pages = 1; pages <= 4; pages++) {
    const path: string = `/api/v1/dialogs/${dialog.id}/messages?limit=2${cursor}`;
    const page = (await request("GET", path, { key: admin })).as(MessagePage);
    texts.push(...page.messages.map(({ text }) => text));
    assert.equal(page.next_cursor === null, pages === 4);
    cursor = `&cursor=${page.next_cursor}`;
  }
  assert.deepEqual(texts, expected);
  assert.equal(dialog.last_message_text, "6", "the preview shows what arrived last");
});

test("the newest message of a dialog is on its first page when the last one sent is asked for first", async () => {
  const client = hexId();
  for (let i = 1; i <= 5; i++) {
    await send(webhook({ external_client_id: client, send_at: i, message_text: String(i) }));
  }
  await app.drain();
  const [dialog] = await dialogsOf(client);
  const read = async (query: string) => {
    const path = `/api/v1/dialogs/${dialog?.id}/messages?order=desc&limit=2${query}`;
    const page = (await request("GET", path, { key: admin })).as(MessagePage);
    return { texts: page.messages.map(({ text }) => text), next: page.next_cursor };
  };
  const first = await read("");
  assert.deepEqual(first.texts, ["5", "4"]);
  await send(webhook({ external_client_id: client, send_at: 6, message_text: "6" }));
  await app.drain();
  const second = await read(`&cursor=${first.next}`);
  assert.deepEqual(second.texts, ["3", "2"], "what arrives while one pages moves nothing");
  assert.deepEqual(await read(`&cursor=${second.next}`), { texts: ["1"], next: null });
  assert.deepEqual((await read("")).texts, ["6", "5"], "reading the first page again shows what is new");
});

test("a cursor is good for its own list, filters and dialog, and for no other", async () => {
  const clients = [hexId(), hexId()];
  for (let i = 0; i < 4; i++) await send(webhook({ external_client_id: clients[i % 2] ?? "" }));
  await app.drain();
  const [one, two] = await Promise.all(clients.map(dialogsOf));
  const lists = [
    "/api/v1/dialogs?limit=1",
    "/api/v1/dialogs?limit=1&state=open",
    `/api/v1/dialogs/${one?.[0]?.id}/messages?limit=1`,
    `/api/v1/dialogs/${one?.[0]?.id}/messages?limit=1&order=desc`,
    `/api/v1/dialogs/${two?.[0]?.id}/messages?limit=1`,
    "/api/v1/sources?limit=1",
  ];
  await inbox.addSource("hub");
  const cursors = await Promise.all(
    lists.map(async (path) => {
      const { next_cursor: next } = JSON.parse((await request("GET", path, { key: admin })).text) as {
        next_cursor: string | null;
      };
      assert.ok(next !== null, path);
      return next;
    }),
  );
  for (const [i, path] of lists.entries()) {
    for (const [j, cursor] of cursors.entries()) {
      const answer = await request("GET", `${path}&cursor=${cursor}`, { key: admin });
      if (i === j) assert.equal(answer.status, 200, path);
      else assert.equal(answer.problem().code, "invalid_cursor", `${path} with a cursor of ${lists[j]}`);
    }
  }
});

test("the preview follows arrival, so it does not depend on how messages fall into batches", async () => {
  const client = hexId();
  await send(webhook({ external_client_id: client, send_at: 100, message_text: "sent later" }));
  await send(webhook({ external_client_id: client, send_at: 50, message_text: "arrived later" }));
  await app.drain();
  assert.equal((await dialogsOf(client))[0]?.last_message_text, "arrived later");
});

test("a contact who changes the phone stays the same contact", async () => {
  const client = hexId();
  await send(webhook({ external_client_id: client, client_phone: "+79190000001" }));
  await app.drain();
  const before = (await dialogsOf(client))[0]?.contact;
  assert.equal(before?.phone, "+79190000001");
  await send(webhook({ external_client_id: client, client_phone: "+79190000002" }));
  await app.drain();
  const after = await dialogsOf(client);
  assert.equal(after.length, 1);
  assert.deepEqual(after[0]?.contact, { ...before, phone: "+79190000002" });
  assert.deepEqual(await inbox.contact(before.id), { ...before, phone: "+79190000002" });
});

test("after a dialog was closed the next message opens another one of the same contact", async () => {
  const client = hexId();
  await send(webhook({ external_client_id: client, message_text: "first" }));
  await app.drain();
  const [first] = await dialogsOf(client);
  await app.deps.db.query("update inbox_dialog set state = 'closed' where id = $1", [first?.id]);
  await send(webhook({ external_client_id: client, message_text: "second" }));
  await send(webhook({ external_client_id: client, message_text: "third" }));
  await app.drain();
  const [open, closed, ...others] = await dialogsOf(client);
  assert.ok(open !== undefined && closed !== undefined);
  assert.equal(others.length, 0);
  assert.deepEqual([open.state, closed.state], ["open", "closed"]);
  assert.deepEqual(open.contact, closed.contact);
  assert.deepEqual(
    (await messages(closed.id)).map(({ text }) => text),
    ["first"],
  );
  assert.deepEqual(
    (await messages(open.id)).map(({ text }) => text),
    ["second", "third"],
  );
  assert.deepEqual(
    (await dialogs(`&contact_id=${open.contact.id}`)).map(({ id }) => id),
    [open.id, closed.id],
  );
});

test("a dialog and a contact that are not there are 404", async () => {
  for (const path of ["/api/v1/dialogs/999999/messages", "/api/v1/contacts/999999"]) {
    const answer = await request("GET", path, { key: admin });
    assert.equal(answer.status, 404);
    assert.equal(answer.problem().code, "not_found");
  }
});
