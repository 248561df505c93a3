import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Type } from "typebox";
import { uuidv7 } from "../../protocol/ids.ts";
import { jsonText } from "../eventlog/eventlog.ts";
import {
  type DeliveryOptions,
  heard,
  memoryLog,
  openDelivery,
  settled,
  skipWindows,
  setNow,
} from "./delivery.fixture.ts";
import { type HubOptions, tellEvery } from "./hub.ts";
import { TestReader } from "./reader.fixture.ts";

async function open(t: TestContext, options: Partial<DeliveryOptions<ReturnType<typeof memoryLog>>> = {}) {
  skipWindows(t);
  const delivery = await openDelivery({ eventlog: memoryLog(), ...options });
  t.after(() => delivery.close());
  return delivery;
}

type Delivery = Awaited<ReturnType<typeof open>>;

/** Appends entries that no client is sent until the partition ends at `head`. */
async function growTo({ eventlog }: Delivery, head: number): Promise<void> {
  const [now = 0] = await eventlog.heads();
  await eventlog.append(
    Array.from({ length: head - now }, () => ({
      id: uuidv7(),
      topic: "room/9",
      type: "unheard",
      actor: "system",
      data: jsonText(null),
    })),
  );
  await settled();
}

test("whoever reads a quiet topic is told how far that is true, after so many places and not one less", async (t) => {
  const delivery = await open(t);
  const reader = new TestReader();
  await delivery.subscribe(reader, { "room/1": undefined, "room/2": undefined });
  await growTo(delivery, tellEvery - 1);
  assert.deepEqual(reader.frames, []);
  await growTo(delivery, tellEvery);
  const position = `1-0-${tellEvery}`;
  assert.deepEqual(reader.frames, [
    { type: "positions", positions: { "room/1": position } },
    { type: "positions", positions: { "room/2": position } },
  ]);
});

test("whoever has heard an entry since is told so many places after it", async (t) => {
  const delivery = await open(t);
  const reader = new TestReader();
  await delivery.subscribe(reader, { "room/1": undefined });
  await delivery.say("room/1", "news");
  await growTo(delivery, tellEvery);
  assert.deepEqual(heard(reader), ["news"]);
  await growTo(delivery, 2 * tellEvery);
  assert.deepEqual(reader.frames[1], {
    type: "positions",
    positions: { "room/1": `1-0-${2 * tellEvery}` },
  });
});

test("whoever is ahead of this gateway is not told that they are back where it is", async (t) => {
  const delivery = await open(t);
  const [ahead, level, beyond] = [new TestReader(), new TestReader(), new TestReader()];
  for (const [reader, at] of [
    [ahead, tellEvery + 1],
    [level, tellEvery],
    [beyond, 3 * tellEvery],
  ] as const) {
    const subscription = delivery.hub.join("room/1", reader, at);
    delivery.catchUp.begin(subscription, { limited: false, entries: [], bytes: 0, from: at });
  }
  await growTo(delivery, tellEvery);
  assert.deepEqual([ahead.frames, level.frames.length, beyond.frames], [[], 1, []]);
  await growTo(delivery, 2 * tellEvery);
  assert.deepEqual([ahead.frames.length, level.frames.length, beyond.frames], [1, 2, []]);
});

test("whoever is behind, or takes nothing, is not told that nothing happened", async (t) => {
  const delivery = await open(t);
  const [behind, full] = [new TestReader(), new TestReader({ unsentMax: 0 })];
  delivery.hub.join("room/1", behind);
  await delivery.subscribe(full, { "room/1": undefined });
  full.stall();
  full.write(Buffer.alloc(1));
  await growTo(delivery, tellEvery);
  assert.deepEqual([behind.frames, full.unsent?.length], [[], 1]);
});

test("whoever resumes after a redaction gets the tombstone from the ring, not the words", async (t) => {
  const { eventlog, say, subscribe, hub } = await open(t);
  const live = new TestReader();
  await subscribe(live, { "room/1": undefined });
  await say("room/1", "before", "secret words", "after");
  await settled();
  const said = live.frames.find((frame) => frame.type === "entry" && frame.entry.data === "secret words");
  assert.ok(said?.type === "entry");
  const { id } = said.entry;
  await eventlog.redact([{ id, topic: "room/1" }], "erasure");
  await settled();
  assert.equal(hub.ringOf("room/1").size, 4, "the ring has all of it");
  const later = new TestReader();
  await subscribe(later, { "room/1": "1-0-0" });
  const notice = { entry_ids: [id], reason: "erasure" };
  assert.deepEqual(heard(later), ["before", { redacted: true }, "after", notice]);
  assert.deepEqual(heard(live), ["before", "secret words", "after", notice]);
});

