import assert from "node:assert/strict";
import { test } from "node:test";
import { Presence } from "./presence.ts";
import { createLocalSignals } from "./signals.ts";
import { createWhoIsThere, knownAfterMs } from "./who-is-there.ts";

test("who is there is known some time after a role has begun to listen, and no more once it has stopped", () => {
  let ms = 0;
  const there = createWhoIsThere(() => ms);
  assert.deepEqual([there.isKnown(), there.isOnline(7)], [false, false]);
  const end = there.ask({ isOnline: (userId) => userId === 7 });
  ms = knownAfterMs - 1;
  assert.equal(there.isKnown(), false);
  ms = knownAfterMs;
  assert.deepEqual([there.isKnown(), there.isOnline(7), there.isOnline(8)], [true, true, false]);
  const endNext = there.ask({ isOnline: () => false });
  end();
  ms += knownAfterMs;
  assert.equal(there.isKnown(), true, "the one that has followed is not ended with it");
  endNext();
  assert.deepEqual([there.isKnown(), there.isOnline(7)], [false, false]);
});

test("a process without a gateway knows who is connected to that of another process, and who has left", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const signals = createLocalSignals();
  const gateway = new Presence({ node: "gateway", signals, post: () => undefined, now: () => 0 });
  gateway.arrived(7);
  const heard = new Presence({ node: "worker", signals, post: () => undefined, now: () => 0 });
  const there = createWhoIsThere();
  there.ask(heard);
  t.mock.timers.tick(1_000);
  assert.deepEqual([there.isOnline(7), there.isOnline(8)], [true, false]);
  gateway.left(7);
  t.mock.timers.tick(knownAfterMs);
  assert.equal(there.isOnline(7), false);
  gateway.stop();
  heard.stop();
});
