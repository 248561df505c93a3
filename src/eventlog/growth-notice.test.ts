import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Entry, type JsonText, jsonText } from "./eventlog.ts";
import { noticeBytesMax, noticeText, readNotice } from "./growth-notice.ts";

const node = "01a1ff3d-b05f-7000-a638-afe729cba7aa";

function entry(offset: number, data: JsonText, trace?: string): Entry {
  const id = "01a1ff40-35c8-7016-aa66-a89c5c5c8740";
  const told = { topic: "room/1", type: "said", time: 1_795_000_000_000, actor: "user:1" };
  return { id, partition: 3, offset, ...told, data, trace };
}

test("a notice is read as it was written, whatever its entries hold", () => {
  const data = fc.oneof(
    fc.constantFrom("Привет 👋", "\u0000", "\ud800", 'quotes " and \\', "", "a b c"),
    fc.string(),
  );
  fc.assert(
    fc.property(
      fc.array(data, { maxLength: 5 }),
      fc.option(fc.string(), { nil: undefined }),
      (texts, trace) => {
        const entries = texts.map((text, i) => entry(i + 1, jsonText({ text }), trace));
        const notice = { node, generation: 7, growth: [{ partition: 3, head: 9 }], entries };
        assert.deepEqual(readNotice(noticeText(notice)), notice);
      },
    ),
  );
});

test("entries that do not fit are left out, and the heads are told", () => {
  const growth = Array.from({ length: 256 }, (_, partition) => ({
    partition,
    head: Number.MAX_SAFE_INTEGER - partition,
  }));
  const fits = (characters: number): boolean => {
    const text = noticeText({
      node,
      generation: 7,
      growth,
      entries: [entry(1, jsonText("я".repeat(characters)))],
    });
    assert.ok(Buffer.byteLength(text) <= noticeBytesMax);
    assert.deepEqual(readNotice(text)?.growth, growth);
    return readNotice(text)?.entries.length === 1;
  };
  assert.equal(fits(100), true);
  assert.equal(fits(5_000), false);
  const few = { partition: 0, head: 1 };
  const room =
    noticeBytesMax -
    Buffer.byteLength(noticeText({ node, generation: 7, growth: [few], entries: [entry(1, jsonText(""))] }));
  const length = (bytes: number): number =>
    Buffer.byteLength(
      noticeText({ node, generation: 7, growth: [few], entries: [entry(1, jsonText("x".repeat(bytes)))] }),
    );
  assert.equal(length(room), noticeBytesMax);
  assert.ok(length(room + 1) < 100);
});

test("what is no notice is none, and entries that cannot be read are left out", () => {
  for (const text of ["", node, `${node} x:y`, `${node} 1`, `${node} 1:1.5`]) {
    assert.equal(readNotice(text), undefined, text);
  }
  for (const rest of ["[[", "5", "{}", "[1]", '[{"x":1}]']) {
    assert.deepEqual(readNotice(`${node} 1:5 7 ${rest}`)?.growth, [{ partition: 1, head: 5 }]);
    assert.deepEqual(readNotice(`${node} 1:5 7 ${rest}`)?.entries, []);
  }
});
