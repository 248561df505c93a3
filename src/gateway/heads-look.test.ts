import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setNow, settled } from "./delivery.fixture.ts";
import { createHeadsLook, lookEveryMs, lookMaxMs } from "./heads-look.ts";

/** A log whose looks end when the test says so, each with how many there were; time passes by `tick`. */
function open(t: TestContext) {
  let nowMs = 5_000;
  setNow(t, () => nowMs);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const tick = async (ms: number): Promise<void> => {
    nowMs += ms;
    t.mock.timers.tick(ms);
    await settled();
  };
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
  return { look, answers, tick, fail: (is: boolean) => (fails = is) };
}

test("who asks while a look is under way shares the next one with all others who do", async (t) => {
  const { look, answers, tick } = open(t);
  const first = look();
  await settled();
  await tick(lookEveryMs);
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

test("a crowd shares a look every so often, however fast looks are, and the first one is at once", async (t) => {
  const { look, answers, tick } = open(t);
  const first = look();
  await settled();
  answers[0]?.();
  assert.deepEqual(await first, [1]);
  const others: Promise<unknown>[] = [];
  for (let ms = 1; ms < lookEveryMs; ms++) {
    others.push(look());
    await tick(1);
    assert.equal(answers.length, 1);
  }
  others.push(look());
  await tick(1);
  answers[1]?.();
  assert.deepEqual(
    await Promise.all(others),
    others.map(() => [2]),
  );
  await tick(lookEveryMs);
  const alone = look();
  await settled();
  answers[2]?.();
  assert.deepEqual(await alone, [3]);
});

test("a look that fails fails for those who share it, and for nobody after them", async (t) => {
  const { look, answers, tick, fail } = open(t);
  fail(true);
  const first = [look(), look()];
  await settled();
  await tick(lookEveryMs);
  const second = look();
  answers[0]?.();
  for (const one of first) await assert.rejects(one, /away/);
  fail(false);
  await settled();
  answers[1]?.();
  assert.deepEqual(await second, [2]);
});

test("a look that hangs holds up the next one for so long and no longer", async (t) => {
  const { look, answers, tick } = open(t);
  const hanging = look();
  await settled();
  const next = look();
  await tick(lookMaxMs - 1);
  assert.equal(answers.length, 1);
  await tick(1);
  assert.equal(answers.length, 2);
  answers[1]?.();
  assert.deepEqual(await next, [2]);
  answers[0]?.();
  assert.deepEqual(await hanging, [1]);
});
