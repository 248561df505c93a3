import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  type DeliveryOptions,
  HeldLog,
  heard,
  openDelivery,
  settled,
  skipWindows,
  setNow,
} from "./delivery.fixture.ts";
import { TestReader } from "./reader.fixture.ts";
import { lateCheckEveryMs, reachWithinMs } from "./tail.ts";

const old = Array.from({ length: 10 }, (_, i) => `old${i + 1}`);
const fresh = Array.from({ length: 7 }, (_, i) => `new${i + 6}`);

/** A reader of `room/1` in the only partition of a log, and what becomes of both. */
async function open(
  t: TestContext,
  eventlog: HeldLog = new HeldLog(),
  options: Partial<DeliveryOptions<HeldLog>> = {},
) {
  skipWindows(t);
  const delivery = await openDelivery({ eventlog, ...options });
  t.after(() => delivery.close());
  const reader = new TestReader();
  await delivery.subscribe(reader, { "room/1": undefined });
  const say = async (...texts: readonly string[]): Promise<void> => {
    await delivery.say("room/1", ...texts);
    await settled();
  };
  return { ...delivery, reader, say };
}

/** The clock that late notices are looked into by, and the timers. */
function mockTime(t: TestContext): (ms: number) => Promise<void> {
  let nowMs = 5_000;
  setNow(t, () => nowMs);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  return async (ms) => {
    nowMs += ms;
    t.mock.timers.tick(ms);
    await settled();
  };
}

test("what was being read while a loss was found counts no longer", async (t) => {
  const { eventlog, reader, say, lost } = await open(t);
  await say(...old);
  const answer = eventlog.holdNextRead();
  await say("old11", "old12");
  eventlog.loseAfter(0, 5);
  await settled();
  answer();
  await say(...fresh);
  assert.deepEqual(lost, [5]);
  assert.deepEqual(heard(reader), [...old, "limited@2-0-5", ...fresh]);
});

test("a loss is found after others have appended more than was lost", async (t) => {
  const { eventlog, reader, say, lost } = await open(t);
  await say(...old);
  const answer = eventlog.holdNextHeads("of then");
  eventlog.loseAfter(0, 5);
  await say(...fresh);
  answer();
  await settled();
  await say("new13");
  assert.deepEqual(lost, [12]);
  assert.deepEqual(heard(reader), [...old, "limited@2-0-12", "new13"]);
});

test("a log that has lost nothing goes on as if nobody had asked", async (t) => {
  const { eventlog, reader, say, lost } = await open(t);
  await say(...old);
  eventlog.doubt();
  await say("old11");
  assert.deepEqual([lost, eventlog.generation], [[], 1]);
  assert.deepEqual(heard(reader), [...old, "old11"]);
});

test("a generation that somebody else began tells everybody in all partitions that they missed something", async (t) => {
  const delivery = await openDelivery({ eventlog: new HeldLog({ partitions: 2 }) });
  t.after(() => delivery.close());
  const { eventlog, hub } = delivery;
  const reader = new TestReader();
  const topics = ["room/1", "room/2", "room/3", "room/4", "room/5"];
  await delivery.subscribe(reader, Object.fromEntries(topics.map((topic) => [topic, undefined])));
  for (const topic of topics) await delivery.say(topic, "old");
  await settled();
  reader.frames.length = 0;
  await eventlog.beginGeneration();
  const heads = await eventlog.heads();
  eventlog.doubt();
  await settled();
  const places = new Map<string, string>();
  for (const frame of reader.frames) {
    assert.ok(frame.type === "limited" && !places.has(frame.topic));
    places.set(frame.topic, frame.position);
  }
  const partitions = new Set<number>();
  for (const topic of topics) {
    const { partition } = reader.subscriptions.get(topic)?.channel ?? { partition: -1 };
    partitions.add(partition);
    assert.equal(places.get(topic), `2-${partition}-${heads[partition]}`);
  }
  assert.deepEqual([partitions.size, places.size], [2, topics.length]);
  assert.deepEqual([delivery.tail.generation, eventlog.generation], [2, 2], "and nobody begins another");
  assert.equal(hub.ringOf("room/1").size, 0);
});

