import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Ring } from "./ring.ts";

const bounds = { entriesMax: 5, bytesMax: 1_000 };
const entry = (topic: string, bytes = 10) => ({ topic, id: topic, frame: Buffer.alloc(bytes) });
const offsets = (found: readonly { offset: number }[] | undefined) => found?.map(({ offset }) => offset);

test("a ring holds its bound of entries, and the next one pushes the oldest out", () => {
  const ring = new Ring(0, bounds);
  for (let offset = 1; offset <= 5; offset++) ring.add(offset, entry("a"));
  assert.deepEqual([ring.size, ring.start], [5, 1]);
  ring.add(6, entry("a"));
  assert.deepEqual([ring.size, ring.start, ring.head], [5, 2, 6]);
  assert.deepEqual(offsets(ring.missed("a", 0, 10)), [2, 3, 4, 5, 6]);
});

test("a ring holds its bound of bytes, but always the newest entry", () => {
  const ring = new Ring(0, bounds);
  ring.add(1, entry("a", 500));
  ring.add(2, entry("b", 500));
  assert.equal(ring.size, 2);
  ring.add(3, entry("c", 1));
  assert.deepEqual([ring.size, ring.bytes, ring.start], [2, 501, 2]);
  ring.add(4, entry("d", 5_000));
  assert.deepEqual([ring.size, ring.bytes, ring.start], [1, 5_000, 4]);
});

test("what is missed beyond the bound is not counted on", () => {
  const ring = new Ring(0, bounds);
  for (let offset = 1; offset <= 4; offset++) ring.add(offset, entry("a"));
  assert.deepEqual(offsets(ring.missed("a", 1, 3)), [2, 3, 4]);
  assert.equal(ring.missed("a", 0, 3), undefined);
});

test("offsets that are not pushed move the head and leave the start where it is", () => {
  const ring = new Ring(7, bounds);
  ring.advance(20);
  assert.deepEqual([ring.start, ring.head, ring.size], [8, 20, 0]);
  ring.advance(3);
  assert.equal(ring.head, 20);
  assert.deepEqual(ring.missed("a", 7, 10), []);
});

test("a frame that is replaced is what readers get from then on, and its bytes are counted", () => {
  const ring = new Ring(0, bounds);
  ring.add(1, { topic: "a", id: "one", frame: Buffer.from("secret") });
  ring.add(2, { topic: "a", id: "two", frame: Buffer.from("said") });
  ring.replace("a", "one", () => Buffer.from("-"));
  ring.replace("a", "three", () => assert.fail("there is none"));
  assert.deepEqual(
    ring.missed("a", 0, 10)?.map(({ frame }) => frame.toString()),
    ["-", "said"],
  );
  assert.equal(ring.bytes, 5);
});

test("whatever is added, each topic's entries from the start on are found, in order and without a hole", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          topic: fc.constantFrom("a", "b", "c"),
          gap: fc.nat(3),
          bytes: fc.integer({ min: 1, max: 400 }),
        }),
      ),
      fc.nat(60),
      (added, after) => {
        const ring = new Ring(0, bounds);
        const all: { offset: number; topic: string }[] = [];
        let offset = 0;
        for (const { topic, gap, bytes } of added) {
          offset += 1 + gap;
          ring.add(offset, entry(topic, bytes));
          all.push({ offset, topic });
        }
        const from = Math.max(after, ring.start - 1);
        for (const topic of ["a", "b", "c"]) {
          const expected = all
            .filter((one) => one.topic === topic && one.offset > from)
            .map((one) => one.offset);
          assert.deepEqual(offsets(ring.missed(topic, from, 1_000)), expected);
        }
        assert.ok(ring.size <= bounds.entriesMax && (ring.bytes <= bounds.bytesMax || ring.size === 1));
      },
    ),
  );
});
