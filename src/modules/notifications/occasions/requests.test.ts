import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../../../../protocol/limits.ts";
import { wantedKey } from "../../../access/room-readers.ts";
import { originKey } from "./origins.ts";
import { type Caused, decideOccasions } from "./requests.ts";

const occasion: Caused = {
  origin: "origin-1",
  category: "mention",
  to: [],
  peopleMax: 2,
  roomId: 7,
  by: 1,
  message: "ann: hello",
  source: "chat",
  link: null,
  createdAt: "2026-01-01T00:00:00.000Z",
  actor: "user:1",
};
const readers = new Map(
  (
    [
      ["ann", 1],
      ["bob", 2],
      ["eve.", 3],
      [2, 2],
      [1, 1],
    ] as const
  ).map(([who, id]) => [wantedKey({ who, roomId: 7 }), id]),
);
const ttls = { bySource: new Map([["quick", 60]]) };

/** Who is told what, as category and ids. */
function decided(occasions: readonly Partial<Caused>[], told: readonly string[] = []) {
  const facts = { readers, told: new Set(told) };
  const requests = decideOccasions(
    occasions.map((parts) => ({ ...occasion, ...parts })),
    facts,
    ttls,
  );
  return requests.map(({ id, category, targets }) => [id, category, targets.map((target) => target.id)]);
}

test("those are told who are somebody and may know of it, never the one who did it", () => {
  assert.deepEqual(decided([{ to: [["nobody"], ["bob"], ["ann"], ["eve", "eve."], 9] }]), [
    ["origin-1", "mention", [2, 3]],
  ]);
  assert.deepEqual(decided([{ to: [["nobody"], ["ann"], 1] }, { roomId: 8, to: [["bob"], 2] }]), []);
});

test("of one origin a person is told once, by what comes first, and of another one again", () => {
  const both: readonly Partial<Caused>[] = [
    { to: [["bob"], ["bob"]] },
    { category: "reply", to: [2] },
    { origin: "origin-2", category: "reply", to: [2] },
  ];
  assert.deepEqual(decided(both), [
    ["origin-1", "mention", [2]],
    ["origin-2", "reply", [2]],
  ]);
  assert.deepEqual(decided(both, [originKey("origin-1", 2)]), [["origin-2", "reply", [2]]]);
});

test("so many people of one occasion are told and no more, and nobody counts who is not", () => {
  const nobodies = Array.from({ length: 50 }, (_, n) => [`nobody-${n}`]);
  const many = { to: [...nobodies, ["ann"], ["bob"], 2, ["eve", "eve."]] };
  assert.deepEqual(decided([{ ...many, peopleMax: 2 }]), [["origin-1", "mention", [2, 3]]]);
  assert.deepEqual(decided([{ ...many, peopleMax: 1 }]), [["origin-1", "mention", [2]]]);
  const told = [originKey("origin-1", 2)];
  assert.deepEqual(decided([{ ...many, peopleMax: 1 }], told), [], "it is they again");
  assert.deepEqual(decided([{ ...many, peopleMax: 2 }], told), [["origin-1", "mention", [3]]]);
});

test("it ends after a week, unless the options say otherwise of its source", () => {
  const [week, minute] = decideOccasions(
    [
      { ...occasion, to: [2] },
      { ...occasion, origin: "origin-2", source: "quick", to: [2] },
    ],
    { readers, told: new Set() },
    ttls,
  );
  assert.deepEqual([week?.ttlS, minute?.ttlS], [limits.occasionTtlDefaultS, 60]);
});
