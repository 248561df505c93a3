import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type MarkedState,
  type NotificationExpiredData,
  type NotificationMarkedData,
  type NotificationState,
  type Unread,
  notificationStates,
} from "../../../protocol/notifications.ts";
import { uuidv7 } from "../../../protocol/ids.ts";
import { limits } from "../../../protocol/limits.ts";
import { parseData } from "../../eventlog/eventlog.ts";
import { idsOf, requestTo } from "./requests.fixture.ts";
import { replayPageRows, toldNothing } from "./store.ts";
import type { StoreUnderTest } from "./store-under-test.fixture.ts";

const never = new AbortController().signal;

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
function fold(entries: Awaited<ReturnType<StoreUnderTest["entries"]>>): {
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

/** What every store promises (`store.ts`), whatever happens in whatever order. */
export function testCounts(name: string, open: () => Promise<StoreUnderTest>): void {
  test(`${name}: whatever is told, marked and ends, every count equals a recount, and what has ended is nowhere`, async () => {
    const { store, person, clock, entries, audit } = await open();
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
      await audit(userId);
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
