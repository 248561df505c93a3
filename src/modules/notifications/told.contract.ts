import assert from "node:assert/strict";
import { test } from "node:test";
import type { NotificationCreatedData, Unread } from "../../../protocol/notifications.ts";
import { limits } from "../../../protocol/limits.ts";
import { parseData } from "../../eventlog/eventlog.ts";
import { idsOf, requestTo } from "./requests.fixture.ts";
import { toldNothing } from "./store.ts";
import type { StoreUnderTest } from "./store-under-test.fixture.ts";

const never = new AbortController().signal;

/** What every store promises (`store.ts`) of what is told, counted and marked, and of how much is kept. */
export function testTold(name: string, open: () => Promise<StoreUnderTest>): void {
  test(`${name}: what people are told is listed, counted, replayed and told by entries, with one count`, async () => {
    const { store, person, entries } = await open();
    const [ann, bob] = [await person(), await person()];
    const [answer] = await store.notify([requestTo([ann, bob], { message: "Привет", link: "/x" })]);
    const [annsId = "", bobsId = ""] = idsOf(answer);
    assert.notEqual(annsId, bobsId);
    const { notifications, unread, version, next_cursor } = await store.list(ann, {});
    assert.deepEqual({ unread, version, next_cursor }, { unread: 1, version: 1, next_cursor: null });
    const [notification] = notifications;
    assert.deepEqual(
      [notification?.notification_id, notification?.message, notification?.status, notification?.link],
      [annsId, "Привет", "unread", "/x"],
    );
    assert.deepEqual(await store.unread(bob), { unread: 1, version: 1 });
    assert.deepEqual(await store.replay([{ userId: ann, after: toldNothing }]), [notifications]);
    const [entry, ...rest] = await entries(ann);
    assert.ok(entry !== undefined);
    assert.deepEqual(
      [entry.id, entry.type, entry.actor, rest.length],
      [annsId, "notification.created", "key:1", 0],
    );
    const told: NotificationCreatedData = parseData(entry);
    assert.deepEqual(told, { notification, unread: 1, version: 1 });
  });

  test(`${name}: a state only goes forward, and marking again changes nothing and tells nobody`, async () => {
    const { store, person, entries } = await open();
    const ann = await person();
    const who = { userId: ann, actor: `user:${ann}` };
    const [answer] = await store.notify([requestTo([ann])]);
    const [id = ""] = idsOf(answer);
    const counts: Unread[] = [];
    for (const state of ["seen", "read", "read", "seen", "archived", "read"] as const) {
      const { marked, ...count } = await store.mark(who, { state, notification_ids: [id] });
      counts.push(count);
      if (counts.length === 3 || counts.length === 4 || counts.length === 6) assert.deepEqual(marked, []);
    }
    assert.deepEqual(
      counts.map(({ unread, version }) => `${unread} ${version}`),
      ["1 2", "0 3", "0 3", "0 3", "0 4", "0 4"],
    );
    assert.deepEqual(
      (await entries(ann)).map(({ type, actor }) => `${type} ${actor}`),
      ["notification.created key:1", ...Array.from({ length: 3 }, () => `notification.marked user:${ann}`)],
    );
    assert.deepEqual((await store.list(ann, {})).notifications, []);
    assert.equal((await store.list(ann, { state: "any" })).notifications[0]?.status, "archived");
  });

  test(`${name}: nobody marks what is somebody else's`, async () => {
    const { store, person } = await open();
    const [ann, bob] = [await person(), await person()];
    const [answer] = await store.notify([requestTo([ann])]);
    const mark = { state: "read", notification_ids: idsOf(answer) } as const;
    const { marked } = await store.mark(
      { userId: bob, actor: `user:${bob}` },
      { ...mark, notification_ids: [...mark.notification_ids] },
    );
    assert.deepEqual(marked, []);
    assert.equal((await store.unread(ann)).unread, 1);
  });

  test(`${name}: targets that cannot be told are named in their place, and the rest is told once each`, async () => {
    const { store, person } = await open();
    const [ann, bob] = [await person(), await person()];
    const targets = [{ id: ann }, { id: 999_999 }, { id: bob, login: "somebody-else" }, { id: ann }];
    const [answer] = await store.notify([requestTo([], { targets })]);
    const [first, ...rest] = idsOf(answer);
    assert.deepEqual(rest, ["unknown_person", "login_mismatch", first]);
    assert.deepEqual([(await store.unread(ann)).unread, (await store.unread(bob)).unread], [1, 0]);
  });

  test(`${name}: a person is kept so many notifications, and not one more`, async () => {
    const { store, person, clock, stepMax } = await open();
    const [ann, bob] = [await person(), await person()];
    const many = Array.from({ length: limits.notificationsPerPerson }, () => requestTo([ann], { ttlS: 60 }));
    for (let from = 0; from < many.length; from += 2_000) await store.notify(many.slice(from, from + 2_000));
    const [answer] = await store.notify([requestTo([ann, bob])]);
    assert.deepEqual(idsOf(answer)[0], "inbox_full");
    assert.equal((await store.unread(bob)).unread, 1);
    // What has ended takes no place, also while it waits to be removed.
    clock.advance(60_000);
    assert.equal(idsOf((await store.notify([requestTo([ann])]))[0]).includes("inbox_full"), false);
    assert.deepEqual(await store.unread(ann), { unread: 1, version: limits.notificationsPerPerson + 1 });
    assert.ok(limits.notificationsPerPerson > stepMax.removed, "more than one step removes");
    assert.equal(await store.expire(never), limits.notificationsPerPerson);
    assert.equal((await store.unread(ann)).unread, 1);
    assert.equal(idsOf((await store.notify([requestTo([ann])]))[0]).includes("inbox_full"), false);
  });

  test(`${name}: what was read makes room for what is new, the oldest first; what is unread never does`, async () => {
    const { store, person } = await open();
    const ann = await person();
    const who = { userId: ann, actor: `user:${ann}` };
    const many = Array.from({ length: limits.notificationsPerPerson }, () => requestTo([ann]));
    const answers = (
      await Promise.all([0, 1, 2, 3, 4].map((n) => store.notify(many.slice(n * 2_000, (n + 1) * 2_000))))
    ).flat();
    assert.equal(answers.length, limits.notificationsPerPerson);
    const [oldest] = (await store.replay([{ userId: ann, after: toldNothing }]))[0] ?? [];
    await store.mark(who, { state: "read", up_to: oldest?.stream_id ?? "" });
    const [fits, full] = await store.notify([requestTo([ann]), requestTo([ann])]);
    assert.deepEqual([idsOf(fits).includes("inbox_full"), idsOf(full)], [false, ["inbox_full"]]);
    const { notifications } = await store.list(ann, { state: "read" });
    assert.deepEqual(notifications, [], "the one that was read has made room");
    assert.equal((await store.unread(ann)).unread, limits.notificationsPerPerson);
  });
}
