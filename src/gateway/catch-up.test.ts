import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { ServerFrame } from "../../protocol/frames.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { jsonText } from "../eventlog/eventlog.ts";
import type { MemoryEventLog } from "../eventlog/memory.ts";
import { partitionOf } from "../eventlog/murmur2.ts";
import { loadsMax, missedEntriesMax, pastBytesMax } from "./catch-up.ts";
import { sliceBytes } from "./slices.ts";
import { openStuck } from "./connection.fixture.ts";
import { unsentBytesMax } from "./connection.ts";
import {
  type Delivery,
  type DeliveryOptions,
  HeldLog,
  heard,
  memoryLog,
  openDelivery,
  settled,
  skipWindows,
} from "./delivery.fixture.ts";
import { entryFrame } from "./frames.ts";
import { pastReadersMax } from "./past.ts";
import { TestReader, textsOf } from "./reader.fixture.ts";

async function open<Log extends MemoryEventLog>(
  t: TestContext,
  options: DeliveryOptions<Log>,
): Promise<Delivery<Log>> {
  skipWindows(t);
  const delivery = await openDelivery(options);
  t.after(() => delivery.close());
  return delivery;
}

/** A ring that forgets everything but the newest entry. */
const smallest = { entriesMax: 1, bytesMax: 1_000_000 };

const texts = (count: number, first = 1): string[] =>
  Array.from({ length: count }, (_, i) => String(first + i));

/** Appends entries of a topic whose frames have so many bytes in all. */
async function fill({ eventlog }: Delivery, topic: string, bytes: number): Promise<void> {
  const each = 250_000;
  const [head = 0] = await eventlog.heads();
  const sample = {
    topic,
    partition: 0,
    id: uuidv7(),
    type: "said",
    time: 0,
    actor: "system",
    trace: undefined,
  };
  const sizes = Array.from({ length: Math.ceil(bytes / each) }, (_, i) => Math.min(each, bytes - i * each));
  await eventlog.append(
    sizes.map((size, i) => {
      const frameOf = (data: ReturnType<typeof jsonText>) =>
        entryFrame({ ...sample, offset: head + i + 1, data }, 1);
      const around = frameOf(jsonText("x".repeat(100_000))).length - 100_000;
      const data = jsonText("x".repeat(size - around));
      assert.equal(frameOf(data).length, size);
      return { id: uuidv7(), topic, type: "said", actor: "system", data };
    }),
  );
  await settled();
}

/** A past that something happens after each look at. */
const thatTakesTime =
  (meanwhile: () => Promise<unknown>): NonNullable<DeliveryOptions<MemoryEventLog>["pastBy"]> =>
  (past) => ({
    turn: (...args) => past.turn(...args),
    read: async (...args) => {
      const found = await past.read(...args);
      await meanwhile();
      await settled();
      return found;
    },
  });

/** Two topics whose past has so many bytes, and a reader that has nothing of it; the ring has none of it either. */
async function openPast(
  t: TestContext,
  first: number,
  second: number,
  meanwhile: (delivery: Delivery) => Promise<unknown> = () => Promise.resolve(),
) {
  const delivery: Delivery = await open(t, {
    eventlog: memoryLog(),
    ring: smallest,
    pastBy: thatTakesTime(() => meanwhile(delivery)),
  });
  await fill(delivery, "room/1", first);
  await fill(delivery, "room/2", second);
  await delivery.say("room/9", "and the ring moves on");
  await settled();
  const reader = new TestReader();
  const prepare = async (...topics: readonly string[]) => {
    const subscriptions = topics.map((topic) => delivery.hub.join(topic, reader, 0));
    const backlogs = await delivery.catchUp.prepare(reader, subscriptions);
    const begin = (): void => {
      for (const [i, one] of subscriptions.entries()) {
        const backlog = backlogs[i];
        if (backlog !== undefined) delivery.catchUp.begin(one, backlog);
      }
    };
    return { begin, limited: backlogs.map(({ limited }) => limited) };
  };
  return { ...delivery, reader, prepare };
}

const half = pastBytesMax / 2;

test("of the past of all topics of a frame so many bytes are held and not one more", async (t) => {
  const fits = await openPast(t, half, half);
  assert.deepEqual((await fits.prepare("room/1", "room/2")).limited, [false, false]);
  const larger = await openPast(t, half, half + 1);
  assert.deepEqual((await larger.prepare("room/1", "room/2")).limited, [false, true]);
});

