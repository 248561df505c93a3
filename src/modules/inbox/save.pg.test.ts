import assert from "node:assert/strict";
import { test } from "node:test";
import { openTestDatabase } from "../../../test/harness.ts";
import { uuidv7 } from "../../../protocol/ids.ts";
import { createContactCache } from "./contacts.ts";
import { type ArrivedMessage, saveMessages } from "./save.ts";

test("a repetition that comes late changes no phone and makes no contact, also when nothing is remembered", async () => {
  const db = await openTestDatabase();
  await db.query("insert into inbox_source (name, scheme) values ('demo', 'api_key')");
  const first: ArrivedMessage = {
    id: uuidv7(),
    contact: "contact:1:a",
    sourceId: 1,
    externalMessageId: "1".repeat(32),
    externalClientId: "a".repeat(32),
    phone: "+79190000001",
    text: "first",
    sentAtS: 1_640_995_200,
    receivedAtMs: Date.now(),
    number: 1,
  };
  const second = {
    ...first,
    id: uuidv7(),
    externalMessageId: "2".repeat(32),
    phone: "+79190000002",
    number: 2,
  };
  const save = (message: ArrivedMessage): Promise<number> =>
    db.transaction((tx) => saveMessages(tx, [message], createContactCache()));
  assert.deepEqual([await save(first), await save(second)], [1, 1]);
  assert.equal(await save({ ...first, number: 3 }), 0);
  assert.equal(
    await save({ ...first, contact: "contact:1:b", externalClientId: "b".repeat(32), number: 4 }),
    0,
  );
  const { rows } = await db.query<{ phone: string; count: number }>(
    "select c.phone, d.messages_count as count from inbox_contact c left join inbox_dialog d on d.contact_id = c.id",
  );
  assert.deepEqual(rows, [{ phone: second.phone, count: 2 }]);
});
