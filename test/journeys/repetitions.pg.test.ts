import assert from "node:assert/strict";
import { test } from "node:test";
import { WebhookAccepted } from "../../protocol/inbox.ts";
import { openInbox, webhook } from "./inbox.ts";
import { inLanes, openLeanClient } from "./lean-client.ts";

test("10,000 copies of one webhook over 20 connections are one message, and all get the same answer", async (t) => {
  const { app, dialogsOf, messages, source, url } = await openInbox(t);
  const client = openLeanClient(t, url, 20);
  const sent = webhook();
  const call = {
    path: "/api/v1/webhook",
    headers: { "content-type": "application/json", authorization: `Bearer ${source.secret}` },
    body: JSON.stringify(sent),
  };
  const replies = await inLanes(10_000, 20, () => client(call));
  assert.deepEqual(
    new Set(replies.map(({ status, text }) => `${status} ${text}`)),
    new Set([`202 ${replies[0]?.text}`]),
  );
  await app.drain();
  const [dialog, ...others] = await dialogsOf(sent.external_client_id);
  assert.ok(dialog !== undefined && others.length === 0);
  assert.equal(dialog.messages_count, 1);
  const found = await messages(dialog.id);
  assert.deepEqual(
    found.map(({ id }) => ({ status: "accepted", message_id: id })),
    [JSON.parse(replies[0]?.text ?? "")],
  );
});

test("a repetition is recognised by its id, whatever else it says, also by a server that has just started", async (t) => {
  const { app, dialogsOf, messages, post, send } = await openInbox(t);
  const sent = webhook({ message_text: "first" });
  const id = await send(sent);
  const other = await post({ ...sent, message_text: "second", external_client_id: "0".repeat(32) });
  assert.deepEqual([other.status, other.as(WebhookAccepted).message_id], [202, id]);

  // What a second server would append: it remembers nothing, and the contact may lie in another partition.
  const { rows } = await app.deps.db.query<{ topic: string; actor: string; type: string; data: string }>(
    "select topic, actor, type, data from eventlog_entry where id = $1",
    [id],
  );
  const [first] = rows;
  assert.ok(first !== undefined);
  const copies = ["", "/elsewhere"].map((suffix) => ({
    id,
    topic: `${first.topic}${suffix}`,
    type: first.type,
    actor: first.actor,
    data: first.data as never,
  }));
  for (const copy of copies) await app.deps.eventlog.append([copy]);
  await app.drain();
  const [dialog] = await dialogsOf(sent.external_client_id);
  assert.ok(dialog !== undefined);
  assert.equal(dialog.messages_count, 1);
  assert.deepEqual(
    (await messages(dialog.id)).map(({ text }) => text),
    ["first"],
  );
  assert.deepEqual(await dialogsOf("0".repeat(32)), []);
});