test("of the past of several frames of one reader so many bytes are held and not one more", async (t) => {
  for (const [bytes, limited] of [
    [half, false],
    [half + 1, true],
  ] as const) {
    const { prepare } = await openPast(t, half, bytes);
    const answers = await Promise.all([prepare("room/1"), prepare("room/2")]);
    assert.deepEqual(
      answers.map((answer) => answer.limited),
      [[false], [limited]],
    );
  }
});

test("what was held is given back when it is sent, and when it is not to be sent", async (t) => {
  const { prepare, reader, hub } = await openPast(t, half, half + 1);
  const first = await prepare("room/1");
  assert.deepEqual((await prepare("room/2")).limited, [true]);
  first.begin();
  const second = await prepare("room/2");
  assert.deepEqual(second.limited, [false], "the first has been sent");
  assert.deepEqual((await prepare("room/1")).limited, [true]);
  for (const { subscriptions } of hub.channelsOf("room/2"))
    for (const one of subscriptions.slice()) hub.leave(one);
  reader.frames.length = 0;
  second.begin();
  assert.deepEqual(reader.frames, [], "the topic was left meanwhile");
  assert.deepEqual((await prepare("room/1")).limited, [false]);
});

test("what the loss of the log's end makes worthless is given back as well", async (t) => {
  const { prepare, catchUp, hub, reader } = await openPast(t, half, half + 1);
  const subscription = hub.join("room/1", reader, 0);
  const [backlog] = await catchUp.prepare(reader, [subscription]);
  assert.ok(backlog !== undefined && !backlog.limited);
  catchUp.skip(subscription);
  const now = catchUp.confirm(subscription, backlog);
  assert.deepEqual([now.limited, now.entries.length], [true, 0]);
  assert.deepEqual((await prepare("room/2")).limited, [false]);
});

test("what the rings then ran ahead of is given back as well", async (t) => {
  let runsAhead = true;
  const { prepare } = await openPast(t, half, half + 1, async ({ say }) => {
    if (runsAhead) await say("room/1", "1", "2", "3");
  });
  assert.deepEqual((await prepare("room/1")).limited, [true]);
  runsAhead = false;
  assert.deepEqual((await prepare("room/2")).limited, [false]);
});

test("one reader's past takes nothing from another's", async (t) => {
  const { prepare, hub, catchUp } = await openPast(t, half, half + 1);
  await prepare("room/1");
  const other = new TestReader();
  const [backlog] = await catchUp.prepare(other, [hub.join("room/2", other, 0)]);
  assert.equal(backlog?.limited, false);
});

test("those who wait for their turn hold nothing, and nobody is limited for having waited", async (t) => {
  let looking = 0;
  let most = 0;
  const { hub, catchUp } = await openPast(t, pastBytesMax, 100_000, async () => {
    most = Math.max(most, ++looking);
    await settled();
    looking--;
  });
  const readers = Array.from({ length: pastReadersMax * 4 }, (_, i) => new TestReader({ userId: i % 3 }));
  const backlogs = await Promise.all(
    readers.map(async (reader) => {
      const subscription = hub.join("room/1", reader, 0);
      const [backlog] = await catchUp.prepare(reader, [subscription]);
      if (backlog !== undefined) catchUp.begin(subscription, backlog);
      return backlog?.limited;
    }),
  );
  assert.deepEqual(new Set(backlogs), new Set([false]));
  assert.equal(most, pastReadersMax);
});

test("whoever is turned away is limited where only the log has what they missed, and nowhere else", async (t) => {
  const { hub, catchUp } = await open(t, {
    eventlog: memoryLog(),
    ring: smallest,
    pastBy: () => ({
      turn: () => Promise.resolve(undefined),
      read: () => assert.fail("nothing is read"),
    }),
  }).then(async (delivery) => {
    await delivery.say("room/1", ...texts(3));
    await settled();
    return delivery;
  });
  const reader = new TestReader();
  const [late, due] = [hub.join("room/1", reader, 0), hub.join("room/2", reader, 2)];
  const backlogs = await catchUp.prepare(reader, [late, due]);
  assert.deepEqual(
    backlogs.map(({ limited }) => limited),
    [true, false],
  );
});

