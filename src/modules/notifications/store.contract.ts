import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type MarkedState,
  type NotificationCreatedData,
  type NotificationExpiredData,
  type NotificationMarkedData,
  type NotificationState,
  type Unread,
  notificationStates,
} from "../../../protocol/notifications.ts";
import { uuidv7 } from "../../../protocol/ids.ts";
import { limits } from "../../../protocol/limits.ts";
import { eventually } from "../../../test/harness.ts";
import { parseData } from "../../eventlog/eventlog.ts";
import type { Stage } from "./notifications.fixture.ts";
import { idsOf, requestTo } from "./requests.fixture.ts";
import { replayPageRows, toldNothing, toldWith } from "./store.ts";

const never = new AbortController().signal;

/** What every store promises (`store.ts`), tried on one. */
export function testNotificationStore(name: string, open: () => Promise<Stage>): void {
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
    const { store, person, clock } = await open();
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

  test(`${name}: what ends while others are waited for is not counted by who has waited`, async () => {
    const { store, person, clock, db } = await open();
    const ann = await person();
    await store.notify([requestTo([ann], { ttlS: 5 }), requestTo([ann])]);
    const locked = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    const holding = db.transaction(async (tx) => {
      await tx.query("select from notification_person where user_id = $1 for update", [ann]);
      locked.resolve();
      await released.promise;
    });
    await locked.promise;
    const telling = store.notify([requestTo([ann])]);
    await eventually("it waits", async () => {
      const { rows } = await db.query("select from pg_locks where not granted");
      return rows.length > 0;
    });
    clock.advance(6_000);
    released.resolve();
    await Promise.all([holding, telling]);
    assert.deepEqual(await store.unread(ann), { unread: 2, version: 3 });
    const { notifications } = await store.list(ann, {});
    assert.equal(notifications[0]?.created_at, new Date(clock.now()).toISOString());
  });

  test(`${name}: the same request under the same key has its effect once, and another one is refused`, async () => {
    const { store, person } = await open();
    const ann = await person();
    const key = (fingerprint: string) => ({
      idempotency: { key: "k1", fingerprint: fingerprint.repeat(64) },
    });
    const [first, second, third] = await store.notify([
      requestTo([ann], key("a")),
      requestTo([ann], key("a")),
      requestTo([ann], key("b")),
    ]);
    assert.deepEqual(idsOf(second), idsOf(first));
    assert.deepEqual(idsOf(third), ["idempotency_mismatch"]);
    const [again, other, others] = await store.notify([
      requestTo([ann], key("a")),
      requestTo([ann], key("b")),
      requestTo([ann], { ...key("b"), actor: "key:2" }),
    ]);
    assert.deepEqual([idsOf(again), idsOf(other)], [idsOf(first), ["idempotency_mismatch"]]);
    assert.deepEqual(
      [first, second, again].map((answer) => answer !== undefined && "replayed" in answer && answer.replayed),
      [false, true, true],
    );
    assert.notDeepEqual(idsOf(others), idsOf(first));
    assert.equal((await store.unread(ann)).unread, 2);
  });

  test(`${name}: of the same key asked for from everywhere at once, one has its effect, the others are in flight or repeated`, async () => {
    const { store, person } = await open();
    const ann = await person();
    const idempotency = { key: "k2", fingerprint: "c".repeat(64) };
    const answers = (
      await Promise.all(Array.from({ length: 20 }, () => store.notify([requestTo([ann], { idempotency })])))
    ).flat();
    const codes = answers.map((answer) => idsOf(answer)[0] ?? "");
    const done = new Set(codes.filter((code) => code !== "request_in_flight"));
    assert.equal(done.size, 1);
    assert.equal((await store.unread(ann)).unread, 1);
  });

  test(`${name}: an attempt that is repeated because nobody knows what became of it has its effect once`, async () => {
    const { store, person } = await open();
    const [ann, bob] = [await person(), await person()];
    const request = requestTo([ann, bob]);
    const [first] = await store.notify([request]);
    const [again] = await store.notify([request], { again: true });
    assert.deepEqual(idsOf(again), idsOf(first));
    assert.deepEqual(await store.unread(ann), { unread: 1, version: 1 });
  });

  test(`${name}: a replay comes page by page, of several people at once, in order and without a gap`, async () => {
    const { store, person, clock } = await open();
    const [ann, bob] = [await person(), await person()];
    const ids: string[] = [];
    for (let n = 0; n <= replayPageRows; n++) {
      if (n % 7 === 0) clock.advance(1);
      const [answer] = await store.notify([requestTo([ann])]);
      ids.push(...idsOf(answer));
    }
    await store.notify([requestTo([bob])]);
    const [first = [], bobs = []] = await store.replay([
      { userId: ann, after: toldNothing },
      { userId: bob, after: toldNothing },
    ]);
    assert.deepEqual([first.length, bobs.length], [replayPageRows, 1]);
    const [rest = []] = await store.replay([{ userId: ann, after: toldWith(toldNothing, first) }]);
    assert.deepEqual(
      [...first, ...rest].map(({ notification_id }) => notification_id),
      ids,
    );
    const pages: string[] = [];
    let cursor: string | null = null;
    do {
      const page = await store.list(ann, { limit: 20, ...(cursor === null ? {} : { cursor }) });
      pages.push(...page.notifications.map(({ notification_id }) => notification_id));
      cursor = page.next_cursor;
    } while (cursor !== null);
    assert.deepEqual(pages, ids.toReversed());
  });

  testProperty(name, open);
}

