import assert from "node:assert/strict";
import { test } from "node:test";
import { type Stored, compare } from "./findings.ts";
import type { Message } from "./ledger.ts";

/** Messages of one contact, each sent after the one before it was acknowledged. */
function sent(count: number): Message[] {
  return Array.from({ length: count }, (_, i) => ({
    externalId: `e${i}`,
    source: "shop",
    contact: "anna",
    connection: 0,
    text: "",
    firstSentMs: i * 10,
    acknowledgedMs: i * 10 + 5,
    id: `m${i}`,
  }));
}

function stored(...numbers: number[]): Stored[] {
  return numbers.map((i) => ({ id: `m${i}`, externalId: `e${i}`, contact: "shop anna" }));
}

const none = { lost: [], doubled: [], invented: [], changed: [], disordered: [] };

test("what is stored once and in order is in order", () => {
  assert.deepEqual(compare(sent(4), stored(0, 1, 2, 3)), none);
});

test("every planted fault is found", () => {
  assert.deepEqual(compare(sent(4), stored(0, 1, 3)), { ...none, lost: ["e2"] });
  assert.deepEqual(compare(sent(4), stored(0, 1, 1, 2, 3)), { ...none, doubled: ["e1"] });
  assert.deepEqual(compare(sent(3), stored(0, 1, 2, 7)), { ...none, invented: ["e7"] });
  assert.deepEqual(compare(sent(4), stored(0, 2, 1, 3)), { ...none, disordered: ["e1"] });
  const elsewhere = [...stored(0), { id: "m1", externalId: "e1", contact: "shop boris" }];
  assert.deepEqual(compare(sent(2), elsewhere), { ...none, changed: ["e1"] });
  const renamed = [...stored(0), { id: "m9", externalId: "e1", contact: "shop anna" }];
  assert.deepEqual(compare(sent(2), renamed), { ...none, changed: ["e1"] });
});

test("messages that were under way at the same time may come in either order, and unacknowledged ones not at all", () => {
  const messages = sent(3).map((message) => ({ ...message, firstSentMs: 0 }));
  assert.deepEqual(compare(messages, stored(2, 0, 1)), none);
  const { id: _, acknowledgedMs: __, ...open } = sent(2)[1]!;
  assert.deepEqual(compare([...sent(1), open], stored(0)), none);
  assert.deepEqual(compare([...sent(1), open], stored(0, 1)), none);
});