test("so many entries that the ring has are sent and not one more", async (t) => {
  for (const [count, limited] of [
    [missedEntriesMax, false],
    [missedEntriesMax + 1, true],
  ] as const) {
    const delivery = await open(t, { eventlog: memoryLog(), ring: { entriesMax: 10_000, bytesMax: 1e8 } });
    await delivery.say("room/1", ...texts(count));
    await settled();
    const reader = new TestReader();
    const { topics } = await delivery.subscribe(reader, { "room/1": "1-0-0" });
    const expected = limited ? { position: `1-0-${count}`, limited } : { position: "1-0-0" };
    assert.deepEqual(topics, { "room/1": expected });
    assert.deepEqual(heard(reader), limited ? [] : texts(count));
    // The same for somebody who was slow.
    const slow = delivery.hub.join("room/1", reader, 0);
    delivery.catchUp.begin(slow, { limited: false, entries: [], bytes: 0, from: 0 });
    const last = heard(reader).at(-1);
    assert.equal(last, limited ? `limited@1-0-${count}` : String(count));
  }
});

test("so many entries of the past are sent, however often it was looked at, and not one more", async (t) => {
  for (const [more, limited] of [
    [missedEntriesMax - 1_500, false],
    [missedEntriesMax - 1_500 + 1, true],
  ] as const) {
    let looks = 0;
    const delivery: Delivery = await open(t, {
      eventlog: memoryLog(),
      ring: smallest,
      pastBy: thatTakesTime(async () => {
        if (looks++ > 0) return;
        await delivery.say("room/1", ...texts(more, 1_501));
        await delivery.say("room/9", "and the ring moves on");
      }),
    });
    await delivery.say("room/1", ...texts(1_500));
    await delivery.say("room/9", "and the ring moves on");
    await settled();
    const reader = new TestReader();
    const { topics } = await delivery.subscribe(reader, { "room/1": "1-0-0" });
    assert.deepEqual([looks, topics["room/1"]?.limited === true], [2, limited]);
    assert.deepEqual(heard(reader), limited ? [] : texts(1_500 + more));
  }
});

test("the past is looked at so many times while the rings run ahead, and not once more", async (t) => {
  for (const [floods, limited] of [
    [loadsMax - 1, false],
    [loadsMax, true],
  ] as const) {
    let looks = 0;
    const delivery: Delivery = await open(t, {
      eventlog: memoryLog(),
      ring: smallest,
      pastBy: thatTakesTime(async () => {
        if (++looks <= floods) await delivery.say("room/1", ...texts(3, 3 * looks + 1));
      }),
    });
    await delivery.say("room/1", "1", "2", "3");
    await settled();
    const reader = new TestReader();
    const { topics } = await delivery.subscribe(reader, { "room/1": "1-0-0" });
    assert.deepEqual([looks, topics["room/1"]?.limited === true], [loadsMax, limited]);
    assert.deepEqual(heard(reader), limited ? [] : texts(3 * loadsMax));
  }
});

test("at the ring's edge nothing is left out, and nothing is read from the log that the ring has", async (t) => {
  const eventlog = new HeldLog();
  const delivery = await open(t, { eventlog, ring: { entriesMax: 3, bytesMax: 1_000_000 } });
  await delivery.say("room/1", ...texts(10));
  await settled();
  assert.equal(delivery.hub.ringOf("room/1").start, 8);
  for (const [at, reads] of [
    [7, 0],
    [6, 1],
    [5, 1],
  ] as const) {
    eventlog.readsAfter.length = 0;
    const resumes = new TestReader();
    await delivery.subscribe(resumes, { "room/1": `1-0-${at}` });
    assert.deepEqual([heard(resumes), eventlog.readsAfter.length], [texts(10 - at, at + 1), reads]);
    eventlog.readsAfter.length = 0;
    const slow = new TestReader();
    const subscription = delivery.hub.join("room/1", slow, at);
    delivery.catchUp.begin(subscription, { limited: false, entries: [], bytes: 0, from: at });
    await settled();
    assert.deepEqual([heard(slow), eventlog.readsAfter.length], [texts(10 - at, at + 1), reads]);
    assert.equal(subscription.behind, false);
  }
});