test("entries that could not be pushed are lost to their readers, who are told, and the next ones come", async (t) => {
  let faults = 0;
  const { reader, say, lost, subscribe } = await open(t, new HeldLog(), {
    takeBy: (hub) => ({
      take: (...args) => {
        if (args[1][0]?.offset === 1 && faults++ < 20) throw new Error("an encoding fails");
        hub.take(...args);
      },
    }),
  });
  await say("old1", "old2");
  await say("old3");
  assert.deepEqual([lost, faults], [[2], 1], "what failed once is not tried again");
  assert.deepEqual(heard(reader), ["limited@1-0-2", "old3"]);
  const later = new TestReader();
  await subscribe(later, { "room/1": "1-0-0" });
  assert.deepEqual(heard(later), ["old1", "old2", "old3"], "the ring does not claim to have them");
});

test("entries that retention removed before they were pushed are lost to their readers, who are told", async (t) => {
  const { eventlog, reader, say, lost } = await open(t);
  await say("old1", "old2");
  const answer = eventlog.holdNextHeads("of then");
  eventlog.doubt();
  await say("old3", "old4", "old5");
  eventlog.expire(0, 5);
  answer();
  await settled();
  assert.deepEqual(heard(reader), ["old1", "old2", "limited@1-0-5"]);
  await say("old6");
  assert.deepEqual(lost, [5]);
  assert.deepEqual(heard(reader).slice(3), ["old6"]);
});

test("nothing is read as long as nobody knows whether the log is what it was", async (t) => {
  const { eventlog, reader, say } = await open(t);
  await say(...old);
  const answer = eventlog.holdNextHeads("of then");
  eventlog.doubt();
  const before = eventlog.readsAfter.length;
  await say("old11");
  assert.deepEqual([eventlog.readsAfter.length - before, heard(reader)], [0, old]);
  answer();
  await settled();
  assert.deepEqual(heard(reader), [...old, "old11"]);
});

test("whether the log is what it was is asked until there is an answer", async (t) => {
  const { eventlog, say, reader, lost } = await open(t);
  const pass = mockTime(t);
  await say(...old);
  eventlog.failures = 3;
  eventlog.loseAfter(0, 5);
  for (let i = 0; i < 3; i++) {
    await settled();
    assert.deepEqual(lost, []);
    await pass(2_000);
  }
  assert.deepEqual(lost, [5]);
  assert.deepEqual(heard(reader), [...old, "limited@2-0-5"]);
});

/** What a tail may be in the middle of: each brings it there. What it returns lets the log answer. */
const underWay: Readonly<Record<string, (log: HeldLog, say: (text: string) => Promise<void>) => unknown>> = {
  "a read": async (log, say) => {
    const answer = log.holdNextRead();
    await say("more");
    return answer;
  },
  "the question whether the log is what it was": (log) => {
    const answer = log.holdNextHeads("of then");
    log.loseAfter(0, 1);
    return answer;
  },
  "the pause before that is asked again": async (log) => {
    log.failures = Number.MAX_SAFE_INTEGER;
    log.loseAfter(0, 1);
    await settled();
  },
  "the pause before it is read again": async (log, say) => {
    log.failures = Number.MAX_SAFE_INTEGER;
    log.doubt();
    await say("more");
  },
  "the pause before a late notice is looked into": async (log) => {
    log.notice(0, 1);
    await settled();
    log.notice(0, 1);
  },
  "the look into a late notice": (log) => {
    const answer = log.holdNextHeads("of now");
    log.notice(0, 1);
    return answer;
  },
};

for (const [what, begin] of Object.entries(underWay)) {
  test(`whoever stops waits for ${what}, and asks the log nothing afterwards`, async (t) => {
    const { eventlog, tail, reader, say } = await open(t);
    mockTime(t);
    await say("old1", "old2");
    const answer: unknown = await begin(eventlog, say);
    let stopped = false;
    const stopping = tail.stop().then(() => (stopped = true));
    await settled();
    assert.equal(stopped, answer === undefined, "what is asked is waited for, pauses are not");
    if (typeof answer === "function") answer();
    await stopping;
    const { length } = reader.frames;
    const asked = [eventlog.timesAsked, eventlog.readsAfter.length];
    await say("too late");
    eventlog.loseAfter(0, 0);
    eventlog.notice(0, 0);
    await settled();
    assert.deepEqual([eventlog.timesAsked, eventlog.readsAfter.length], asked);
    assert.equal(reader.frames.length, length);
  });
}

