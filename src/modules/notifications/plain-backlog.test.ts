import assert from "node:assert/strict";
import { test } from "node:test";
import { broadcastCountMin } from "../../../protocol/broadcast-rules.ts";
import type { Notification } from "../../../protocol/notifications.ts";
import { backlogOf } from "./plain-backlog.ts";
import { replayPageRows } from "./store.ts";

const shared = (ms: number): string => `${ms}-${broadcastCountMin}`;
const own = (ms: number): string => `${ms}-0`;

function one(streamId: string): Notification {
  return {
    notification_id: `of ${streamId}`,
    stream_id: streamId,
    message: "Hello",
    created_at: "2026-01-01T00:00:00Z",
    source: "test",
    status: "unread",
    category: "general",
    critical: false,
    link: null,
    gathered: 1,
    expires_at: "2027-01-01T00:00:00Z",
  };
}

const told = (streamId: string) => ["notification.created", { notification: one(streamId) }] as const;
const toldAll = (streamId: string) => ["broadcast.created", { broadcast: one(streamId) }] as const;
const marked = (state: string, streamId: string) =>
  ["notification.marked", { state, notifications: [one(streamId)] }] as const;

/** A backlog of these places, all of it read, and the places that it told. */
async function open(...pages: readonly (readonly string[])[]) {
  const rest = [...pages];
  const { texts, isNews } = backlogOf(() => Promise.resolve((rest.shift() ?? []).map(one)), 1);
  const places: string[] = [];
  for await (const page of texts) {
    for (const text of page) places.push((JSON.parse(text) as { data: Notification }).data.stream_id);
  }
  return { places, isNews: ([type, data]: readonly [string, unknown]) => isNews(type, data) };
}

test("what is unread is told page by page, up to one that is not full", async () => {
  const full = Array.from({ length: replayPageRows }, (_, n) => own(n + 1));
  const { places } = await open(full, [own(replayPageRows + 1)], [own(replayPageRows + 2)]);
  assert.deepEqual(places, [...full, own(replayPageRows + 1)]);
});

test("of a person's own, what is not beyond the last that was told is no news: it was told, or is over", async () => {
  const { isNews } = await open([own(3), own(10)]);
  assert.deepEqual(
    [3, 4, 9, 10, 11].map((ms) => isNews(told(own(ms)))),
    [false, false, false, false, true],
  );
  assert.equal(isNews(told("10-1")), true);
});

test("broadcasts have places of their own, whatever the clock of who told them showed", async () => {
  const { isNews } = await open([own(3), shared(5), own(10)]);
  assert.deepEqual([isNews(toldAll(shared(5))), isNews(toldAll(shared(6)))], [false, true]);
  const ahead = await open([own(3), shared(50)]);
  assert.equal(ahead.isNews(told(own(4))), true);
  assert.equal((await open()).isNews(toldAll(shared(1))), true);
});

test("a broadcast that was read meanwhile is no news; its acknowledgement is, and so is what was only seen", async () => {
  const { isNews } = await open([own(3)]);
  assert.equal(isNews(marked("read", shared(5))), true);
  assert.equal(isNews(marked("archived", shared(6))), true);
  assert.equal(isNews(marked("seen", shared(7))), true);
  assert.deepEqual(
    [5, 6, 7].map((ms) => isNews(toldAll(shared(ms)))),
    [false, false, true],
  );
});

test("what was redacted, and entries of other kinds, are left to whoever renders them", async () => {
  const { isNews } = await open([own(3)]);
  for (const type of ["notification.created", "broadcast.created", "notification.marked", "session.ended"])
    assert.equal(isNews([type, {}]), true, type);
});

test("pages go on from the last of each kind: what comes behind the place of the other kind is on the next one", async () => {
  const first = [...Array.from({ length: replayPageRows - 1 }, (_, n) => own(n + 1)), shared(100)];
  const wishes: unknown[] = [];
  const { texts, isNews } = backlogOf((wish) => {
    wishes.push(wish.after);
    return Promise.resolve((wishes.length === 1 ? first : [own(90)]).map(one));
  }, 1);
  for await (const page of texts) assert.ok(page.length > 0);
  assert.deepEqual(wishes, [
    { own: "0-0", shared: "0-0" },
    { own: own(replayPageRows - 1), shared: shared(100) },
  ]);
  assert.deepEqual(
    [own(89), own(90), own(91)].map((place) => isNews(...told(place))),
    [false, false, true],
  );
});
