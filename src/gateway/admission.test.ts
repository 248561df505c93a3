import assert from "node:assert/strict";
import { test } from "node:test";
import { Admission, addressesMax } from "./admission.ts";

const clock = { now: () => 0 };
const rules = { perAddressMax: 2, perActorMax: 1, handshakes: { perSecond: 1, burst: 3 } };

test("an address has so many places and not one more, until one is given back", () => {
  const admission = new Admission(rules, clock);
  assert.deepEqual(
    [1, 2, 3].map(() => admission.enterAddress("10.0.0.1")),
    [true, true, false],
  );
  assert.equal(admission.enterAddress("10.0.0.2"), true);
  admission.leaveAddress("10.0.0.1");
  assert.equal(admission.enterAddress("10.0.0.1"), true);
});

test("a person has so many places, whatever the address", () => {
  const admission = new Admission(rules, clock);
  assert.deepEqual([admission.enterActor("user:1"), admission.enterActor("user:1")], [true, false]);
  assert.equal(admission.enterActor("user:2"), true);
});

test("whoever has left leaves nothing behind", () => {
  const admission = new Admission(rules, clock);
  admission.enterAddress("10.0.0.1");
  admission.enterActor("user:1");
  admission.leaveAddress("10.0.0.1");
  admission.leaveActor("user:1");
  admission.leaveActor("user:1");
  assert.deepEqual([admission.addresses, admission.actors], [0, 0]);
});

test("an address that knocks too often is told when to come back", () => {
  const admission = new Admission(rules, clock);
  assert.deepEqual(
    [1, 2, 3, 4].map(() => admission.knock("10.0.0.1")),
    [0, 0, 0, 1],
  );
  assert.equal(admission.knock("10.0.0.2"), 0);
});

test("the knocks of so many addresses are remembered and not of one more: who knocked longest ago is forgotten", () => {
  for (const [others, retryAfterS] of [
    [addressesMax - 1, 1],
    [addressesMax, 0],
  ] as const) {
    const admission = new Admission(rules, clock);
    for (let i = 0; i < rules.handshakes.burst; i++) admission.knock("10.0.0.1");
    for (let i = 0; i < others; i++) admission.knock(`other ${i}`);
    assert.equal(admission.knock("10.0.0.1"), retryAfterS);
  }
});
