import assert from "node:assert/strict";
import { test } from "node:test";
import type { BroadcastCreatedData, BroadcastExpiredData } from "../../../../protocol/broadcasts.ts";
import { broadcastCountMin } from "../../../../protocol/broadcast-rules.ts";
import { limits } from "../../../../protocol/limits.ts";
import type { NotificationMarkedData } from "../../../../protocol/notifications.ts";
import type { Preferences } from "../../../../protocol/preferences.ts";
import { parseData } from "../../../eventlog/eventlog.ts";
import { type BroadcastStage, openBroadcastStage } from "./broadcasts.fixture.ts";
import { requestTo } from "../requests.fixture.ts";
import { replayPageRows, toldNothing, toldWith } from "../store.ts";

const never = new AbortController().signal;

/** What a person has of what everybody is told. */
async function listedFor({ broadcasts }: BroadcastStage, userId: number): Promise<readonly string[]> {
  const list = await broadcasts.list(userId);
  return list.broadcasts.map(({ message, status }) => `${message} ${status}`);
}

/** And what a new connection is told. */
async function replayedFor({ store }: BroadcastStage, userId: number, after = toldNothing) {
  const [page = []] = await store.replay([{ userId, after }]);
  return page.map(({ message }) => message);
}

async function rowsOf({ db }: BroadcastStage): Promise<number> {
  const { rows } = await db.query<{ n: number }>(
    "select (select count(*) from notification) + (select count(*) from notification_person) as n",
  );
  return rows[0]?.n ?? -1;
}

test("what everybody is told is one row and one entry, listed and replayed for each, also for who comes later", async () => {
  const stage = await openBroadcastStage();
  const { db, broadcasts, tell, toldAll, person } = stage;
  await db.query(
    "insert into account_user (username, name) select 'many-' || n, 'many' from generate_series(1, 10000) n",
  );
  const before = await rowsOf(stage);
  const id = await tell({ message: "Привет", link: "/x", category: "news" });
  const late = await person();
  assert.deepEqual(
    [await listedFor(stage, 1), await listedFor(stage, 10_000)],
    [["Привет unread"], ["Привет unread"]],
  );
  assert.deepEqual(await replayedFor(stage, late), ["Привет"]);
  assert.equal(await rowsOf(stage), before, "nobody has a row of it");
  const { broadcasts: listed, unread, version } = await broadcasts.list(late);
  assert.deepEqual([unread, version], [1, 1]);
  const [entry, ...rest] = await toldAll();
  assert.deepEqual(
    [entry?.id, entry?.type, entry?.actor, rest.length],
    [id, "broadcast.created", "key:1", 0],
  );
  assert.deepEqual(parseData<BroadcastCreatedData>(entry ?? assert.fail()), {
    broadcast: listed[0],
    version,
  });
});

test("what one person does with it is theirs, goes forward only, and leaves their own count as it is", async () => {
  const stage = await openBroadcastStage();
  const { store, broadcasts, tell, person, entries } = stage;
  const [ann, bob] = [await person(), await person()];
  const who = { userId: ann, actor: `user:${ann}` };
  await store.notify([requestTo([ann])]);
  const id = await tell({ message: "a" });
  const told: string[] = [];
  for (const state of ["seen", "read", "read", "seen", "archived", "read"] as const) {
    const { marked, unread, version } = await store.mark(who, { state, notification_ids: [id] });
    told.push(
      `${marked.map(({ notification_id }) => (notification_id === id ? "it" : "other")).join()} ${unread} ${version}`,
    );
  }
  assert.deepEqual(told, ["it 1 2", "it 1 3", " 1 3", " 1 3", "it 1 4", " 1 4"]);
  const [, seen] = await entries(ann);
  assert.deepEqual(parseData<NotificationMarkedData>(seen ?? assert.fail()), {
    state: "seen",
    notifications: [
      { notification_id: id, stream_id: (await broadcasts.list(bob)).broadcasts[0]?.stream_id },
    ],
    unread: 1,
    version: 2,
  });
  assert.deepEqual(
    [await listedFor(stage, ann), await listedFor(stage, bob), (await broadcasts.list(ann)).unread],
    [[], ["a unread"], 0],
  );
  assert.deepEqual(await entries(bob), []);
});

test("all up to a place are marked, those for everybody only if the place is one of theirs", async () => {
  const stage = await openBroadcastStage();
  const { store, tell, person, clock } = stage;
  const ann = await person();
  await store.notify([requestTo([ann], { message: "own 1" })]);
  await tell({ message: "all 1" });
  clock.advance(1);
  await store.notify([requestTo([ann], { message: "own 2" })]);
  await tell({ message: "all 2" });
  const [page = []] = await store.replay([{ userId: ann, after: toldNothing }]);
  assert.deepEqual(
    page.map(({ message }) => message),
    ["own 1", "all 1", "own 2", "all 2"],
  );
  const who = { userId: ann, actor: `user:${ann}` };
  const upTo = async (place: number): Promise<readonly string[]> => {
    const { marked } = await store.mark(who, { state: "read", up_to: page[place]?.stream_id ?? "" });
    return marked.map((one) => page.find((told) => told.stream_id === one.stream_id)?.message ?? "another");
  };
  assert.deepEqual(await upTo(2), ["own 1", "own 2"]);
  assert.deepEqual(await replayedFor(stage, ann), ["all 1", "all 2"]);
  await store.notify([requestTo([ann], { message: "own 3" })]);
  assert.deepEqual(await upTo(1), ["all 1"]);
  assert.deepEqual(await replayedFor(stage, ann), ["own 3", "all 2"]);
});

