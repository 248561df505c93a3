import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "../../../../test/harness.ts";
import { type Errand, Lanes, crowdMax, lanesMax, personLanesMax, slowWaitMaxMs, waitMaxMs } from "./lanes.ts";
import { PushServices, serviceLanesMax, serviceLanesMin, silencesMax } from "./services.ts";

const [slow, quick] = ["https://slow.example.org", "https://quick.example.org"];
const never = new AbortController().signal;

function openLanes() {
  const services = new PushServices(manualClock());
  for (let i = 0; i < serviceLanesMax; i++) services.answered(quick, 10);
  let nowMs = 0;
  const lanes = new Lanes<Errand>(services, () => nowMs);
  const started: Errand[] = [];
  const ends: (() => void)[] = [];
  let userId = 0;
  return {
    services,
    lanes,
    /** Of so many people, unless one is named. */
    add: (origin: string, count: number, person?: number): number =>
      Array.from({ length: count }, () => lanes.add({ origin, userId: person ?? ++userId })).filter(Boolean)
        .length,
    start: (signal = never): void => {
      lanes.start((errand) => {
        started.push(errand);
        return new Promise((resolve) => ends.push(resolve));
      }, signal);
    },
    started: (origin: string): number => started.filter((errand) => errand.origin === origin).length,
    end: async (): Promise<void> => {
      ends.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    },
    pass: (ms: number): void => {
      nowMs += ms;
    },
  };
}

test("a push service that is not known to be quick has few lanes, one that is has more, but not all", async () => {
  const { add, start, started, end, lanes } = openLanes();
  add(slow, serviceLanesMin + 1);
  add(quick, serviceLanesMax + 1);
  add("https://third.example.org", 20);
  start();
  assert.deepEqual([started(slow), started(quick)], [serviceLanesMin, serviceLanesMax]);
  assert.equal(lanes.ends.size, lanesMax, "and there are no more than all of them");
  await end();
  assert.deepEqual([started(slow), lanes.ends.size], [serviceLanesMin + 1, lanesMax], "the oldest first");
});

test("a person has few lanes, however many push services they name", async () => {
  const { lanes, start, started } = openLanes();
  for (let i = 0; i <= personLanesMax; i++) lanes.add({ origin: `https://a${i}.example.org`, userId: 1 });
  lanes.add({ origin: quick, userId: 2 });
  start();
  assert.deepEqual([lanes.ends.size, lanes.waiting, started(quick)], [personLanesMax + 1, 1, 1]);
});

test("so many wait for a push service that is slow, or for a person, and one more does not", () => {
  const { services, add, lanes } = openLanes();
  services.late(slow);
  assert.deepEqual([add(slow, crowdMax + 1), add(quick, crowdMax + 1)], [crowdMax, crowdMax + 1]);
  assert.equal(add(quick, crowdMax + 1, 10_000), crowdMax);
  assert.deepEqual([lanes.clear().length, lanes.waiting], [3 * crowdMax + 1, 0]);
  assert.deepEqual([add(slow, 1), add(quick, 1, 10_000)], [1, 1], "there is room again");
});

test("what has waited for too long is put off, and its push service counts as slow", () => {
  const { services, lanes, add, start, pass } = openLanes();
  add(slow, serviceLanesMin + 2);
  add(quick, serviceLanesMax + 3);
  start();
  pass(slowWaitMaxMs - 1);
  assert.equal(lanes.late().length, 0);
  assert.equal(services.isSlow(slow), false);
  pass(1);
  assert.equal(lanes.late().length, 2);
  assert.deepEqual([services.isSlow(slow), services.isSlow(quick)], [true, false]);
  pass(waitMaxMs - slowWaitMaxMs - 1);
  assert.equal(lanes.late().length, 0);
  pass(1);
  assert.equal(lanes.late().length, 3);
});

test("what waits for a push service that is left alone is put off at once, and nothing starts after the end", () => {
  const { services, lanes, add, start } = openLanes();
  add(slow, 1);
  add(quick, 1);
  for (let i = 0; i < silencesMax; i++) services.silent(slow, 10_000);
  assert.deepEqual(
    lanes.late().map(({ origin }) => origin),
    [slow],
  );
  start(AbortSignal.abort());
  assert.deepEqual([lanes.ends.size, lanes.waiting], [0, 1]);
});
