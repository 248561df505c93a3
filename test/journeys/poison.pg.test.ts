import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { WebhookBody } from "../../protocol/inbox.ts";
import {
  ConsumerGroupList,
  DeadLetter,
  DeadLetterDetail,
  DeadLetterPage,
  Retried,
} from "../../protocol/operations.ts";
import { topics } from "../../protocol/topics.ts";
import { partitionOf } from "../../src/eventlog/murmur2.ts";
import { eventually } from "../harness.ts";
import { hexId, openInbox, webhook } from "./inbox.ts";

const inbox = await openInbox({ after });
const { admin, app, dialogsOf, messages, request, send, source } = inbox;
const { db, eventlog } = app.deps;

/** From now on no message that says "poison" can be saved. */
async function addPoison(): Promise<void> {
  await db.query(
    "alter table inbox_message add constraint poison check (text is distinct from 'poison') not valid",
  );
}

async function removePoison(): Promise<void> {
  await db.query("alter table inbox_message drop constraint poison");
}

async function deadLetters() {
  return (await request("GET", "/api/v1/dead-letters?group=inbox", { key: admin })).as(DeadLetterPage)
    .dead_letters;
}

/** Resolves when there are so many dead letters. The pauses between attempts are cut short, and the owner is told. */
async function untilDead(count: number): Promise<void> {
  await eventually(`${count} dead letters`, async () => {
    await db.query("update eventlog_parked set next_at = now() where state = 'parked'");
    await db.query("update eventlog_group set parked_changes = parked_changes + 1");
    return (await deadLetters()).length === count;
  });
}

async function textsOf(clientId: string): Promise<readonly (string | null)[]> {
  const [dialog] = await dialogsOf(clientId);
  return dialog === undefined ? [] : (await messages(dialog.id)).map(({ text }) => text);
}

/** Sends messages of one contact, one after the other. */
async function write(clientId: string, texts: readonly string[]): Promise<readonly WebhookBody[]> {
  const sent = texts.map((message_text) => webhook({ external_client_id: clientId, message_text }));
  for (const body of sent) await send(body);
  return sent;
}

/** Contacts that share a partition of the log with `clientId`, and some that do not. */
function neighbours(clientId: string): readonly string[] {
  const partition = (id: string) => partitionOf(topics.contact(source.id, id), eventlog.partitions);
  const found: string[] = [];
  while (found.length < 3) {
    const id = hexId();
    if (partition(id) === partition(clientId)) found.push(id);
  }
  return [...found, ...Array.from({ length: 20 }, hexId)];
}

test("a poison message holds up its own contact only, is shown with error and payload, and is healed in order", async () => {
  const poisoned = hexId();
  const others = neighbours(poisoned);
  await write(poisoned, ["before"]);
  await app.drain();
  await addPoison();
  const [, sent] = await write(poisoned, ["one", "poison", "three"]);
  for (const other of others) await write(other, ["hello"]);
  await write(poisoned, ["four"]);
  await untilDead(1);
  await app.drain();
  for (const other of others) assert.deepEqual(await textsOf(other), ["hello"]);
  assert.deepEqual(await textsOf(poisoned), ["before", "one"]);

  const [letter] = await deadLetters();
  assert.ok(letter !== undefined);
  assert.equal(letter.group, "inbox");
  assert.equal(letter.type, "inbox.message.received");
  assert.equal(letter.topic, topics.contact(source.id, poisoned));
  assert.equal(letter.attempts, 5);
  assert.equal(letter.waiting_behind, 2);
  assert.match(letter.error ?? "", /violates check constraint "poison"/);
  const path = `/api/v1/dead-letters/${letter.id}`;
  const detail = (await request("GET", path, { key: admin })).as(DeadLetterDetail);
  assert.deepEqual(detail, { ...letter, data: { source_id: source.id, payload: sent } });
  const { groups } = (await request("GET", "/api/v1/consumers", { key: admin })).as(ConsumerGroupList);
  assert.deepEqual(
    groups
      .filter(({ group }) => group === "inbox")
      .map(({ partitions, ...figures }) => ({ ...figures, partitions: partitions.length })),
    [
      {
        group: "inbox",
        lag_entries: 0,
        lag_seconds: 0,
        parked: 2,
        dead: 1,
        owners: 1,
        partitions: eventlog.partitions,
      },
    ],
  );

  const retry = () => request("POST", `${path}/retry`, { key: admin });
  assert.deepEqual((await retry()).as(Retried), { retried: 1 });
  await untilDead(1);
  assert.deepEqual(await textsOf(poisoned), ["before", "one"], "it is still poison");

  await removePoison();
  const answer = await retry();
  assert.deepEqual([answer.status, answer.as(Retried)], [202, { retried: 1 }]);
  await app.drain();
  assert.deepEqual(await textsOf(poisoned), ["before", "one", "poison", "three", "four"]);
  assert.deepEqual(await deadLetters(), []);
  assert.equal((await request("GET", path, { key: admin })).problem().code, "not_found");
  assert.equal((await retry()).problem().code, "not_found");
});

test("giving a poison message up lets the rest of its contact go on", async () => {
  const poisoned = hexId();
  await addPoison();
  await write(poisoned, ["one", "poison", "three"]);
  await untilDead(1);
  await app.drain();
  assert.deepEqual(await textsOf(poisoned), ["one"]);
  const [letter] = await deadLetters();
  const drop = () => request("DELETE", `/api/v1/dead-letters/${letter?.id}`, { key: admin });
  const dropped = await drop();
  assert.equal(dropped.status, 200);
  assert.deepEqual(dropped.as(DeadLetter), letter);
  await app.drain();
  assert.deepEqual(await textsOf(poisoned), ["one", "three"]);
  assert.deepEqual([(await drop()).status, await deadLetters()], [404, []]);
  await write(poisoned, ["four"]);
  await app.drain();
  assert.deepEqual(await textsOf(poisoned), ["one", "three", "four"]);
  await removePoison();
});

test("all dead letters of a group are retried at once, and those of other groups are left alone", async () => {
  const [first, second] = [hexId(), hexId()];
  await addPoison();
  await write(first, ["poison", "two"]);
  await write(second, ["poison", "two"]);
  await untilDead(2);
  await removePoison();
  const retryAll = (group: string) =>
    request("POST", "/api/v1/dead-letters/retry", { key: admin, json: { group } });
  assert.equal((await retryAll("another")).problem().code, "not_found");
  assert.equal((await deadLetters()).length, 2);
  assert.equal((await retryAll("inbox")).as(Retried).retried, 2);
  await app.drain();
  for (const client of [first, second]) assert.deepEqual(await textsOf(client), ["poison", "two"]);
  assert.deepEqual(await deadLetters(), []);
});
