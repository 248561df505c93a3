import assert from "node:assert/strict";
import { test } from "node:test";
import { uuidv7 } from "../../../../protocol/ids.ts";
import { topics } from "../../../../protocol/topics.ts";
import { manualClock, testLog } from "../../../../test/harness.ts";
import { readConfig } from "../../../config.ts";
import { type Entry, jsonText } from "../../../eventlog/eventlog.ts";
import type { Tx } from "../../../lib/db.ts";
import { createMetrics } from "../../../observe/metrics.ts";
import { batchMax, followOccasions } from "./follow.ts";
import { People } from "../people.ts";

test("messages that tell nobody anything cost no statement", async () => {
  const refused = (): Promise<never> => Promise.reject(new Error("nothing is to be asked"));
  const tx: Tx = { query: refused, afterCommit: () => assert.fail() };
  const consumer = followOccasions({
    eventlog: { appendIn: refused, redact: refused },
    db: { transaction: refused },
    log: testLog,
    clock: manualClock(),
    config: readConfig({}),
    metrics: createMetrics({ process: false }),
    people: new People(),
  });
  const entries = Array.from({ length: batchMax }, (_, i): Entry => {
    const content = i % 2 === 0 ? "hello" : "a@example.com, @ and @боб";
    const message = { id: uuidv7(), room_id: 7, user_id: 5, username: "ann", content };
    return {
      id: message.id,
      partition: 0,
      offset: i + 1,
      topic: topics.room(7),
      type: "message.created",
      time: 0,
      actor: "user:5",
      data: jsonText({ message, reply_to_user_id: null }),
      trace: undefined,
    };
  });
  await consumer.handle(entries, tx, new AbortController().signal);
  const [first] = entries;
  assert.ok(first !== undefined);
  const told = { message: { id: first.id, room_id: 7, user_id: 5, username: "ann", content: "@bob" } };
  const asking = consumer.handle([{ ...first, data: jsonText(told) }], tx, new AbortController().signal);
  await assert.rejects(asking, { message: "nothing is to be asked" });
  // The same words under another kind of topic are another type.
  const elsewhere = { ...first, topic: topics.live(7), data: jsonText(told) };
  await consumer.handle([elsewhere], tx, new AbortController().signal);
});