type Known = {
  readonly id: string;
  readonly streamId: string;
  readonly endsMs: number;
  state: NotificationState;
  removed: boolean;
};

const markedStates: readonly MarkedState[] = ["seen", "read", "archived"];
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      tell: fc.array(fc.nat(2), { minLength: 1, maxLength: 4 }),
      ttlS: fc.constantFrom(1, 2, 60),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      mark: fc.nat(2),
      which: fc.array(fc.nat(30), { maxLength: 5 }),
      state: fc.constantFrom(...markedStates),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ markUpTo: fc.nat(2), place: fc.nat(30), state: fc.constantFrom(...markedStates) }),
  },
  { weight: 2, arbitrary: fc.record({ passMs: fc.constantFrom(1, 500, 1_000, 2_000) }) },
  { weight: 2, arbitrary: fc.constant({ expire: true } as const) },
);

function rank(state: NotificationState): number {
  return notificationStates.indexOf(state);
}

/** One person's notifications in a few lines: what the store must say. */
class Model {
  readonly all: Known[] = [];

  alive(nowMs: number): readonly Known[] {
    return this.all.filter(({ removed, endsMs }) => !removed && endsMs > nowMs);
  }

  unread(nowMs: number): number {
    return this.alive(nowMs).filter(({ state }) => rank(state) < rank("read")).length;
  }

  mark(fits: (known: Known) => boolean, state: MarkedState, nowMs: number): void {
    for (const known of this.alive(nowMs))
      if (fits(known) && rank(known.state) < rank(state)) known.state = state;
  }
}

/** The count as a device knows it that has heard every entry, and which it counts. */
function fold(entries: Awaited<ReturnType<Stage["entries"]>>): {
  readonly count: Unread;
  readonly open: ReadonlySet<string>;
} {
  const open = new Set<string>();
  let count: Unread = { unread: 0, version: 0 };
  for (const entry of entries) {
    const { unread, version } = parseData<Unread>(entry);
    assert.equal(version, count.version + 1, "no version is left out");
    count = { unread, version };
    if (entry.type === "notification.created") open.add(entry.id);
    else if (entry.type === "notification.expired") {
      for (const { notification_id } of parseData<NotificationExpiredData>(entry).notifications)
        open.delete(notification_id);
    } else {
      const { state, notifications } = parseData<NotificationMarkedData>(entry);
      if (state !== "seen") for (const { notification_id } of notifications) open.delete(notification_id);
    }
  }
  return { count, open };
}

