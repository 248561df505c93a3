import assert from "node:assert/strict";
import { test } from "node:test";
import { Load } from "./load.ts";

function createLoad(): Load {
  const load = new Load({ inFlightMax: 2, loopDelayMaxMs: 500, bodyBytesMax: 100 });
  load.stop();
  return load;
}

test("the bound itself is allowed, one more is overload, and it ends when one leaves", () => {
  const load = createLoad();
  load.enter();
  load.enter();
  assert.equal(load.overloaded, false);
  load.enter();
  assert.equal(load.overloaded, true);
  load.leave(0);
  assert.equal(load.overloaded, false);
});

test("bodies may fill their bound, one byte more is too much, and a request takes its bytes with it", () => {
  const load = createLoad();
  load.enter();
  load.holdBody(60);
  load.enter();
  load.holdBody(40);
  assert.equal(load.bodiesFull, false);
  load.holdBody(1);
  assert.equal(load.bodiesFull, true);
  load.leave(41);
  assert.equal(load.bodiesFull, false);
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
  load.enter();
  let idle = false;
  const waiting = load.idle().then(() => {
    idle = true;
  });
  await Promise.resolve();
  assert.equal(idle, false);
  load.leave(0);
  await waiting;
  assert.equal(idle, true);
});
