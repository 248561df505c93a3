import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { BroadcastCreatedData, BroadcastExpiredData } from "../../../../protocol/broadcasts.ts";
import { limits } from "../../../../protocol/limits.ts";
import {
  type MarkedState,
  type NotificationMarkedData,
  type NotificationState,
  notificationStates,
} from "../../../../protocol/notifications.ts";
import { parseData } from "../../../eventlog/eventlog.ts";
import { type BroadcastStage, openBroadcastStage } from "./broadcasts.fixture.ts";
import { idsOf, requestTo } from "../requests.fixture.ts";
import { toldNothing } from "../store.ts";

const never = new AbortController().signal;
const people = 3;

/** Something that was told: to one person, or to everybody. */
type Known = {
  readonly id: string;
  readonly streamId: string;
  readonly endsMs: number;
  readonly category: string;
  readonly critical: boolean;
  /** Undefined for everybody. */
  readonly owner: number | undefined;
  /** What each of the people did with it. */
  readonly states: NotificationState[];
  over: boolean;
};

const category = fc.constantFrom("general", "news");
const ttlS = fc.constantFrom(1, 2, 60);
const who = fc.nat(people - 1);
const state = fc.constantFrom<MarkedState>("seen", "read", "archived");
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("tell" as const), who, ttlS, category }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("broadcast" as const),
      ttlS,
      category,
      critical: fc.constantFrom(false, false, true),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("mark" as const),
      who,
      which: fc.array(fc.nat(30), { minLength: 1, maxLength: 5 }),
      state,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("upTo" as const), who, which: fc.nat(30), state }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("withdraw" as const), which: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("expire" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("wish" as const), who, off: fc.boolean(), muteS: fc.nat(2) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.constantFrom(1, 500, 1_000, 2_000) }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

function rank(one: NotificationState): number {
  return notificationStates.indexOf(one);
}

function compare(a: Pick<Known, "streamId">, b: Pick<Known, "streamId">): number {
  const [aMs = 0, aN = 0] = a.streamId.split("-").map(Number);
  const [bMs = 0, bN = 0] = b.streamId.split("-").map(Number);
  return aMs - bMs || aN - bN;
}

/** Three people and what they were told, in a few lines: what a list, a count and a replay must say. */
class Model {
  readonly #stage: BroadcastStage;
  readonly ids: readonly number[];
  readonly all: Known[] = [];
  /** Of each person. */
  readonly wishes = Array.from({ length: people }, () => ({ off: false, mutedUntilMs: 0 }));

  constructor(stage: BroadcastStage, ids: readonly number[]) {
    this.#stage = stage;
    this.ids = ids;
  }

  add(known: Omit<Known, "states" | "over" | "endsMs"> & { readonly ttlS: number }): void {
    const endsMs = this.#stage.clock.now() + known.ttlS * 1_000;
    const states = Array.from({ length: people }, (): NotificationState => "unread");
    this.all.push({ ...known, endsMs, states, over: false });
  }

  /** What lives and concerns this person, in its order. */
  of(n: number): readonly Known[] {
    const now = this.#stage.clock.now();
    return this.all
      .filter(({ over, endsMs, owner }) => !over && endsMs > now && (owner === undefined || owner === n))
      .toSorted(compare);
  }

  /** And is shown to them. */
  shown(n: number): readonly Known[] {
    const { off, mutedUntilMs } = this.wishes[n] ?? assert.fail();
    const isMuted = mutedUntilMs > this.#stage.clock.now();
    return this.of(n).filter(
      (one) => one.owner !== undefined || one.critical || !(isMuted || (off && one.category === "news")),
    );
  }

  mark(n: number, fits: (known: Known) => boolean, to: MarkedState): readonly Known[] {
    const changed = this.of(n).filter((one) => fits(one) && rank(one.states[n] ?? "unread") < rank(to));
    for (const one of changed) one.states[n] = to;
    return changed;
  }
}

const isUnread = (n: number) => (one: Known) => rank(one.states[n] ?? "unread") < rank("read");

