import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Type } from "typebox";
import type { PlainForm } from "../deps.ts";
import { HeldLog, openDelivery, settled, skipWindows } from "./delivery.fixture.ts";
import { plainEncoding } from "./encodings.ts";
import { TestReader } from "./reader.fixture.ts";

/** A form in which each word of what was said is a message of its own, and some things cannot be said. */
const form: PlainForm = {
  name: "words",
  frames: { sent: Type.Unknown(), heard: Type.Unknown() },
  topics: () => Promise.resolve([]),
  render: (_topic, type, data) => {
    if (data === "unspeakable") throw new Error("it cannot be said");
    return type === "said"
      ? String(data)
          .split(" ")
          .map((word) => JSON.stringify(word))
      : [];
  },
  accepts: () => false,
  handle: () => Promise.resolve(undefined),
};

async function open(t: TestContext) {
  skipWindows(t);
  const delivery = await openDelivery({ eventlog: new HeldLog() });
  t.after(() => delivery.close());
  const faults: unknown[] = [];
  const reader = new TestReader({
    encoding: plainEncoding(form, { now: () => 0 }, (error) => faults.push(error)),
  });
  const join = () => delivery.subscribe(reader, { "room/1": undefined });
  return { ...delivery, faults, reader, join };
}

test("an entry is as many messages as its form makes of it, and one that cannot be said holds up no other", async (t) => {
  const { say, append, reader, join, faults } = await open(t);
  await join();
  await say("room/1", "one two", "", "unspeakable", "three");
  await append("room/1", { user_id: 9 }, "member.removed");
  await settled();
  assert.deepEqual(reader.frames, ["one", "two", "", "three"]);
  assert.equal(faults.length, 1);
});

test("a plain connection that has missed entries, which it cannot be told of, is lost", async (t) => {
  const { hub, catchUp, reader, join } = await open(t);
  await join();
  assert.equal(reader.losses, 0);
  hub.lose(0, 0, (subscription) => catchUp.skip(subscription));
  assert.deepEqual([reader.losses, reader.frames], [1, []]);
});