test("what is hidden from somebody they never read with all the rest", async () => {
  const stage = await openBroadcastStage();
  const { store, broadcasts, tell, person, clock } = stage;
  const ann = await person();
  const who = { userId: ann, actor: `user:${ann}` };
  const readAll = async (): Promise<number> => {
    const { marked } = await store.mark(who, { state: "read", up_to: `${clock.now()}-999999999` });
    return marked.length;
  };
  const wish = (wishes: Partial<Preferences>) => store.setPreferences(who, wishes);
  await tell({ message: "news", category: "news" });
  await tell({ message: "alarm", critical: true });
  await wish({ muted_until: new Date(clock.now() + 1_000).toISOString() });
  assert.equal(await readAll(), 1, "the critical one");
  clock.advance(1_000);
  await wish({ categories: { news: { inbox: "off", push: false } } });
  assert.equal(await readAll(), 0);
  await wish({});
  assert.deepEqual(await listedFor(stage, ann), ["alarm read", "news unread"]);
  assert.equal((await broadcasts.list(ann)).unread, 1);
  assert.equal(await readAll(), 1);
});

test("places grow, also when the clock is set back, and are never those of a person's own", async () => {
  const { broadcasts, clock, person, tell } = await openBroadcastStage();
  const ann = await person();
  for (const ms of [0, 0, -5_000, 1, 10_000]) {
    clock.advance(ms);
    await tell({ ttl_s: 60 });
  }
  const places = (await broadcasts.list(ann)).broadcasts
    .toReversed()
    .map(({ stream_id }) => stream_id.split("-").map(Number));
  assert.equal(places.length, 5);
  for (const [i, [ms = 0, n = 0]] of places.entries()) {
    const [lastMs = 0, lastN = 0] = places[i - 1] ?? [];
    assert.ok(ms > lastMs || (ms === lastMs && n > lastN), JSON.stringify(places));
    assert.ok(n >= broadcastCountMin);
  }
});

test("the same request under the same key has its effect once, and another one is refused", async () => {
  const stage = await openBroadcastStage();
  const { broadcasts, tell, person, toldAll } = stage;
  const ann = await person();
  const first = await tell({ key: "k1", message: "a" });
  const again = await broadcasts.tell({ key: "k1", message: "a", source: "test", actor: "key:1" });
  assert.deepEqual([again.accepted.broadcast_id, again.replayed], [first, true]);
  await assert.rejects(tell({ key: "k1", message: "b" }), { code: "idempotency_mismatch" });
  assert.notEqual(await tell({ key: "k1", message: "a", actor: "key:2" }), first);
  const answers = await Promise.all(
    Array.from({ length: 20 }, () =>
      tell({ key: "k2", message: "c" }).catch((error: { readonly code: string }) => error.code),
    ),
  );
  assert.equal(new Set(answers.filter((answer) => answer !== "request_in_flight")).size, 1);
  assert.deepEqual(await listedFor(stage, ann), ["c unread", "a unread", "a unread"]);
  assert.equal((await toldAll()).length, 3);
});

test("so many live at a time, and not one more; what has ended takes no place", async () => {
  const stage = await openBroadcastStage();
  const { broadcasts, tell, clock, person } = stage;
  const ann = await person();
  const outcomes = await Promise.all(
    Array.from({ length: limits.broadcasts + 1 }, (_, n) =>
      tell({ ttl_s: 60, key: `k${n}` }).catch((error: { readonly code: string }) => error.code),
    ),
  );
  const refused = outcomes.indexOf("conflict");
  assert.deepEqual(
    outcomes.filter((outcome) => outcome === "conflict"),
    ["conflict"],
  );
  assert.equal((await broadcasts.list(ann)).unread, limits.broadcasts);
  clock.advance(60_000);
  assert.deepEqual(await listedFor(stage, ann), []);
  await tell({ message: "next", key: `k${refused}`, ttl_s: 60 });
  assert.deepEqual(await listedFor(stage, ann), ["next unread"]);
  assert.equal(await broadcasts.expire(never), limits.broadcasts);
  assert.equal(await broadcasts.expire(never), 0);
  assert.deepEqual(await listedFor(stage, ann), ["next unread"]);
});

