import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { limits } from "../../protocol/limits.ts";
import { murmur2, partitionOf } from "./murmur2.ts";

/** What Kafka's own tests expect of `Utils.murmur2`. */
const published: readonly (readonly [string, number])[] = [
  ["21", -973932308],
  ["foobar", -790332482],
  ["a-little-bit-long-string", -985981536],
  ["a-little-bit-longer-string", -1486304829],
  ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
  ["abc", 479470107],
];

for (const [text, hash] of published) {
  test(`murmur2 of "${text}" is Kafka's`, () => {
    assert.equal(murmur2(Buffer.from(text)), hash);
    assert.equal(partitionOf(text, 16), (hash & 0x7fffffff) % 16);
  });
}

test("a topic's partition is that of its UTF-8 bytes, however long it is and whatever it holds", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: "binary", maxLength: 60 }),
        // Around the length where the bytes no longer fit the scratch buffer: units of 1, 2, 3 and 4 bytes.
        fc
          .tuple(fc.constantFrom("a", "ж", "中", "😀"), fc.integer({ min: 240, max: 1_100 }))
          .map(([unit, count]) => unit.repeat(count)),
      ),
      fc.integer({ min: 1, max: 256 }),
      (topic, partitions) => {
        const expected = (murmur2(Buffer.from(topic)) & 0x7fffffff) % partitions;
        assert.equal(partitionOf(topic, partitions), expected);
      },
    ),
  );
});

test("the bytes left over after the last four all count", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 40 }),
      fc.nat(39),
      fc.integer({ min: 1, max: 255 }),
      (bytes, at, change) => {
        const other = Uint8Array.from(bytes);
        other[at % bytes.length] = (other[at % bytes.length] ?? 0) ^ change;
        // The hash is a bijection of each word of four bytes, so that one changed byte always changes it.
        assert.notEqual(murmur2(other), murmur2(bytes));
      },
    ),
  );
});

test("topics such as ours spread over the partitions about evenly", () => {
  const partitions = 16;
  const perPartition = 1_000;
  for (const kind of ["room", "user", "contact/3"]) {
    const counts = Array.from({ length: partitions }, () => 0);
    for (let i = 0; i < partitions * perPartition; i++) {
      const partition = partitionOf(`${kind}/${i}`, partitions);
      counts[partition] = (counts[partition] ?? 0) + 1;
    }
    for (const count of counts) {
      assert.ok(Math.abs(count - perPartition) < perPartition * 0.15, `${kind}: ${counts.join(" ")}`);
    }
  }
});

test("the longest topic that is allowed has a partition", () => {
  const topic = "中".repeat(limits.topicLength);
  assert.equal(partitionOf(topic, 16), (murmur2(Buffer.from(topic)) & 0x7fffffff) % 16);
});
