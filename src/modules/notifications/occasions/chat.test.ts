import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message, MessageCreatedData } from "../../../../protocol/chat.ts";
import { uuidv7 } from "../../../../protocol/ids.ts";
import { limits } from "../../../../protocol/limits.ts";
import { jsonText, redactedData } from "../../../eventlog/eventlog.ts";
import { chatOccasions } from "./chat.ts";
import type { Occasion } from "./occasions.ts";

const at = "2026-01-01T00:00:00.000Z";

function messageOf(content: string, parts: Partial<Message> = {}): Message {
  return {
    id: uuidv7(),
    room_id: 7,
    seq: 1,
    user_id: 5,
    username: "ann",
    content,
    client_msg_id: uuidv7(),
    reply_to: null,
    created_at: at,
    version: 1,
    edited_at: null,
    deleted_at: null,
    ...parts,
  };
}

/** What an entry of this type tells, as the consumer asks: nothing where the text alone says so. */
function occasionsOf(type: string, data: MessageCreatedData): readonly Occasion[] {
  const text = jsonText(data);
  const rows = chatOccasions.filter((row) => row.type === type && row.mayTell(text));
  return rows.flatMap((row) => row.occasionsOf(JSON.parse(text)));
}

test("a message tells those whom it mentions, then whom it answers, and leads to itself", () => {
  const message = messageOf("see @Bob. and @eve");
  const common = {
    origin: message.id,
    peopleMax: limits.mentionsPerMessage,
    roomId: 7,
    by: 5,
    message: "ann: see @Bob. and @eve",
    source: "chat",
    link: `/rooms/7?message=${message.id}`,
    createdAt: at,
  };
  const mention = { ...common, category: "mention", to: [["bob", "bob."], ["eve"]] };
  assert.deepEqual(occasionsOf("message.created", { message, reply_to_user_id: 9 }), [
    mention,
    { ...common, category: "reply", to: [9] },
  ]);
  assert.deepEqual(occasionsOf("message.created", { message }), [mention], "an old entry");
  const editedAt = "2026-01-01T01:00:00.000Z";
  assert.deepEqual(occasionsOf("message.edited", { message: { ...message, edited_at: editedAt } }), [
    { ...mention, createdAt: editedAt },
  ]);
});

test("what mentions and answers nobody is not even parsed, whatever it says of itself", () => {
  const [created] = chatOccasions;
  assert.ok(created !== undefined);
  const plain = ["hello", '"reply_to_user_id":5', '\\"reply_to_user_id":5', "reply_to_user_id 5"];
  for (const content of plain) {
    const data = jsonText({ message: messageOf(content), reply_to_user_id: null });
    assert.equal(created.mayTell(data), false, content);
  }
  assert.equal(created.mayTell(jsonText({ message: messageOf("a@b"), reply_to_user_id: null })), true);
  assert.equal(created.mayTell(jsonText({ message: messageOf("a"), reply_to_user_id: 5 })), true);
  assert.equal(created.mayTell(redactedData), false);
  assert.deepEqual(created.occasionsOf(JSON.parse(redactedData)), []);
});

test("a quotation is as long as it may be, in whole characters, and says where it was cut", () => {
  const room = limits.quoteLength - "ann: @bob ".length;
  const words = (length: number): string | undefined =>
    occasionsOf("message.created", { message: messageOf(`@bob ${"👋".repeat(length)}`) })[0]?.message;
  assert.equal(words(room), `ann: @bob ${"👋".repeat(room)}`);
  assert.equal(words(room + 1), `ann: @bob ${"👋".repeat(room - 1)}…`);
  assert.equal(Array.from(words(4_000) ?? "").length, limits.quoteLength);
});
