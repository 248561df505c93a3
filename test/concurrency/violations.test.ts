import assert from "node:assert/strict";
import { test } from "node:test";
import { type Seen, type Violations, type Written, noViolations, violations } from "./violations.ts";

/** Three entries of one chain, each sent after the one before was acknowledged. */
const written: readonly Written[] = ["a", "b", "c"].map((id, number) => ({
  id,
  topic: "room/1",
  chain: "writer 1",
  number,
  sentUs: number * 10,
  acknowledgedUs: number * 10 + 5,
  rolledBack: false,
}));
const undone: Written = { ...(written[0] as Written), id: "undone", number: 3, rolledBack: true };

function seenAs(...ids: readonly string[]): readonly Seen[] {
  return ids.map((id, i) => ({ partition: 0, offset: i + 1, id }));
}

const faults: readonly (readonly [what: string, seen: readonly Seen[], wanted: Partial<Violations>])[] = [
  ["nothing", seenAs("a", "b", "c"), {}],
  ["a lost entry", seenAs("a", "c"), { missed: 1 }],
  ["an entry that comes twice", seenAs("a", "b", "c", "c"), { doubled: 1, disordered: 1 }],
  ["an entry that was rolled back", seenAs("a", "b", "c", "undone"), { phantoms: 1 }],
  ["an entry that nobody wrote", seenAs("a", "b", "invented", "c"), { phantoms: 1 }],
  ["entries of a chain in the wrong order", seenAs("b", "a", "c"), { disordered: 1 }],
];

for (const [what, seen, wanted] of faults) {
  test(`the comparison notices ${what}`, () => {
    assert.deepEqual(violations([...written, undone], seen), { ...noViolations, ...wanted });
  });
}

test("the comparison notices offsets that do not grow, each partition for itself", () => {
  const seen = seenAs("a", "b", "c");
  const again = seen.map((each, i) => ({ ...each, offset: i === 2 ? 2 : each.offset }));
  assert.deepEqual(violations(written, again), { ...noViolations, backwards: 1 });
  const apart = seen.map((each, i) => ({ ...each, partition: i, offset: 1 }));
  assert.deepEqual(violations(written, apart), noViolations);
});
