import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { limits } from "../../../protocol/limits.ts";
import { type NotifyFacts, decideNotify, notificationIdOf, requestKey } from "./decide-notify.ts";
import { nextStreamId, nobodyYet } from "./person-state.ts";
import { idsOf, requestTo } from "./requests.fixture.ts";

const nowMs = Date.parse("2026-01-01T00:00:00Z");

function factsOf(parts: Partial<NotifyFacts> = {}): NotifyFacts {
  return {
    usernames: new Map([1, 2, 3].map((id) => [id, `user${id}`])),
    people: new Map(),
    known: new Map(),
    inFlight: new Set(),
    digests: new Map(),
    made: new Map(),
    nowMs,
    ...parts,
  };
}

test("stream ids grow whatever the clock does", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 5 })), (times) => {
      let place = { streamMs: 0, streamN: 0 };
      for (const time of times) {
        const next = nextStreamId(place, time);
        assert.ok(
          next.streamMs > place.streamMs ||
            (next.streamMs === place.streamMs && next.streamN > place.streamN),
        );
        place = next;
      }
    }),
  );
});

test("each notification of a batch has its own place, count and version", () => {
  const { fresh, people } = decideNotify(
    [requestTo([1, 2]), requestTo([1])],
    factsOf({
      people: new Map([
        [
          1,
          {
            ...nobodyYet,
            version: 4,
            unread: 3,
            stored: 5,
            endedUnread: 1,
            endedStored: 2,
            streamMs: nowMs + 7,
            streamN: 2,
          },
        ],
      ]),
    }),
  );
  assert.deepEqual(
    fresh.map(({ userId, unread, version, notification }) => [
      userId,
      unread,
      version,
      notification.stream_id,
    ]),
    [
      [1, 3, 5, `${nowMs + 7}-3`],
      [2, 1, 1, `${nowMs}-0`],
      [1, 4, 6, `${nowMs + 7}-4`],
    ],
  );
  assert.deepEqual([people.get(1)?.unread, people.get(1)?.stored, people.get(1)?.version], [5, 7, 6]);
});

test("a request under a key that another one works on is told to wait, and asks nothing of anybody", () => {
  const idempotency = { key: "k", fingerprint: "a" };
  const { answers, fresh, keyed } = decideNotify(
    [requestTo([1], { idempotency }), requestTo([1])],
    factsOf({ inFlight: new Set([requestKey("key:1", "k")]) }),
  );
  assert.deepEqual(
    answers.map((answer) => idsOf(answer).length),
    [1, 1],
  );
  assert.deepEqual(idsOf(answers[0]), ["request_in_flight"]);
  assert.deepEqual([fresh.length, keyed.length], [1, 0]);
});

test("an attempt that has filled the inbox unseen is answered with what it has made, not that there is no room", () => {
  const request = requestTo([1]);
  const id = notificationIdOf(request, 1);
  const full = { ...nobodyYet, unread: limits.notificationsPerPerson, stored: limits.notificationsPerPerson };
  const facts = {
    people: new Map([[1, full]]),
    made: new Map([[id, { notificationId: id, heldUntilMs: undefined }]]),
  };
  const { answers, fresh } = decideNotify([request, requestTo([1])], factsOf(facts));
  assert.deepEqual(
    answers.map((answer) => idsOf(answer)[0]),
    [id, "inbox_full"],
  );
  assert.equal(fresh.length, 0);
});
