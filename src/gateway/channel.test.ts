import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Channel, flushWindowMaxMs, pendingBytesMax } from "./channel.ts";
import { nativeFrames } from "./encodings.ts";
import { textFrame } from "./frame-bytes.ts";
import { TestReader, textsOf } from "./reader.fixture.ts";
import type { Pushed } from "./ring.ts";
import { setNow } from "./delivery.fixture.ts";

/** A reader that keeps the texts that it is sent, one write a list. */
class Listener extends TestReader {
  readonly writes: string[][] = [];

  override write(bytes: Buffer): void {
    this.writes.push(textsOf(bytes));
  }
}

const pushed = (offset: number, text: string): Pushed => ({
  offset,
  topic: "room/1",
  id: String(offset),
  frame: textFrame(text),
  older: undefined,
  newer: undefined,
});

function mockTimers(t: TestContext): void {
  setNow(t, () => 1_000);
  t.mock.timers.enable({ apis: ["setTimeout"] });
}

/** A channel with so many live readers, to whom an entry has just been written. */
function open(count: number) {
  const channel = new Channel({ topic: "room/1", partition: 0, encoding: nativeFrames, head: 0 });
  const readers = Array.from({ length: count }, () => new Listener());
  for (const reader of readers) Object.assign(channel.join(reader, 0), { behind: false, loading: false });
  channel.add(pushed(1, "first"));
  channel.settle(1_000);
  for (const { writes } of readers) assert.deepEqual(writes.splice(0), [["first"]]);
  return { channel, readers, reader: readers[0] ?? new Listener() };
}

test("entries that follow soon wait for the end of a window, and are written together", (t) => {
  mockTimers(t);
  const { channel, reader } = open(1_000);
  for (const [offset, text] of [
    [2, "second"],
    [3, "third"],
  ] as const) {
    channel.add(pushed(offset, text));
    channel.settle(1_000);
  }
  t.mock.timers.tick(flushWindowMaxMs - 1);
  assert.deepEqual(reader.writes, []);
  t.mock.timers.tick(1);
  assert.deepEqual(reader.writes, [["second", "third"]]);
});

test("so many bytes wait for the window's end and not one more", (t) => {
  mockTimers(t);
  const header = textFrame("x".repeat(60_000)).length - 60_000;
  const text = "x".repeat(pendingBytesMax - header - textFrame("").length);
  for (const [more, writes] of [
    ["", 0],
    ["x", 1],
  ] as const) {
    const { channel, reader } = open(1_000);
    channel.add(pushed(2, ""));
    channel.add(pushed(3, `${text}${more}`));
    channel.settle(1_000);
    assert.equal(reader.writes.length, writes);
    t.mock.timers.tick(flushWindowMaxMs);
    assert.deepEqual(reader.writes, [["", `${text}${more}`]]);
    channel.add(pushed(4, "the bytes of before count no longer"));
    channel.settle(performance.now());
    assert.equal(reader.writes.length, 1);
  }
});

test("a topic with few readers waits less, and one that was silent not at all", (t) => {
  mockTimers(t);
  const { channel, reader } = open(10);
  channel.add(pushed(2, "second"));
  channel.settle(1_000.9);
  assert.deepEqual(reader.writes, []);
  channel.settle(1_001);
  assert.deepEqual(reader.writes, [["second"]]);
  channel.add(pushed(3, "third"));
  channel.settle(1_002);
  assert.deepEqual(reader.writes.at(-1), ["third"]);
});

test("what waits is let go of with the last reader", (t) => {
  mockTimers(t);
  const { channel, reader } = open(1);
  const [subscription] = channel.subscriptions;
  channel.add(pushed(2, "second"));
  channel.settle(1_000);
  assert.ok(subscription !== undefined && channel.hasPending);
  channel.leave(subscription);
  assert.equal(channel.hasPending, false);
  t.mock.timers.tick(flushWindowMaxMs);
  assert.deepEqual(reader.writes, []);
});

test("a reader who is full gets none of what waits, and all of it is behind them", (t) => {
  mockTimers(t);
  const { channel, readers } = open(2);
  const [full, takes] = readers;
  Object.defineProperty(full, "full", { value: true });
  channel.add(pushed(5, "second"));
  channel.settle(2_000);
  const [subscription] = channel.subscriptions;
  assert.deepEqual([full?.writes, takes?.writes], [[], [["second"]]]);
  assert.deepEqual([subscription?.behind, subscription?.at, full?.lagging], [true, 4, true]);
});
