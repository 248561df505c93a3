import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Type } from "typebox";
import type { PlainForm } from "../deps.ts";
import { HeldLog, openDelivery, person, settled, skipWindows } from "./delivery.fixture.ts";
import { plainEncoding } from "./encodings.ts";
import { textFrame } from "./frame-bytes.ts";
import { TestReader } from "./reader.fixture.ts";
import { subscribe } from "./subscribing.ts";

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
  const join = (first?: () => Promise<void>): Promise<void> => {
    const wish = { actor: person(), wanted: new Map([["room/1", undefined]]) };
    return subscribe(
      delivery.subscribing,
      reader,
      first === undefined ? wish : { ...wish, first },
      () => undefined,
    );
  };
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

test("what a plain connection is told first comes before all that was said meanwhile, and nothing is left out", async (t) => {
  const { say, reader, join } = await open(t);
  await say("room/1", "before");
  await settled();
  await join(async () => {
    reader.write(textFrame('"first"'));
    await say("room/1", "meanwhile");
    await settled();
    assert.deepEqual(reader.frames, ["first"]);
  });
  await say("room/1", "later");
  await settled();
  assert.deepEqual(reader.frames, ["first", "meanwhile", "later"]);
});

test("what is to be told first and fails lets nothing new through", async (t) => {
  const { say, reader, join } = await open(t);
  await assert.rejects(
    join(() => Promise.reject(new Error("the database is away"))),
    /away/,
  );
  await say("room/1", "later");
  await settled();
  assert.deepEqual(reader.frames, []);
});

test("a plain connection that has missed entries, which it cannot be told of, is lost", async (t) => {
  const { hub, catchUp, reader, join } = await open(t);
  await join();
  assert.equal(reader.losses, 0);
  hub.lose(0, 0, (subscription) => catchUp.skip(subscription));
  assert.deepEqual([reader.losses, reader.frames], [1, []]);
});