test("what is appended while a loss is looked at is pushed, although its notice seemed to be late", async (t) => {
  const { eventlog, reader, say } = await open(t);
  const pass = mockTime(t);
  await say(...old);
  // Late notices are looked into only in a second.
  for (let notices = 0; notices < 2; notices++) {
    eventlog.notice(0, 1);
    await settled();
  }
  const heads = eventlog.heads.bind(eventlog);
  let times = 0;
  // The second time the new generation has begun: its heads are those that everybody is told.
  t.mock.method(eventlog, "heads", async () => {
    const answer = await heads();
    if (++times === 2) await say("new6");
    return answer;
  });
  eventlog.loseAfter(0, 5);
  // Less than the look into late notices is away, and enough for what waits to be written together.
  for (let turns = 0; turns < 5; turns++) await pass(25);
  assert.ok(times >= 2);
  assert.deepEqual(heard(reader), [...old, "limited@2-0-5", "new6"]);
});

test("the one notice of a loss is looked into, however soon it comes after one that was merely late", async (t) => {
  const { eventlog, reader, say, lost } = await open(t, new HeldLog({ doubts: false }));
  const pass = mockTime(t);
  await say(...old);
  eventlog.notice(0, 9);
  await settled();
  eventlog.loseAfter(0, 5);
  eventlog.notice(0, 5);
  const { timesAsked } = eventlog;
  await pass(lateCheckEveryMs - 1);
  assert.deepEqual([lost, eventlog.timesAsked - timesAsked], [[], 0], "notices are many, and each would ask");
  await pass(1);
  await say(...fresh);
  assert.deepEqual(lost, [5]);
  assert.deepEqual(heard(reader), [...old, "limited@2-0-5", ...fresh]);
});

test("a notice that comes while an older one is looked into is looked into as well", async (t) => {
  const { eventlog, say, lost } = await open(t, new HeldLog({ doubts: false }));
  const pass = mockTime(t);
  await say(...old);
  const answer = eventlog.holdNextHeads("of now");
  eventlog.notice(0, 9);
  await settled();
  eventlog.loseAfter(0, 5);
  eventlog.notice(0, 5);
  answer();
  await settled();
  assert.deepEqual(lost, [], "the answer was that of before the loss");
  await pass(lateCheckEveryMs);
  assert.deepEqual(lost, [5]);
});

test("who waits for what the log holds goes on when it has been read, and asks for it", async (t) => {
  const { eventlog, tail, say } = await open(t);
  await say(...old);
  let reached = 0;
  const reach = (offset: number): Promise<void> =>
    tail.reach(new Map([[0, offset]])).then(() => void reached++);
  await reach(10);
  const answer = eventlog.holdNextRead();
  await say("old11");
  void reach(11);
  void reach(10);
  await settled();
  assert.equal(reached, 2);
  answer();
  await settled();
  assert.equal(reached, 3);
});

test("who waits for what is lost goes on, too", async (t) => {
  const { eventlog, tail, say } = await open(t);
  await say(...old);
  const answer = eventlog.holdNextRead();
  await say("old11", "old12");
  const reached = tail.reach(new Map([[0, 12]]));
  eventlog.loseAfter(0, 5);
  await settled();
  answer();
  await reached;
});

test("who waits for what cannot be read is told so after a while, and not before", async (t) => {
  const tick = mockTime(t);
  const delivery = await openDelivery({ eventlog: new HeldLog() });
  t.after(() => delivery.close());
  const errors: unknown[] = [];
  void delivery.tail.reach(new Map([[0, 1]])).catch((error: unknown) => errors.push(error));
  await tick(reachWithinMs - 1);
  assert.deepEqual(errors, []);
  await tick(1);
  assert.match(String(errors), /newest entries/);
});

test("nobody waits any longer when reading ends", async (t) => {
  const { tail } = await open(t);
  const reached = tail.reach(new Map([[0, 1]]));
  await tail.stop();
  await reached;
});
