import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { BroadcastList } from "../protocol/broadcasts.ts";
import { limits } from "../protocol/limits.ts";
import type { MarkedState, Notification, NotificationPage } from "../protocol/notifications.ts";
import { defaultPreferences } from "../protocol/preferences.ts";
import {
  type BroadcastsState,
  applyBroadcastEntry,
  applyBroadcastList,
  broadcastMarksMax,
  emptyBroadcasts,
  expireBroadcasts,
  isOutdatedList,
  markBroadcasts,
  mutedUntil,
  nextBroadcastEnd,
  together,
  unreadBroadcasts,
} from "./broadcast-state.ts";
import { NotificationServer } from "./notification-server.fixture.ts";
import {
  type NotificationsState,
  applyNotificationEntry,
  applyNotificationPage,
  emptyNotifications,
  expireNotifications,
} from "./notification-state.ts";
import { isUnread } from "./notification-view.ts";

const idOf = ({ notification_id }: Notification): string => notification_id;

/** A device that hears both topics, each as far as it is told to, and reads lists and pages as the store does. */
class Device {
  own: NotificationsState = emptyNotifications;
  shared: BroadcastsState = emptyBroadcasts;
  readonly #server: NotificationServer;
  readonly #heard: { own: number; shared: number };
  /** What was read and has not come yet. */
  readonly #pages: NotificationPage[] = [];
  readonly #lists: { readonly list: BroadcastList; readonly wishes: number }[] = [];
  #wishes = 0;

  constructor(server: NotificationServer) {
    this.#server = server;
    this.#heard = { own: server.log.length, shared: server.board.log.length };
    this.ask();
  }

  get view(): NotificationsState {
    return together(this.own, this.shared);
  }