test("what waits to be written when it is redacted is not written any more", async (t) => {
  const { eventlog, say, subscribe } = await open(t);
  setNow(t, () => 1_000);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const reader = new TestReader();
  await subscribe(reader, { "room/1": undefined });
  await say("room/1", "at once");
  await settled();
  const id = uuidv7();
  const secret = { id, topic: "room/1", type: "said", actor: "system", data: jsonText("secret words") };
  await eventlog.append([secret]);
  await settled();
  assert.deepEqual(heard(reader), ["at once"], "the window has not ended");
  await eventlog.redact([{ id, topic: "room/1" }], "erasure");
  await settled();
  t.mock.timers.tick(20);
  const notice = { entry_ids: [id], reason: "erasure" };
  assert.deepEqual(heard(reader), ["at once", { redacted: true }, notice]);
});

test("an entry of other topics' kinds, or of a type of no client's, is not pushed", async (t) => {
  const { append, subscribe } = await open(t);
  const reader = new TestReader();
  await subscribe(reader, { "room/1": undefined, "inbox/1": undefined });
  await append("inbox/1", "not a kind");
  await append("room/1", "not a type", "unheard");
  await append("room/1", "news");
  await settled();
  assert.deepEqual(heard(reader), ["news"]);
});

/** Kinds of which `revokes` cannot digest what a later version writes. */
const brittle: HubOptions["kinds"] = new Map([
  [
    "room",
    {
      entries: { said: Type.Unknown(), "member.removed": Type.Unknown() },
      revokes: {
        "member.removed": (data: unknown) => (data as { user_ids: readonly number[] }).user_ids.map(Number),
      },
    },
  ],
]);

for (const [what, faulty] of Object.entries({
  "whom it takes the topic from": {
    kinds: brittle,
    entry: { topic: "room/2", type: "member.removed", data: { user_id: 3 } },
  },
  "what it means": {
    onEntry: ({ topic, data }: { topic: string; data: string }) => {
      if (topic === "room/2" && data === '"odd"') throw new TypeError("not understood");
    },
    entry: { topic: "room/2", type: "said", data: "odd" },
  },
})) {
  test(`an entry of which nobody can tell ${what} costs its topic's readers the topic, and nobody else anything`, async (t) => {
    const faults: string[] = [];
    const { entry, ...options } = faulty;
    const { eventlog, subscribe, say, lost } = await open(t, {
      ...options,
      onFault: (error, { topic, offset }) => faults.push(`${topic} ${offset} ${(error as Error).name}`),
    });
    const [one, both] = [new TestReader(), new TestReader()];
    await subscribe(one, { "room/1": undefined });
    await subscribe(both, { "room/1": undefined, "room/2": undefined });
    const of = (topic: string, data: unknown, type = "said") => ({
      id: uuidv7(),
      topic,
      type,
      actor: "system",
      data: jsonText(data),
    });
    await eventlog.append([
      of("room/1", 1),
      of(entry.topic, entry.data, entry.type),
      of("room/1", 2),
      of("room/2", "later"),
      of("room/1", 3),
    ]);
    await settled();
    await say("room/2", "later still");
    await settled();
    assert.deepEqual(faults, ["room/2 2 TypeError"]);
    assert.deepEqual(heard(one), [1, 2, 3]);
    assert.deepEqual(heard(both), ["removed@1-0-2", 1, 2, 3]);
    assert.deepEqual([lost, [...both.subscriptions.keys()]], [[], ["room/1"]]);
    await subscribe(both, { "room/2": undefined });
    await say("room/2", "again");
    await settled();
    assert.equal(heard(both).at(-1), "again", "whoever may read the topic asks for it again");
  });
}

test("whoever resumes from before an entry that could not be taken in is told that they missed something", async (t) => {
  let faults = 1;
  const { say, subscribe } = await open(t, {
    onEntry: ({ data }) => {
      if (data === '"odd"' && faults-- > 0) throw new TypeError("not understood");
    },
  });
  await say("room/1", "before", "odd", "after");
  await settled();
  const reader = new TestReader();
  const { topics } = await subscribe(reader, { "room/1": "1-0-0" });
  // Either limited, or all three.
  assert.ok(topics["room/1"]?.limited === true || heard(reader).length === 3, String(heard(reader)));
});