function testProperty(name: string, open: () => Promise<Stage>): void {
  test(`${name}: whatever is told, marked and ends, every count equals a recount, and what has ended is nowhere`, async () => {
    const { store, person, clock, entries } = await open();
    /** The last entry of each person that was looked at. */
    const toldAt = new Map<number, string | undefined>();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25, size: "max" }), async (steps) => {
        const people = [await person(), await person(), await person()];
        const models = people.map(() => new Model());
        for (const one of steps) {
          if ("passMs" in one) clock.advance(one.passMs);
          else if ("expire" in one) {
            await store.expire(never);
            for (const { all } of models)
              for (const known of all) known.removed ||= known.endsMs <= clock.now();
          } else if ("tell" in one) {
            const targets = one.tell.map((n) => people[n] ?? 0);
            // Each by itself, all in one batch.
            const answers = await store.notify(targets.map((id) => requestTo([id], { ttlS: one.ttlS })));
            for (const [i, answer] of answers.entries()) {
              const [id = ""] = idsOf(answer);
              const endsMs = clock.now() + one.ttlS * 1_000;
              models[one.tell[i] ?? 0]?.all.push({
                id,
                streamId: "",
                endsMs,
                state: "unread",
                removed: false,
              });
            }
          } else {
            const n = "mark" in one ? one.mark : one.markUpTo;
            const [userId = 0, model = new Model()] = [people[n], models[n]];
            const who = { userId, actor: `user:${userId}` };
            if ("mark" in one) {
              // One that nobody has is among them now and then.
              const ids = one.which.map((at) => model.all[at % (model.all.length + 1)]?.id ?? uuidv7());
              if (ids.length === 0) continue;
              const { unread } = await store.mark(who, { state: one.state, notification_ids: ids });
              model.mark(({ id }) => ids.includes(id), one.state, clock.now());
              assert.equal(unread, model.unread(clock.now()));
            } else {
              const { notifications } = await store.list(userId, { state: "any", limit: limits.pageRows });
              const upTo = notifications[one.place % Math.max(1, notifications.length)];
              if (upTo === undefined) continue;
              const upToIds = new Set(
                notifications.slice(notifications.indexOf(upTo)).map((seen) => seen.notification_id),
              );
              await store.mark(who, { state: one.state, up_to: upTo.stream_id });
              model.mark(({ id }) => upToIds.has(id), one.state, clock.now());
            }
          }
          for (const [n, userId] of people.entries()) await compare(userId, models[n] ?? new Model());
        }
        for (const [n, userId] of people.entries()) await compareEntries(userId, models[n] ?? new Model());
        clock.advance(120_000);
        await store.expire(never);
      }),
      { numRuns: 80 },
    );

    async function compare(userId: number, model: Model): Promise<void> {
      const now = clock.now();
      const { unread, version } = await store.unread(userId);
      assert.equal(unread, model.unread(now));
      const listed = await store.list(userId, { state: "any", limit: limits.pageRows });
      assert.deepEqual(
        listed.notifications.map((seen) => `${seen.notification_id} ${seen.status}`),
        model
          .alive(now)
          .map(({ id, state }) => `${id} ${state}`)
          .toReversed(),
      );
      assert.deepEqual([listed.unread, listed.version], [unread, version]);
      const told = (await entries(userId)).at(-1);
      // What was told at this very moment is what counts at this moment.
      if (toldAt.get(userId) !== told?.id) {
        if (told !== undefined) assert.equal(parseData<Unread>(told).unread, unread, told.type);
        toldAt.set(userId, told?.id);
      }
      const [replayed = []] = await store.replay([{ userId, after: toldNothing }]);
      const open = model.alive(now).filter(({ state }) => rank(state) < rank("read"));
      assert.deepEqual(
        replayed.map((seen) => seen.notification_id),
        open.map(({ id }) => id).slice(0, replayPageRows),
      );
    }

    async function compareEntries(userId: number, model: Model): Promise<void> {
      const heard = fold(await entries(userId));
      assert.equal(heard.count.version, (await store.unread(userId)).version);
      // A device drops by itself what it knows to have ended.
      const alive = new Set(model.alive(clock.now()).map(({ id }) => id));
      const open = model.alive(clock.now()).filter(({ state }) => rank(state) < rank("read"));
      assert.deepEqual(
        [...heard.open].filter((id) => alive.has(id)).toSorted(),
        open.map(({ id }) => id).toSorted(),
      );
    }
  });
}