  hear(which: "own" | "shared", count = Number.POSITIVE_INFINITY): void {
    const { log, board, now } = this.#server;
    const entries = (which === "own" ? log : board.log).slice(this.#heard[which], this.#heard[which] + count);
    for (const entry of entries) {
      if (which === "own") this.own = applyNotificationEntry(this.own, entry, now);
      this.shared = applyBroadcastEntry(this.shared, entry, now);
      this.#heard[which]++;
      if (entry.type !== "notification.preferences") continue;
      this.#wishes++;
      this.ask();
    }
  }

  ask(): void {
    this.#pages.push(this.#server.page(10_000));
    this.#lists.push({ list: this.#server.board.list(), wishes: this.#wishes });
  }

  /** One after the other; what is of no use any more is asked for again. */
  arrive(): void {
    const { now } = this.#server;
    const [page, answer] = [this.#pages.shift(), this.#lists.shift()];
    if (page !== undefined) this.own = applyNotificationPage(this.own, page, now);
    if (answer === undefined) return;
    if (answer.wishes !== this.#wishes || isOutdatedList(this.shared, answer.list)) this.ask();
    else this.shared = applyBroadcastList(this.shared, answer.list, now);
  }

  /** Until nothing is on its way any more. */
  settle(): void {
    this.hear("shared");
    this.hear("own");
    this.ask();
    while (this.#lists.length > 0) this.arrive();
  }

  miss(): void {
    this.#heard.own = this.#server.log.length;
    this.#heard.shared = this.#server.board.log.length;
    this.ask();
    // As after every gap: what is on its way from before it is asked for once more.
    this.#wishes++;
    this.ask();
  }

  mark(state: MarkedState, ids: readonly string[]): void {
    this.shared = markBroadcasts(this.shared, state, ids);
  }

  pass(): void {
    this.own = expireNotifications(this.own, this.#server.now);
    this.shared = expireBroadcasts(this.shared, this.#server.now);
  }
}

const state = fc.constantFrom<MarkedState>("seen", "read", "archived");
const ttl = fc.integer({ min: 1, max: 60 });
const step = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant("tell" as const), ttl }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("broadcast" as const),
      ttl,
      category: fc.constantFrom("general", "news"),
      critical: fc.constantFrom(false, false, true),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom("elsewhere" as const, "here" as const, "upTo" as const),
      which: fc.nat(9),
      state,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("withdraw" as const), which: fc.nat(9) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("wish" as const), off: fc.boolean(), muteMs: fc.nat(20) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom("expire" as const, "ask" as const, "arrive" as const) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("miss" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.integer({ min: 1, max: 20 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("hear" as const),
      which: fc.constantFrom("own" as const, "shared" as const),
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** What was marked on the device, and is told to the server in the end. */
type Untold = { readonly id: string; readonly state: MarkedState };

function take(step: Step, server: NotificationServer, device: Device, untold: Untold[]): void {
  const { board } = server;
  switch (step.do) {
    case "tell":
      return void server.tell(step.ttl);
    case "broadcast":
      return void board.tell(step.ttl, { category: step.category, critical: step.critical });
    case "elsewhere":
    case "upTo": {
      const living = board.living();
      const one = living[step.which % Math.max(1, living.length)];
      if (one === undefined) return;
      const which = step.do === "upTo" ? { up_to: one.stream_id } : { notification_ids: [idOf(one)] };
      return void server.mark({ state: step.state, ...which });
    }
    case "here": {
      const { broadcasts } = device.shared;
      const one = broadcasts[step.which % Math.max(1, broadcasts.length)];
      if (one === undefined) return;
      device.mark(step.state, [idOf(one)]);
      untold.push({ id: idOf(one), state: step.state });
      return;
    }
    case "withdraw": {
      const living = board.living();
      const one = living[step.which % Math.max(1, living.length)];
      return one === undefined ? undefined : board.withdraw([idOf(one)]);
    }
    case "wish":
      return server.wish({
        categories: step.off ? { news: { inbox: "off", push: false } } : {},
        muted_until: step.muteMs === 0 ? null : new Date(server.now + step.muteMs).toISOString(),
      });
    case "expire":
      server.expire();
      return board.expire();
    case "ask":
      return device.ask();
    case "arrive":
      return device.arrive();
    case "miss":
      return device.miss();
    case "pass":
      server.now += step.ms;
      return;
    case "hear":
      return device.hear(step.which, step.count);
  }
}

/** What is shown is there once, has not ended, is counted, and had not gone before. */
function watch(server: NotificationServer) {
  const shown = new Set<string>();
  let last = new Set<string>();
  return (view: NotificationsState): void => {
    const ids = view.notifications.map(idOf);
    assert.equal(new Set(ids).size, ids.length, "each one once");
    for (const id of ids) {
      assert.ok(last.has(id) || !shown.has(id), "nothing is shown again");
      shown.add(id);
    }
    for (const { expires_at } of view.notifications)
      assert.ok(Date.parse(expires_at) > server.now, "it has not ended");
    assert.equal(
      view.unread,
      view.notifications.filter(({ status }) => isUnread(status)).length,
      "the count is that of what is shown",
    );
    last = new Set(ids);
  };
}

test("whatever order both topics and all lists come in, a device has what the server has in the end, and its count", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const server = new NotificationServer();
      server.board.tell(30);
      server.tell(30);
      const device = new Device(server);
      device.arrive();
      const untold: Untold[] = [];
      for (const one of steps) {
        take(one, server, device, untold);
        device.pass();
      }
      device.settle();
      for (const { id, state } of untold) server.mark({ state, notification_ids: [id] });
      device.settle();
      assert.deepEqual(
        device.shared.broadcasts.map((one) => `${idOf(one)} ${one.status}`),
        server.board
          .list()
          .broadcasts.toReversed()
          .map((one) => `${idOf(one)} ${one.status}`),
      );
      assert.equal(device.view.unread, server.unread().unread + server.board.list().unread);
    }),
    { numRuns: 1_000 },
  );
});

test("no broadcast that had gone is shown again, whatever is heard and read in whatever order", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const server = new NotificationServer();
      const device = new Device(server);
      device.arrive();
      const look = watch(server);
      for (const one of steps) {
        // Whoever turns something on again is shown again what they had before.
        if (one.do === "wish") continue;
        take(one, server, device, []);
        device.pass();
        look(together(emptyNotifications, device.shared));
      }
    }),
    { numRuns: 1_000 },
  );
});

