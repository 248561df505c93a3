import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { jsonText } from "./eventlog.ts";
import { OwnedPartitions } from "./runner-partitions.ts";
import { type Slice, halve } from "./runner-slice.ts";

/** A slice of one partition: at each offset an entry, a redaction notice, or something foreign. */
function slice(partition: number, kinds: readonly ("entry" | "notice" | "foreign")[]): Slice {
  const owned = new OwnedPartitions();
  void owned.sync([{ group: "g", partition, epoch: 1, checkpoint: 0 }]);
  owned.takeOver();
  const at = kinds.map((kind, i) => ({ kind, offset: i + 1 }));
  return {
    owned: owned.all[0]!,
    entries: at
      .filter(({ kind }) => kind === "entry")
      .map(({ offset }) => ({
        id: String(offset),
        partition,
        offset,
        topic: "room/1",
        type: "test.happened",
        time: 0,
        actor: "system",
        data: jsonText(offset),
        trace: undefined,
      })),
    redacted: at
      .filter(({ kind }) => kind === "notice")
      .map(({ offset }) => ({ offset, ids: [`of ${offset}`] })),
    to: kinds.length,
  };
}

test("two halves have every entry and every redaction notice once, each notice before the checkpoint passes it", () => {
  const kinds = fc.array(fc.constantFrom("entry", "notice", "foreign"), {
    minLength: 1,
    maxLength: 12,
    size: "max",
  });
  fc.assert(
    fc.property(fc.array(kinds, { minLength: 1, maxLength: 4 }), (partitions) => {
      const whole = partitions.map((kinds, partition) => slice(partition, kinds));
      fc.pre(whole.reduce((sum, { entries }) => sum + entries.length, 0) > 1);
      const [first, second] = halve(whole);
      for (const { owned, entries, redacted, to } of whole) {
        const parts = [...first, ...second].filter((part) => part.owned === owned);
        assert.deepEqual(
          parts.flatMap((part) => part.entries),
          entries,
        );
        assert.deepEqual(
          parts.flatMap((part) => part.redacted),
          redacted,
        );
        assert.equal(parts.at(-1)?.to, to);
        let passed = 0;
        for (const part of parts) {
          assert.ok(part.redacted.every(({ offset }) => offset > passed && offset <= part.to));
          passed = part.to;
        }
      }
      for (const half of [first, second]) assert.ok(half.some(({ entries }) => entries.length > 0));
    }),
  );
});
