import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "../../test/harness.ts";
import { accessTokenS } from "./access-tokens.ts";
import { createEndedSessions, endedPeopleMax, endedSessionsMax, endsKeptMs } from "./ended-sessions.ts";

function setUp() {
  const clock = manualClock();
  return { clock, ended: createEndedSessions(clock) };
}

/** The id of a session that began at a moment, the `n`th of them. */
function sessionAt(ms: number, n = 0): string {
  const time = ms.toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${n.toString(16).padStart(12, "0")}`;
}

test("a session that has ended is known, and no other one of the same person is", () => {
  const { clock, ended } = setUp();
  const sessionId = sessionAt(clock.now());
  ended.ended(7, sessionId, clock.now());
  assert.equal(ended.has({ userId: 7, sessionId }), true);
  assert.equal(ended.has({ userId: 7, sessionId: sessionAt(clock.now(), 1) }), false);
});

test("when all of somebody's sessions end, those that began later are not among them, in the same second neither", () => {
  const { clock, ended } = setUp();
  const endedAtMs = clock.now();
  ended.ended(7, undefined, endedAtMs);
  for (const [beganMs, over] of [
    [endedAtMs - 86_400_000, true],
    [endedAtMs, true],
    [endedAtMs + 1, false],
  ] as const) {
    assert.equal(ended.has({ userId: 7, sessionId: sessionAt(beganMs) }), over, String(beganMs - endedAtMs));
    assert.equal(ended.has({ userId: 8, sessionId: sessionAt(beganMs) }), false);
  }
  assert.equal(ended.has({ userId: 7, sessionId: "ffffffff-ffff-4000-8000-000000000000" }), true);
  ended.ended(7, undefined, endedAtMs - 1_000);
  assert.equal(ended.has({ userId: 7, sessionId: sessionAt(endedAtMs) }), true, "the later end counts");
});

test("the answer to a question that was put after all of somebody's sessions had ended replaces what was known of them", () => {
  const { clock, ended } = setUp();
  const sessionId = sessionAt(clock.now());
  const before = ended.ask();
  ended.ended(7, undefined, clock.now());
  before([]);
  assert.equal(ended.has({ userId: 7, sessionId }), true, "it may have been put too early to see them");
  ended.ask()([{ id: sessionId, endedAtMs: clock.now() }]);
  assert.equal(ended.has({ userId: 7, sessionId }), true);
  assert.equal(ended.has({ userId: 7, sessionId: sessionAt(clock.now(), 1) }), false);
  assert.deepEqual(ended.size, { sessions: 1, people: 0 });
});

test("an end is remembered until the last access token has ended, and is forgotten then", () => {
  const { clock, ended } = setUp();
  const sessionId = sessionAt(clock.now());
  ended.ended(7, sessionId, clock.now());
  ended.ended(8, undefined, clock.now());
  // Access tokens are good for that long after they were made, and 5 seconds more for clocks that differ.
  clock.advance((accessTokenS + 5) * 1_000);
  ended.ask()([]);
  assert.equal(ended.has({ userId: 7, sessionId }), true);
  clock.advance(endsKeptMs);
  ended.ask()([]);
  ended.ended(9, sessionAt(clock.now()), clock.now() - endsKeptMs);
  ended.ended(9, undefined, clock.now() - endsKeptMs);
  assert.deepEqual(ended.size, { sessions: 0, people: 0 }, "what is read late in the log is over already");
});

test("one session and one person more than the bounds forget those that were noted first", () => {
  const { clock, ended } = setUp();
  const now = clock.now();
  for (let n = 0; n < endedSessionsMax; n++) ended.ended(1, sessionAt(now, n), now);
  for (let userId = 1; userId <= endedPeopleMax; userId++) ended.ended(userId, undefined, now);
  const has = (userId: number, n: number) => ended.has({ userId, sessionId: sessionAt(now, n) });
  assert.deepEqual([has(0, 0), has(1, endedSessionsMax)], [true, true]);
  ended.ended(1, sessionAt(now, endedSessionsMax), now);
  ended.ended(endedPeopleMax + 1, undefined, now);
  assert.deepEqual(ended.size, { sessions: endedSessionsMax, people: endedPeopleMax });
  assert.deepEqual([has(0, 0), has(0, endedSessionsMax)], [false, true]);
  const other = endedSessionsMax + 1;
  assert.deepEqual([has(1, other), has(2, other), has(endedPeopleMax + 1, other)], [false, true, true]);
});
