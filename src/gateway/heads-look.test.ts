import assert from "node:assert/strict";
import { test } from "node:test";
import { settled } from "./delivery.fixture.ts";
import { createHeadsLook, lookMaxMs } from "./heads-look.ts";

/** A log whose looks end when the test says so; each finds how many there were. */
function open() {
  const answers: (() => void)[] = [];
  let fails = false;
  const look = createHeadsLook({
    heads: () => {
      const { promise, resolve, reject } = Promise.withResolvers<readonly number[]>();
      const n = answers.length + 1;
      answers.push(() => (fails ? reject(new Error("the database is away")) : resolve([n])));
      return promise;
    },
  });
  return { look, answers, fail: (is: boolean) => (fails = is) };
}

test("who asks while a look is under way shares the next one with all others who do", async () => {
  const { look, answers } = open();
  const first = look();
  await settled();
  const others = [look(), look(), look()];
  await settled();
  assert.equal(answers.length, 1, "one look at a time");
  answers[0]?.();
  assert.deepEqual(await first, [1]);
  await settled();
  answers[1]?.();
  assert.deepEqual(await Promise.all(others), [[2], [2], [2]]);
  assert.equal(answers.length, 2);
});

test("a look that fails fails for those who share it, and for nobody after them", async () => {
  const { look, answers, fail } = open();
  fail(true);
  const first = [look(), look()];
  await settled();
  const second = look();
  answers[0]?.();
  for (const one of first) await assert.rejects(one, /away/);
  fail(false);
  await settled();
  answers[1]?.();
  assert.deepEqual(await second, [2]);
});

test("a look that hangs holds up the next one for so long and no longer", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { look, answers } = open();
  const hanging = look();
  await settled();
  const next = look();
  t.mock.timers.tick(lookMaxMs - 1);
  await settled();
  assert.equal(answers.length, 1);
  t.mock.timers.tick(1);
  await settled();
  assert.equal(answers.length, 2);
  answers[1]?.();
  assert.deepEqual(await next, [2]);
  answers[0]?.();
  assert.deepEqual(await hanging, [1]);
});
