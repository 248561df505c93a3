import assert from "node:assert/strict";
import { test } from "node:test";
import { Wheel } from "./wheel.ts";

test("each item is visited once per turn, and none after it was removed", () => {
  const visited: string[] = [];
  const wheel = new Wheel<string>({ turnMs: 60_000, slots: 4, visit: (item) => visited.push(item) });
  const slots = new Map(["a", "b", "c", "d", "e"].map((item) => [item, wheel.add(item)]));
  const turn = (): string[] => {
    visited.length = 0;
    for (let i = 0; i < 4; i++) wheel.step();
    return [...visited].sort();
  };
  assert.deepEqual(turn(), ["a", "b", "c", "d", "e"]);
  wheel.remove("b", slots.get("b") ?? -1);
  assert.deepEqual(turn(), ["a", "c", "d", "e"]);
  wheel.stop();
});

test("items are spread over the slots, so that no step does all the work", () => {
  let inStep = 0;
  const wheel = new Wheel<number>({ turnMs: 60_000, slots: 10, visit: () => inStep++ });
  for (let i = 0; i < 1_000; i++) wheel.add(i);
  for (let i = 0; i < 10; i++) {
    inStep = 0;
    wheel.step();
    assert.equal(inStep, 100);
  }
  wheel.stop();
});

test("an item that the visit of another has removed is not visited", () => {
  const visited: number[] = [];
  const wheel: Wheel<number> = new Wheel<number>({
    turnMs: 60_000,
    slots: 1,
    visit: (item) => {
      visited.push(item);
      wheel.remove(item === 1 ? 2 : 1, 0);
    },
  });
  wheel.add(1);
  wheel.add(2);
  wheel.step();
  assert.deepEqual(visited, [1]);
  wheel.stop();
});
