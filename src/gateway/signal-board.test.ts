import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { SignalFrame } from "../../protocol/frames.ts";
import { Channel } from "./channel.ts";
import { nativeFrames } from "./encodings.ts";
import { TestReader } from "./reader.fixture.ts";
import { SignalBoard, pendingSignalsMax } from "./signal-board.ts";

function open(t: TestContext) {
  const channel = new Channel({ topic: "room/1", partition: 0, encoding: nativeFrames, head: 0 });
  const reader = new TestReader();
  channel.join(reader, 0).loading = false;
  const board = new SignalBoard((topic) => (topic === "room/1" ? [channel] : []));
  t.after(() => board.stop());
  const post = (key: string, data: unknown): void =>
    board.post({ topic: "room/1", name: "typing", key, data });
  const heard = (): string[] =>
    (reader.frames as SignalFrame[]).map(({ key, data }) => `${key} ${JSON.stringify(data)}`);
  return { board, channel, reader, post, heard };
}

test("the first signal is told at once, and of those that follow in the window only the newest", (t) => {
  const { board, post, heard } = open(t);
  post("1", true);
  post("2", true);
  assert.deepEqual(heard(), ["1 true", "2 true"]);
  for (const data of [false, true, false]) post("1", data);
  assert.equal(heard().length, 2);
  board.turn();
  assert.deepEqual(heard().slice(2), ["1 false"]);
  board.turn();
  post("1", true);
  assert.deepEqual(heard().slice(3), ["1 true"]);
});

test("a signal that nobody reads is forgotten at once", (t) => {
  const { board, reader } = open(t);
  for (let i = 0; i < 3; i++) board.post({ topic: "room/2", name: "typing", key: "1", data: i });
  board.turn();
  assert.deepEqual(reader.frames, []);
});

test("so many signals wait and not one more; those that wait may still be replaced", (t) => {
  const { board, post, heard } = open(t);
  for (let i = 0; i <= pendingSignalsMax; i++) post(String(i), "first");
  for (let i = 0; i <= pendingSignalsMax; i++) post(String(i), "second");
  const before = heard().length;
  post("0", "third");
  board.turn();
  const told = heard().slice(before);
  assert.equal(told.length, pendingSignalsMax);
  assert.equal(told[0], '0 "third"');
});

test("whoever is still being told what they missed hears no signals", (t) => {
  const { channel, post } = open(t);
  const late = new TestReader();
  channel.join(late, 0);
  post("1", true);
  assert.deepEqual(late.frames, []);
});