test("whoever has left while the past was read for them is sent nothing of it", async (t) => {
  const eventlog = new HeldLog();
  const { say, hub, catchUp } = await open(t, { eventlog, ring: smallest });
  await say("room/1", ...texts(10));
  await settled();
  const reader = new TestReader();
  const subscription = hub.join("room/1", reader, 0);
  const answer = eventlog.holdNextRead();
  const preparing = catchUp.prepare(reader, [subscription]);
  await settled();
  hub.leave(subscription);
  answer();
  const [backlog] = await preparing;
  assert.ok(backlog !== undefined);
  catchUp.begin(subscription, backlog);
  await settled();
  assert.deepEqual(reader.frames, []);
});

test("whoever comes back to what is live hears each entry once, those that came meanwhile too", async (t) => {
  const eventlog = new HeldLog();
  const { say, subscribe } = await open(t, { eventlog, ring: smallest });
  await say("room/1", ...texts(10));
  await settled();
  const reader = new TestReader();
  const answer = eventlog.holdNextRead();
  const subscribing = subscribe(reader, { "room/1": "1-0-0" });
  await settled();
  await say("room/1", ...texts(5, 11));
  await settled();
  assert.deepEqual(reader.frames, []);
  answer();
  await subscribing;
  await say("room/1", ...texts(5, 16));
  await settled();
  assert.deepEqual(heard(reader), texts(20));
});

/** What may wait for one client: the bound, the write that went over it, and what is said without regard to it. */
const waitingMax = unsentBytesMax + sliceBytes;

/** What has come, by topic. Everything was asked for from the beginning, so all of it is there once or `limited`. */
function entriesByTopic(written: readonly Buffer[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const text of written.flatMap(textsOf)) {
    const frame = JSON.parse(text) as ServerFrame;
    if (frame.type !== "entry") assert.fail(`unexpected frame ${frame.type}`);
    const list = found.get(frame.topic) ?? [];
    list.push(String(frame.entry.data).split(" ")[0] ?? "");
    found.set(frame.topic, list);
  }
  return found;
}

/** Entries of 4,000 bytes in each topic, far beyond the ring's bound. */
async function flood({ eventlog }: Delivery, topics: readonly string[], rounds: number): Promise<void> {
  const filling = "x".repeat(4_000);
  for (let round = 1; round <= rounds; round++) {
    const data = jsonText(`${round} ${filling}`);
    await eventlog.append(
      topics.map((topic) => ({ id: uuidv7(), topic, type: "said", actor: "system", data })),
    );
  }
  await settled();
}

/** A client that takes all that waits now and then, and nothing in between. */
async function openStuckReader(t: TestContext, partitions: number, entriesMax = 20) {
  const eventlog = new HeldLog({ partitions });
  const delivery = await open(t, { eventlog, ring: { entriesMax, bytesMax: 4_000_000 } });
  const stuck = openStuck((connection) => delivery.onRoom(connection));
  const { link, connection } = stuck;
  let most = 0;
  const look = (): void => {
    most = Math.max(most, link.unsentBytes);
  };
  return {
    ...delivery,
    ...stuck,
    most: () => most,
    look,
    /** Takes what waits, again and again, until everything has come; answers how often it did. */
    drainAll: async (): Promise<number> => {
      for (let times = 0; times < 1_000; times++) {
        await settled();
        look();
        const isLive = [...connection.subscriptions.values()].every(({ behind }) => !behind);
        if (isLive && link.unsentBytes === 0) return times;
        link.drain();
      }
      return assert.fail("it never has everything");
    },
  };
}

for (const [where, entriesMax] of [
  ["the log", 20],
  ["the ring", 1_000],
] as const) {
  test(`of what ${where} has of one topic so much waits for a client that takes nothing, and the rest comes in order`, async (t) => {
    const stuck = await openStuckReader(t, 1, entriesMax);
    await flood(stuck, ["room/1"], 200);
    await stuck.subscribe(stuck.connection, { "room/1": "1-0-0" });
    await stuck.drainAll();
    assert.ok(stuck.most() > unsentBytesMax && stuck.most() <= waitingMax, `${stuck.most()} bytes waited`);
    assert.deepEqual(entriesByTopic(stuck.link.written), new Map([["room/1", texts(200)]]));
  });
}

