import assert from "node:assert/strict";
import { after, test } from "node:test";
import { WebhookAccepted } from "../../protocol/inbox.ts";
import type { RequestOptions } from "../app.ts";
import { type NewSource, openInbox, signatures, webhook } from "./inbox.ts";

const inbox = await openInbox({ after });
const { app, addSource, dialogsOf, messages, request, send } = inbox;

/** Every way in which a sender proves itself: the path it posts to, and what it adds to its body. */
const ways: Readonly<
  Record<
    string,
    {
      readonly scheme: "api_key" | "standard" | "hub" | "telegram";
      readonly path: (source: NewSource) => string;
      readonly proof: (source: NewSource, body: string) => RequestOptions | Promise<RequestOptions>;
    }
  >
> = {
  "a key that is bound to the source": {
    scheme: "api_key",
    path: () => "",
    proof: ({ secret }) => ({ key: secret }),
  },
  "a key that is bound to no source, with ?source=": {
    scheme: "api_key",
    path: ({ name }) => `?source=${name}`,
    proof: async () => ({ headers: { "x-api-key": await inbox.key(["webhook:write"]) } }),
  },
  "Standard Webhooks": {
    scheme: "standard",
    path: ({ name }) => `?source=${name}`,
    proof: ({ secret }, body) => ({ headers: signatures.standard(secret, body) }),
  },
  "X-Hub-Signature-256": {
    scheme: "hub",
    path: ({ name }) => `?source=${name}`,
    proof: ({ secret }, body) => ({ headers: signatures.hub(secret, body) }),
  },
  "X-Telegram-Bot-Api-Secret-Token": {
    scheme: "telegram",
    path: ({ name }) => `?source=${name}`,
    proof: ({ secret }) => ({ headers: signatures.telegram(secret) }),
  },
};

for (const [name, { scheme, path, proof }] of Object.entries(ways)) {
  test(`a webhook becomes a message in a dialog: ${name}`, async () => {
    const source = await addSource(scheme);
    const sent = webhook();
    const body = JSON.stringify(sent);
    const answer = await request("POST", `/api/v1/webhook${path(source)}`, {
      body,
      ...(await proof(source, body)),
    });
    assert.equal(answer.status, 202, answer.text);
    const id = answer.as(WebhookAccepted).message_id;
    await app.drain();

    const [dialog, ...others] = await dialogsOf(sent.external_client_id);
    assert.ok(dialog !== undefined && others.length === 0);
    assert.equal(dialog.state, "open");
    assert.equal(dialog.messages_count, 1);
    assert.equal(dialog.last_message_text, "Привет!");
    assert.equal(dialog.last_message_at, dialog.opened_at);
    const contact = await inbox.contact(dialog.contact.id);
    assert.deepEqual(contact, dialog.contact);
    assert.deepEqual(contact, {
      id: contact.id,
      source_id: source.id,
      source: source.name,
      external_client_id: sent.external_client_id,
      phone: sent.client_phone,
      created_at: dialog.opened_at,
    });
    assert.deepEqual(await messages(dialog.id), [
      {
        id,
        external_message_id: sent.external_message_id,
        direction: "in",
        text: "Привет!",
        sent_at: "2022-01-01T00:00:00.000Z",
        received_at: dialog.opened_at,
      },
    ]);
  });
}

test("the seed's own request is accepted byte for byte", async () => {
  const body = `{
    "external_message_id": "1a2b3c4d5e6f7890abcdef1234567890",
    "external_client_id": "fedcba0987654321abcdef1234567890",
    "client_phone": "+79194961182",
    "message_text": "Привет!",
    "send_at": 1640995200
}`;
  const answer = await request("POST", "/api/v1/webhook", { key: inbox.source.secret, body });
  assert.equal(answer.status, 202);
  assert.equal(answer.headers.get("content-type"), "application/json; charset=utf-8");
});

test("whatever a person writes comes back as it was, without the white space around it", async () => {
  const client = webhook().external_client_id;
  const texts = [
    "NULL",
    `{"a",b}\\"'; drop table inbox_message; --`,
    "line\r\nbreak\ttab \u001e \u0001 \u007f",
    "👩‍👩‍👧‍👦 e\u0301 \u202eabc\u202c שלום",
    "\ufffd\uffff",
    "%s $1 ${x} <b>&amp;</b>",
    "😀".repeat(4_096),
  ];
  for (const [i, text] of texts.entries()) {
    await send(webhook({ external_client_id: client, message_text: ` \n\u00a0${text}\ufeff `, send_at: i }));
  }
  await app.drain();
  const [dialog] = await dialogsOf(client);
  assert.ok(dialog !== undefined);
  assert.deepEqual(
    (await messages(dialog.id)).map(({ text }) => text),
    texts,
  );
  assert.equal(dialog.last_message_text, "😀".repeat(200), "the preview counts characters and splits none");
});

test("ids in upper and lower case are the same message and the same contact", async () => {
  const sent = webhook();
  const upper = {
    ...sent,
    external_message_id: sent.external_message_id.toUpperCase(),
    external_client_id: sent.external_client_id.toUpperCase(),
  };
  assert.equal(await send(upper), await send(sent));
  await send(webhook({ external_client_id: upper.external_client_id }));
  await app.drain();
  const [dialog] = await dialogsOf(sent.external_client_id);
  assert.equal(dialog?.messages_count, 2);
});

test("the same ids from two sources are two contacts and two messages", async () => {
  const other = await addSource("api_key");
  const sent = webhook();
  const first = await send(sent);
  const answer = await request("POST", "/api/v1/webhook", { key: other.secret, json: sent });
  assert.notEqual(answer.as(WebhookAccepted).message_id, first);
  await app.drain();
  const found = await dialogsOf(sent.external_client_id);
  assert.deepEqual(found.map(({ contact }) => contact.source).sort(), [inbox.source.name, other.name].sort());
});
