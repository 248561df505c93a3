import assert from "node:assert/strict";
import { test } from "node:test";
import { type Burden, Load } from "./load.ts";

function createLoad(): Load {
  const load = new Load({
    inFlightMax: 2,
    loopDelayMaxMs: 500,
    bodyBytesMax: 100,
    unprovedBodyBytesMax: 50,
    addressBodyBytesMax: 20,
  });
  load.stop();
  return load;
}

function enter(load: Load, parts: Partial<Burden> = {}): Burden {
  const burden: Burden = { stage: "outside", bodyBytes: 0, proved: true, shareKey: undefined, ...parts };
  load.enter(burden);
  return burden;
}

test("the bound itself is allowed, one more is overload, and it ends when one leaves", () => {
  const load = createLoad();
  const first = enter(load);
  enter(load);
  assert.equal(load.overloaded, false);
  enter(load);
  assert.equal(load.overloaded, true);
  load.leave(first);
  assert.equal(load.overloaded, false);
});

test("a request that waits for its client is open and no load, whatever order that is said in", () => {
  const load = createLoad();
  const requests = Array.from({ length: 5 }, () => enter(load));
  for (const request of requests) {
    load.rest(request);
    load.rest(request);
  }
  assert.deepEqual([load.open, load.overloaded], [5, false]);
  for (const request of requests) load.resume(request);
  assert.equal(load.overloaded, true);
  for (const request of requests) {
    load.leave(request);
    load.resume(request);
    load.rest(request);
  }
  enter(load);
  enter(load);
  assert.deepEqual([load.open, load.overloaded], [2, false]);
});

test("bodies may fill their bound, one byte more is too much, and a request takes its bytes with it", () => {
  const load = createLoad();
  const first = enter(load);
  const second = enter(load);
  assert.equal(load.holdBody(first, 60), true);
  assert.equal(load.holdBody(second, 41), false);
  assert.equal(load.holdBody(second, 40), true);
  assert.equal(load.holdBody(second, 1), false);
  assert.equal(load.bodyBytes, 100);
  load.leave(first);
  assert.equal(load.holdBody(second, 1), true);
  load.letGo(second);
  load.leave(second);
  assert.equal(load.bodyBytes, 0);
});

test("those who have proved nothing share a part of it, and an address gets a part of that", () => {
  const load = createLoad();
  const from = (shareKey?: string): Burden => enter(load, { proved: false, shareKey });
  const stranger = from("a");
  assert.equal(load.holdBody(stranger, 21), false);
  assert.equal(load.holdBody(stranger, 20), true);
  assert.equal(load.holdBody(from("a"), 1), false, "an address has one share");
  assert.equal(load.holdBody(from("b"), 20), true);
  assert.equal(load.holdBody(from(), 11), false);
  assert.equal(load.holdBody(from(), 10), true, "a body in one part belongs to no share");
  assert.equal(load.holdBody(from("c"), 1), false);
  assert.equal(load.holdBody(enter(load), 50), true, "those who have proved themselves do not notice");
  assert.equal(load.holdBody(enter(load), 1), false);
  load.leave(stranger);
  assert.equal(load.holdBody(from("a"), 20), true);
});

test("one stall of a second is forgiven, a loop that stays late is overload until it recovers", () => {
  const load = createLoad();
  load.sample(1_000);
  assert.equal(load.overloaded, false);
  for (let i = 0; i < 5; i++) load.sample(800);
  assert.equal(load.overloaded, true);
  for (let i = 0; i < 3; i++) load.sample(0);
  assert.equal(load.overloaded, false);
});

test("idle resolves when the last request leaves", async () => {
  const load = createLoad();
  await load.idle();
  const request = enter(load);
  let idle = false;
  const waiting = load.idle().then(() => {
    idle = true;
  });
  await Promise.resolve();
  assert.equal(idle, false);
  load.leave(request);
  await waiting;
  assert.equal(idle, true);
});