test("of what 200 topics missed so much waits for a client that takes nothing, and the rest comes in order", async (t) => {
  const stuck = await openStuckReader(t, 16);
  const topics = Array.from({ length: 200 }, (_, i) => `room/${i}`);
  await stuck.subscribe(stuck.connection, Object.fromEntries(topics.map((topic) => [topic, undefined])));
  stuck.link.write(Buffer.alloc(unsentBytesMax + 1));
  await flood(stuck, topics, 20);
  assert.ok([...stuck.connection.subscriptions.values()].every(({ behind }) => behind));
  stuck.link.written.length = 0;
  stuck.eventlog.readsAfter.length = 0;
  stuck.link.drain();
  const times = await stuck.drainAll();
  const reads = stuck.eventlog.readsAfter.length;
  assert.ok(reads <= 2 * times + 16, `${reads} reads for a client that took something ${times} times`);
  assert.ok(stuck.most() > unsentBytesMax && stuck.most() <= waitingMax, `${stuck.most()} bytes waited`);
  const found = entriesByTopic(stuck.link.written);
  for (const topic of topics) assert.deepEqual(found.get(topic), texts(20), topic);
});

test("of what 64 frames ask for at once so much waits for a client that takes nothing, and the rest comes in order", async (t) => {
  const stuck = await openStuckReader(t, 16);
  const topics = Array.from({ length: 192 }, (_, i) => `room/${i}`);
  await flood(stuck, topics, 20);
  const frames = Array.from({ length: 64 }, (_, i) => topics.slice(i * 3, i * 3 + 3));
  const asked = frames.map((some) =>
    stuck.subscribe(
      stuck.connection,
      Object.fromEntries(some.map((topic) => [topic, `1-${partitionOf(topic, 16)}-0`])),
    ),
  );
  const limited = (await Promise.all(asked)).flatMap((answer) => Object.values(answer.topics));
  stuck.look();
  assert.deepEqual(
    limited.filter((one) => one.limited === true),
    [],
  );
  await stuck.drainAll();
  assert.ok(stuck.most() > unsentBytesMax && stuck.most() <= waitingMax, `${stuck.most()} bytes waited`);
  const found = entriesByTopic(stuck.link.written);
  for (const topic of topics) assert.deepEqual(found.get(topic), texts(20), topic);
});

test("what is redacted while it is held for somebody is not sent to them", async (t) => {
  const { prepare, eventlog, reader, catchUp, hub } = await openPast(t, 100_000, 100_000);
  const subscription = hub.join("room/1", reader, 0);
  const [backlog] = await catchUp.prepare(reader, [subscription]);
  const [entry] = (await eventlog.read(0, 0, 1)).entries;
  assert.ok(backlog !== undefined && entry !== undefined && !backlog.limited);
  await eventlog.redact([{ id: entry.id, topic: entry.topic }], "gone");
  await settled();
  assert.equal(catchUp.confirm(subscription, backlog).limited, true);
  assert.deepEqual((await prepare("room/2")).limited, [false], "other topics are as they were");
});

test("a redaction limits nobody who has nothing of the past waiting", async (t) => {
  const { eventlog, hub, catchUp, say } = await open(t, { eventlog: memoryLog() });
  await say("room/1", "words");
  await settled();
  const reader = new TestReader();
  const subscription = hub.join("room/1", reader);
  const [backlog] = await catchUp.prepare(reader, [subscription]);
  const [entry] = (await eventlog.read(0, 0, 1)).entries;
  assert.ok(entry !== undefined && backlog !== undefined);
  await eventlog.redact([{ id: entry.id, topic: entry.topic }], "gone");
  await settled();
  assert.equal(catchUp.confirm(subscription, backlog).limited, false);
});

test("the log and the ring together bring so many entries and not one more", async (t) => {
  for (const [more, limited] of [
    [0, false],
    [1, true],
  ] as const) {
    const half = missedEntriesMax / 2;
    const { say, hub, catchUp } = await open(t, {
      eventlog: memoryLog(),
      ring: { entriesMax: half, bytesMax: 10_000_000 },
    });
    for (let said = 0; said < missedEntriesMax + more; said += 100) {
      await say("room/1", ...texts(Math.min(100, missedEntriesMax + more - said)));
      await settled();
    }
    const reader = new TestReader();
    const [backlog] = await catchUp.prepare(reader, [hub.join("room/1", reader, 0)]);
    assert.equal(backlog?.limited, limited);
  }
});
