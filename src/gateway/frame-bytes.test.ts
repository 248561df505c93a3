import assert from "node:assert/strict";
import { test } from "node:test";
import { frameText, textFrame } from "./frame-bytes.ts";
import { textsOf } from "./reader.fixture.ts";

test("a frame's header tells the length of its text at every boundary of the format", () => {
  for (const length of [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]) {
    const text = "x".repeat(length);
    const frame = textFrame(text);
    assert.equal(frame[0], 0x81, "final, text");
    assert.equal((frame[1] ?? 0) & 0x80, 0, "a server masks nothing");
    assert.deepEqual(textsOf(frame), [text], `${length} bytes`);
    assert.equal(frameText(frame).toString(), text);
  }
});

test("the length is counted in bytes of UTF-8, and frames that follow on each other stay apart", () => {
  const texts = ["Привет, мир!", "😀".repeat(40), "", "ё".repeat(63)];
  assert.deepEqual(textsOf(Buffer.concat(texts.map(textFrame))), texts);
});