test("nothing is shown before it is known what the person wishes", () => {
  const server = new NotificationServer();
  const device = new Device(server);
  server.board.tell();
  device.hear("shared");
  assert.deepEqual(device.shared.broadcasts, []);
  device.arrive();
  assert.deepEqual(device.shared.preferences, undefined, "the list is older than what was heard");
  device.arrive();
  assert.equal(device.shared.broadcasts.length, 1);
});

test("what the person has turned off is not shown, not even for a moment, but for what is critical", () => {
  const server = new NotificationServer();
  server.wish({ categories: { news: { inbox: "off", push: false } } });
  const device = new Device(server);
  device.arrive();
  server.board.tell(900_000, { category: "news" });
  server.board.tell(900_000, { category: "news", critical: true, message: "alarm" });
  device.hear("shared");
  assert.deepEqual(
    device.shared.broadcasts.map(({ message }) => message),
    ["alarm"],
  );
  server.board.tell(900_000, { message: "other" });
  device.hear("shared");
  server.wish({ muted_until: new Date(server.now + 100).toISOString() });
  device.hear("own");
  assert.deepEqual(
    device.shared.broadcasts.map(({ message }) => message),
    ["alarm"],
    "at once",
  );
  assert.equal(mutedUntil(device.shared, server.now), server.now + 100);
  assert.equal(mutedUntil(device.shared, server.now + 100), undefined);
});

test("what was read elsewhere may be heard of before it is heard itself", () => {
  const server = new NotificationServer();
  const device = new Device(server);
  device.arrive();
  const [a, b] = [server.board.tell(), server.board.tell()];
  server.mark({ state: "archived", notification_ids: [idOf(a)] });
  server.mark({ state: "read", notification_ids: [idOf(b)] });
  device.hear("own");
  device.hear("shared");
  assert.deepEqual(
    device.shared.broadcasts.map((one) => `${idOf(one)} ${one.status}`),
    [`${idOf(b)} read`],
  );
  assert.deepEqual(unreadBroadcasts(device.shared), []);
});

test("so many marks are remembered, the newest, and of one more the oldest goes", () => {
  const broadcasts = Array.from({ length: broadcastMarksMax + 1 }, (_, n) => `1-${500_000_000 + n}`).map(
    (stream_id, n) => ({ notification_id: `id-${n}`, stream_id }),
  );
  const data = { state: "read", notifications: broadcasts, unread: 0, version: 1 };
  const state = applyBroadcastEntry(emptyBroadcasts, { type: "notification.marked", data }, 0);
  assert.equal(Object.keys(state.marks).length, broadcastMarksMax);
  assert.deepEqual([state.marks["id-0"], state.marks[`id-${broadcastMarksMax}`]], [undefined, "read"]);
  assert.equal(broadcastMarksMax, 2 * limits.broadcasts);
});

test("a person's own and what everybody is told are one list by their places, and one count", () => {
  const server = new NotificationServer();
  server.tell(900_000, "own 1");
  server.now++;
  const all = server.board.tell(50, { message: "all 1" });
  server.now++;
  server.tell(900_000, "own 2");
  const device = new Device(server);
  device.arrive();
  const { notifications, unread } = device.view;
  assert.deepEqual([notifications.map(({ message }) => message), unread], [["own 1", "all 1", "own 2"], 3]);
  assert.equal(nextBroadcastEnd(device.shared), Date.parse(all.expires_at));
  server.now += 50;
  device.pass();
  assert.equal(device.view.unread, 2);
  assert.equal(device.view, device.own, "nothing is made anew for nothing");
});

test("entries that were redacted, are older, or are of something else change nothing", () => {
  const server = new NotificationServer();
  const device = new Device(server);
  device.arrive();
  server.board.tell();
  device.hear("shared");
  const before = device.shared;
  const data = { redacted: true };
  for (const entry of [
    { type: "broadcast.created", data },
    { type: "notification.created", data: {} },
    ...server.board.log,
    { type: "broadcast.expired", data: { broadcasts: before.broadcasts, version: 1 } },
  ])
    assert.equal(applyBroadcastEntry(device.shared, entry, server.now), before, entry.type);
  assert.equal(expireBroadcasts(before, server.now), before);
  const list = { broadcasts: [], unread: 0, version: 0, preferences: defaultPreferences };
  assert.equal(applyBroadcastList(before, list, server.now), before);
});
