import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  type DeliveryOptions,
  HeldLog,
  heard,
  openDelivery,
  settled,
  skipWindows,
} from "./delivery.fixture.ts";
import { TestReader } from "./reader.fixture.ts";
import { lateCheckEveryMs } from "./tail.ts";

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
  t.mock.method(performance, "now", () => nowMs);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  return async (ms) => {
    nowMs += ms;
    t.mock.timers.tick(ms);
    await settled();
  };
}

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
