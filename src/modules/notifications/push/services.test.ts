import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "../../../../test/harness.ts";
import { Complaints, saidMax, sayEveryMs } from "./complaints.ts";
import { PutOff, putOffMaxMs, putOffMs } from "./put-off.ts";
import {
  PushServices,
  quickMs,
  rest,
  serviceLanesMax,
  serviceLanesMin,
  servicesMax,
  silencesMax,
} from "./services.ts";

const origin = "https://push.example.org";

test("a push service that is silent so many times in a row is left alone, longer each time, until it answers", () => {
  const clock = manualClock(0);
  const services = new PushServices(clock);
  for (let i = 1; i < silencesMax; i++) services.silent(origin, 10_000);
  assert.deepEqual([services.isResting(origin), services.lanesOf(origin)], [false, serviceLanesMin]);
  for (let rests = 1; rests < 10; rests++) {
    services.silent(origin, 10_000);
    const restsMs = services.restsUntilMs(origin) - clock.now();
    const ceilingMs = Math.min(rest.maxMs, rest.baseMs * 2 ** (rests - 1));
    assert.ok(restsMs >= ceilingMs / 2 && restsMs <= ceilingMs, `${restsMs} of ${ceilingMs}`);
    clock.advance(Math.ceil(restsMs) - 1);
    assert.deepEqual([services.isResting(origin), services.lanesOf(origin)], [true, 0]);
    const untilMs = services.restsUntilMs(origin);
    services.silent(origin, 10_000);
    assert.equal(services.restsUntilMs(origin), untilMs, "what was on its way says nothing new");
    clock.advance(1);
    assert.deepEqual([services.isResting(origin), services.lanesOf(origin)], [false, 1], "one call tells");
  }
  services.answered(origin, 10);
  for (let i = 1; i < silencesMax; i++) services.silent(origin, 10_000);
  assert.equal(services.isResting(origin), false, "an answer between them starts anew");
});

test("a push service has a lane more with each quick answer, so many at most, and few again when it becomes slow", () => {
  const services = new PushServices(manualClock());
  services.answered(origin, quickMs);
  assert.deepEqual([services.lanesOf(origin), services.isQuick(origin)], [serviceLanesMin + 1, true]);
  for (let i = 0; i < serviceLanesMax; i++) services.answered(origin, 50);
  assert.equal(services.lanesOf(origin), serviceLanesMax);
  services.answered(origin, 5_000);
  assert.equal(services.isSlow(origin), false, "once is no habit");
  for (let i = 0; i < 20; i++) services.answered(origin, quickMs + 500);
  assert.deepEqual([services.lanesOf(origin), services.isSlow(origin)], [serviceLanesMin, true]);
  for (let i = 0; i < 20; i++) services.answered(origin, 50);
  assert.equal(services.isSlow(origin), false);
});

test("so many push services are remembered, and no more", () => {
  const services = new PushServices(manualClock());
  for (let i = 0; i <= servicesMax; i++) services.answered(`https://a${i}.example.org`, 10);
  assert.ok(services.size <= servicesMax && services.size >= servicesMax / 2, String(services.size));
});

test("of a push service it is said once in a while that it takes nothing, by its host alone, and of so many", () => {
  const said: unknown[] = [];
  let nowMs = 0;
  const complaints = new Complaints({ warn: (about: unknown) => said.push(about) }, () => nowMs);
  const say = (): void => complaints.say(`${origin}:8443/secret?a=b`, "it answered 403");
  say();
  nowMs = sayEveryMs - 1;
  say();
  assert.deepEqual(said, [{ host: "push.example.org:8443", reason: "it answered 403" }]);
  nowMs = sayEveryMs;
  say();
  assert.equal(said.length, 2);
  for (let i = 0; i <= saidMax; i++) complaints.say(`https://a${i}.example.org/x`, "silent");
  assert.ok(complaints.size <= saidMax && complaints.size >= saidMax / 2, String(complaints.size));
});

test("what there is no room for is looked at again one after the other, and within some minutes", () => {
  const off = new PutOff();
  const first = off.untilMs(origin, 0);
  const second = off.untilMs(origin, 0);
  assert.deepEqual([first, second > first, off.untilMs(7, 0)], [putOffMs, true, putOffMs]);
  for (let i = 0; i < 10_000; i++) off.untilMs(origin, 0);
  assert.equal(off.untilMs(origin, 1), putOffMaxMs + 1);
});
