import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "../../test/harness.ts";
import { person } from "../gateway/delivery.fixture.ts";
import { createPersonRate, peopleMax, personLimited } from "./person-rate.ts";

const rate = { perSecond: 1, burst: 2 };

test("a person may take so many at once and no more, whatever token they come with; programs have no such rate", () => {
  const clock = manualClock();
  const people = createPersonRate(rate, { clock });
  assert.equal(people.take(person({ id: 7 }))?.allowed, true);
  assert.equal(
    people.take(person({ id: 7, sessionId: "another", scopes: new Set(["admin"]) }))?.allowed,
    true,
  );
  const refused = people.take(person({ id: 7 }));
  assert.ok(refused !== undefined && !refused.allowed);
  const { code, details } = personLimited(refused);
  assert.deepEqual([code, details.retryAfterS], ["rate_limited", 1]);
  assert.equal(people.take(person({ id: 8 }))?.allowed, true);
  const program = { kind: "key", id: 7, name: "p", scopes: new Set([]), sourceId: undefined } as const;
  assert.equal(people.take(program), undefined);
  clock.advance(1_000);
  assert.equal(people.take(person({ id: 7 }))?.allowed, true);
});

test("of so many people the rate is remembered, and of one more the first is forgotten", () => {
  const people = createPersonRate(rate, { clock: manualClock() });
  const takeAll = (id: number): void => {
    for (let n = 0; n < rate.burst; n++) people.take(person({ id }));
  };
  for (let id = 1; id <= peopleMax; id++) takeAll(id);
  assert.equal(people.take(person({ id: 1 }))?.allowed, false, "the first one is used again");
  people.take(person({ id: peopleMax + 1 }));
  assert.equal(people.take(person({ id: 1 }))?.allowed, false);
  assert.equal(people.take(person({ id: 2 }))?.allowed, true);
});