test("what is withdrawn is gone for everybody, who are told so once", async () => {
  const stage = await openBroadcastStage();
  const { broadcasts, store, tell, toldAll, person } = stage;
  const ann = await person();
  const [id, left] = [await tell({ message: "a" }), await tell({ message: "b" })];
  const [, place] = (await broadcasts.list(ann)).broadcasts;
  assert.deepEqual(
    [await broadcasts.withdraw(id, "key:2"), await broadcasts.withdraw(id, "key:2")],
    [true, false],
  );
  assert.deepEqual([await listedFor(stage, ann), await replayedFor(stage, ann)], [["b unread"], ["b"]]);
  const [, , entry, ...rest] = await toldAll();
  assert.deepEqual([entry?.type, entry?.actor, rest], ["broadcast.expired", "key:2", []]);
  assert.deepEqual(parseData<BroadcastExpiredData>(entry ?? assert.fail()), {
    broadcasts: [{ notification_id: id, stream_id: place?.stream_id }],
    version: 3,
  });
  const { marked } = await store.mark(
    { userId: ann, actor: `user:${ann}` },
    { state: "read", notification_ids: [id, left] },
  );
  assert.deepEqual(
    marked.map(({ notification_id }) => notification_id),
    [left],
  );
});

test("what somebody has turned off or muted they are not told, but for what is critical", async () => {
  const stage = await openBroadcastStage();
  const { store, broadcasts, tell, clock, person } = stage;
  const [ann, bob] = [await person(), await person()];
  const wish = (userId: number, preferences: Partial<Preferences>) =>
    store.setPreferences({ userId, actor: `user:${userId}` }, preferences);
  await tell({ message: "news", category: "news" });
  await tell({ message: "alarm", category: "news", critical: true });
  await tell({ message: "rest", category: "constructor" });
  const off = { inbox: "off", push: false } as const;
  await wish(ann, { categories: { news: off } });
  assert.deepEqual(await listedFor(stage, ann), ["rest unread", "alarm unread"]);
  assert.deepEqual(await replayedFor(stage, ann), ["alarm", "rest"]);
  const { unread, preferences } = await broadcasts.list(ann);
  assert.deepEqual([unread, preferences.categories], [2, { news: off }]);
  await wish(ann, { default: off, categories: { news: { inbox: "digest", push: false } } });
  assert.deepEqual(await listedFor(stage, ann), ["alarm unread", "news unread"]);
  await wish(ann, { quiet_hours: { from: "00:00", to: "23:59" } });
  assert.equal((await listedFor(stage, ann)).length, 3, "quiet hours hold nothing that everybody is told");
  await wish(ann, { muted_until: new Date(clock.now() + 1_000).toISOString() });
  assert.deepEqual(await replayedFor(stage, ann), ["alarm"]);
  assert.equal((await listedFor(stage, bob)).length, 3);
  clock.advance(1_000);
  assert.equal((await replayedFor(stage, ann)).length, 3);
});

test("what a person did with broadcasts is kept only of those that live", async () => {
  const { store, tell, clock, person, db } = await openBroadcastStage();
  const ann = await person();
  const who = { userId: ann, actor: `user:${ann}` };
  const marks = async (): Promise<number> => {
    const { rows } = await db.query<{ marks: object }>(
      "select broadcast_marks as marks from notification_person where user_id = $1",
      [ann],
    );
    return Object.keys(rows[0]?.marks ?? {}).length;
  };
  for (let n = 0; n < limits.broadcasts; n++) await tell({ ttl_s: 60 });
  const { marked } = await store.mark(who, { state: "seen", up_to: `${clock.now()}-999999999` });
  assert.deepEqual([marked.length, await marks()], [limits.broadcasts, limits.broadcasts]);
  clock.advance(60_000);
  const id = await tell();
  await store.mark(who, { state: "read", notification_ids: [id] });
  assert.equal(await marks(), 1);
});

test("a replay comes page by page with what everybody is told among it, in order and without a gap", async () => {
  const stage = await openBroadcastStage();
  const { store, tell, clock, person } = stage;
  const ann = await person();
  const words: string[] = [];
  for (let n = 0; n < replayPageRows * 2; n++) {
    clock.advance(n % 3 === 0 ? 1 : 0);
    words.push(`m${n}`);
    // Of one millisecond a person's own come first.
    if (n % 3 === 2) await tell({ message: `m${n}` });
    else await store.notify([requestTo([ann], { message: `m${n}` })]);
  }
  const heard: string[] = [];
  for (let after = toldNothing; ;) {
    const [page = []] = await store.replay([{ userId: ann, after }]);
    assert.ok(page.length <= replayPageRows);
    heard.push(...page.map(({ message }) => message));
    if (page.length < replayPageRows) break;
    after = toldWith(after, page);
  }
  assert.deepEqual(heard, words);
});

test("a day that no calendar has is refused, and how long it lives is said by the request, its source, or the server", async () => {
  const { broadcasts, tell, clock, person } = await openBroadcastStage();
  const ann = await person();
  await assert.rejects(tell({ created_at: "2024-02-30T00:00:00Z" }), { code: "invalid_body" });
  await tell({ source: "brief", ttl_s: 60 });
  await tell({ source: "brief" });
  await tell({ created_at: "2024-01-01T12:00:00Z" });
  const { broadcasts: listed } = await broadcasts.list(ann);
  assert.deepEqual(
    listed.map(({ expires_at }) => (Date.parse(expires_at) - clock.now()) / 1_000),
    [900, 1, 60],
  );
  assert.equal(listed[0]?.created_at, "2024-01-01T12:00:00.000Z");
});