async function take(stage: BroadcastStage, model: Model, step: Step): Promise<void> {
  const { store, broadcasts, clock } = stage;
  const n = "who" in step ? step.who : 0;
  const userId = model.ids[n] ?? assert.fail();
  const actor = `user:${userId}`;
  const pick = (which: number): Known | undefined => model.all[which % Math.max(1, model.all.length)];
  switch (step.do) {
    case "tell": {
      const [answer] = await store.notify([requestTo([userId], { ...step, critical: true })]);
      const [id = ""] = idsOf(answer);
      const { notifications } = await store.list(userId, { limit: limits.pageRows });
      const streamId = notifications.find((one) => one.notification_id === id)?.stream_id ?? assert.fail();
      return model.add({ ...step, id, streamId, critical: true, owner: n });
    }
    case "broadcast": {
      const { ttlS, category, critical } = step;
      const told = { message: "all", source: "test", actor: "key:1", ttl_s: ttlS, category, critical };
      const { accepted } = await broadcasts.tell(told);
      const { broadcast_id: id, stream_id: streamId } = accepted;
      return model.add({ id, streamId, ttlS, category, critical, owner: undefined });
    }
    case "mark": {
      const ids = step.which.flatMap((which) => pick(which)?.id ?? []);
      if (ids.length === 0) return;
      const { marked } = await store.mark({ userId, actor }, { state: step.state, notification_ids: ids });
      const changed = model.mark(n, ({ id }) => ids.includes(id), step.state);
      return assert.deepEqual(
        marked.map((one) => one.notification_id),
        changed.map(({ id }) => id),
      );
    }
    case "upTo": {
      const one = pick(step.which);
      if (one === undefined) return;
      const { marked } = await store.mark({ userId, actor }, { state: step.state, up_to: one.streamId });
      // Broadcasts are left alone unless the place is one of theirs, and then by whom they are hidden from.
      const shown = one.owner === undefined ? model.shown(n) : [];
      const fits = (other: Known): boolean => other.owner !== undefined || shown.includes(other);
      const changed = model.mark(n, (other) => compare(other, one) <= 0 && fits(other), step.state);
      return assert.deepEqual(
        marked.map((each) => each.notification_id),
        changed.map(({ id }) => id),
      );
    }
    case "withdraw": {
      const one = pick(step.which);
      if (one === undefined) return;
      await broadcasts.withdraw(one.id, "key:1");
      one.over ||= one.owner === undefined;
      return;
    }
    case "expire":
      await broadcasts.expire(never);
      await store.expire(never);
      return;
    case "wish": {
      const mutedUntilMs = step.muteS === 0 ? 0 : clock.now() + step.muteS * 1_000;
      model.wishes[n] = { off: step.off, mutedUntilMs };
      await store.setPreferences(
        { userId, actor },
        {
          ...(step.off ? { categories: { news: { inbox: "off", push: false } } } : {}),
          ...(step.muteS === 0 ? {} : { muted_until: new Date(mutedUntilMs).toISOString() }),
        },
      );
      return;
    }
    case "pass":
      clock.advance(step.ms);
  }
}

async function check(stage: BroadcastStage, model: Model): Promise<void> {
  for (const [n, userId] of model.ids.entries()) {
    const { broadcasts: listed, unread } = await stage.broadcasts.list(userId);
    const shown = model.shown(n);
    const shared = shown.filter(({ owner }) => owner === undefined);
    assert.deepEqual(
      listed.map((one) => `${one.notification_id} ${one.stream_id} ${one.status}`).toReversed(),
      shared
        .filter(({ states }) => states[n] !== "archived")
        .map(({ id, streamId, states }) => `${id} ${streamId} ${states[n]}`),
    );
    assert.equal(unread, shared.filter(isUnread(n)).length);
    assert.equal(
      (await stage.store.unread(userId)).unread,
      shown.filter((one) => one.owner !== undefined && isUnread(n)(one)).length,
      "their own count is that of their own",
    );
    const [replayed = []] = await stage.store.replay([{ userId, after: toldNothing }]);
    assert.deepEqual(
      replayed.map((one) => one.notification_id),
      shown.filter(isUnread(n)).map(({ id }) => id),
    );
  }
}

/** What a device knows that has heard every entry for everybody, and which of its person's marks it was told of. */
async function checkEntries(stage: BroadcastStage, model: Model, from: number): Promise<number> {
  const entries = await stage.toldAll();
  const heard = new Map<string, NotificationState>();
  let last = 0;
  for (const [i, entry] of entries.entries()) {
    const { version } = parseData<{ version: number }>(entry);
    assert.equal(version, i + 1, "no version is left out");
    last = version;
    if (entry.type === "broadcast.created") {
      const { broadcast } = parseData<BroadcastCreatedData>(entry);
      assert.equal(broadcast.notification_id, entry.id);
      if (i >= from) heard.set(broadcast.notification_id, "unread");
    } else
      for (const { notification_id: id } of parseData<BroadcastExpiredData>(entry).broadcasts)
        heard.delete(id);
  }
  const [userId = 0] = model.ids;
  assert.equal((await stage.broadcasts.list(userId)).version, last);
  for (const entry of await stage.entries(userId)) {
    if (entry.type !== "notification.marked") continue;
    const { state, notifications } = parseData<NotificationMarkedData>(entry);
    for (const { notification_id: id } of notifications) if (heard.has(id)) heard.set(id, state);
  }
  assert.deepEqual(
    model
      .of(0)
      .filter(({ owner }) => owner === undefined)
      .map(({ id, states }) => `${id} ${heard.get(id)} ${states[0]}`),
    model
      .of(0)
      .filter(({ owner }) => owner === undefined)
      .map(({ id, states }) => `${id} ${states[0]} ${states[0]}`),
  );
  return entries.length;
}

test("whatever everybody and each is told, marks, turns off and withdraws, each has what a model says", async () => {
  const stage = await openBroadcastStage();
  let told = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25, size: "max" }), async (steps) => {
      const ids = [await stage.person(), await stage.person(), await stage.person()];
      const model = new Model(stage, ids);
      for (const one of steps) {
        await take(stage, model, one);
        await check(stage, model);
      }
      told = await checkEntries(stage, model, told);
      stage.clock.advance(120_000);
      await stage.broadcasts.expire(never);
      await stage.store.expire(never);
      told = (await stage.toldAll()).length;
    }),
    { numRuns: 40 },
  );
});
