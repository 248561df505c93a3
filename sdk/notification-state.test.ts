import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { MarkedState, Notification } from "../protocol/notifications.ts";
import { NotificationServer } from "./notification-server.fixture.ts";
import {
  type NotificationsState,
  applyMarked,
  applyNotificationEntry,
  applyNotificationPage,
  emptyNotifications,
  expireNotifications,
  isOutdated,
  markAllNotifications,
  markNotifications,
  nextEnd,
  notificationsKeptMax,
  withGap,
} from "./notification-state.ts";

const idOf = ({ notification_id }: Notification): string => notification_id;
const isUnread = ({ status }: Notification): boolean => status === "unread" || status === "seen";
const unreadOf = ({ notifications }: NotificationsState) => notifications.filter(isUnread);
const wordsOf = ({ notifications }: NotificationsState) =>
  notifications.map(({ message, status }) => `${message} ${status}`);

/** What somebody is told who comes now. */
function fresh(server: NotificationServer): NotificationsState {
  return applyNotificationPage(emptyNotifications, server.page(10_000), server.now);
}

/** A device that has read its first page, and hears entries when it is told to. */
class Device {
  state: NotificationsState;
  readonly #server: NotificationServer;
  #heard: number;

  constructor(server: NotificationServer) {
    this.#server = server;
    this.#heard = server.log.length;
    this.state = fresh(server);
  }

  hear(count = Number.POSITIVE_INFINITY): void {
    const { log, now } = this.#server;
    for (const entry of log.slice(this.#heard, this.#heard + count)) {
      this.state = applyNotificationEntry(this.state, entry, now);
      this.#heard++;
    }
  }

  miss(): void {
    this.#heard = this.#server.log.length;
    this.state = withGap(this.state);
  }
}

/** What happens at a server, to one who listens, and to the clock. */
type Step =
  | { readonly do: "tell"; readonly ttl: number }
  | { readonly do: "mark"; readonly which: number; readonly state: MarkedState; readonly upTo: boolean }
  | { readonly do: "expire" | "ask" | "arrive" | "miss" }
  | { readonly do: "pass"; readonly ms: number }
  | { readonly do: "hear"; readonly count: number };
const markedState = fc.constantFrom<MarkedState>("seen", "read", "archived");
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("tell" as const), ttl: fc.integer({ min: 1, max: 60 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("mark" as const),
      which: fc.nat(9),
      state: markedState,
      upTo: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom("expire" as const, "ask" as const, "arrive" as const, "miss" as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.integer({ min: 1, max: 30 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("hear" as const), count: fc.integer({ min: 1, max: 4 }) }),
  },
);

function doAtServer(server: NotificationServer, step: Step): void {
  if (step.do === "tell") server.tell(step.ttl);
  else if (step.do === "expire") server.expire();
  else if (step.do === "pass") server.now += step.ms;
  else if (step.do === "mark") {
    const list = server.unreadList();
    const one = list[step.which % Math.max(1, list.length)];
    if (one === undefined) return;
    server.mark(
      step.upTo
        ? { state: step.state, up_to: one.stream_id }
        : { state: step.state, notification_ids: [idOf(one)] },
    );
  }
}

/** Nothing was shown that was not unread, or had been there and had gone. */
function watch() {
  const shown = new Set<string>();
  let last = new Set<string>();
  return (state: NotificationsState, now: number): void => {
    const ids = state.notifications.map(idOf);
    assert.equal(new Set(ids).size, ids.length, "each one once");
    for (const id of ids) {
      assert.ok(last.has(id) || !shown.has(id), "nothing is shown again");
      shown.add(id);
    }
    for (const { expires_at } of state.notifications)
      assert.ok(Date.parse(expires_at) > now, "it has not ended");
    last = new Set(ids);
  };
}

test("any interleaving of pages with entries gives what a later page gives, at any clock, and shows nothing twice", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60, size: "max" }),
      fc.integer({ min: 0, max: 80 }),
      (steps, wait) => {
        const server = new NotificationServer();
        server.tell(20);
        const device = new Device(server);
        const look = watch();
        // Answers that are on their way: each is as old as its question was read.
        const pages: ReturnType<NotificationServer["page"]>[] = [];
        let missed = false;
        for (const step of steps) {
          doAtServer(server, step);
          if (step.do === "ask") pages.push(server.page(10_000));
          else if (step.do === "hear") device.hear(step.count);
          else if (step.do === "miss") {
            device.miss();
            missed = true;
          } else if (step.do === "arrive") {
            const page = pages.shift();
            if (page !== undefined) device.state = applyNotificationPage(device.state, page, server.now);
          }
          device.state = expireNotifications(device.state, server.now);
          look(device.state, server.now);
        }
        device.hear();
        if (missed) device.state = applyNotificationPage(device.state, server.page(10_000), server.now);
        server.now += wait;
        device.state = expireNotifications(device.state, server.now);
        look(device.state, server.now);
        assert.deepEqual(unreadOf(device.state), unreadOf(fresh(server)));
        assert.equal(device.state.unread, server.unread().unread);
      },
    ),
    { numRuns: 1_000 },
  );
});

test("what is read in several pages while things happen is what one page of a later moment says, once it was told what has ended", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60, size: "max" }),
      fc.integer({ min: 1, max: 3 }),
      (steps, limit) => {
        const server = new NotificationServer();
        for (let i = 0; i < 8; i++) server.tell(10 * (i + 1));
        const device = new Device(server);
        device.state = emptyNotifications;
        let before: string | undefined;
        let done = false;
        /** The next page; false when there is none. */
        const read = (): boolean => {
          if (done) return false;
          const page = server.page(limit, before);
          if (isOutdated(device.state, page)) return true;
          device.state = applyNotificationPage(device.state, page, server.now, before);
          before = page.notifications.at(-1)?.stream_id;
          done = page.next_cursor === null;
          return !done;
        };
        read();
        for (const step of steps) {
          doAtServer(server, step);
          if (step.do === "hear") device.hear(step.count);
          else if (step.do === "arrive") read();
          device.state = expireNotifications(device.state, server.now);
        }
        device.hear();
        while (read());
        server.expire();
        device.hear();
        device.state = expireNotifications(device.state, server.now);
        assert.deepEqual(unreadOf(device.state), unreadOf(fresh(server)));
        assert.equal(device.state.unread, server.unread().unread);
      },
    ),
    { numRuns: 1_000 },
  );
});

test("what was marked on this device counts no more, whatever the server tells before it has heard of it", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 40, size: "max" }),
      fc.array(fc.nat(4), { maxLength: 4 }),
      (steps, chosen) => {
        const server = new NotificationServer();
        for (let i = 0; i < 5; i++) server.tell(1_000_000);
        const device = new Device(server);
        const ids = new Set(
          chosen.map((i) => device.state.notifications[i]).flatMap((one) => (one ? [idOf(one)] : [])),
        );
        device.state = markNotifications(device.state, "read", [...ids]);
        for (const step of steps) {
          doAtServer(server, step);
          if (step.do === "hear") device.hear(step.count);
          else if (step.do === "ask")
            device.state = applyNotificationPage(device.state, server.page(100), server.now);
          device.state = expireNotifications(device.state, server.now);
          assert.deepEqual(
            unreadOf(device.state).filter((one) => ids.has(idOf(one))),
            [],
          );
        }
        device.hear();
        const others = server.unreadList().filter((one) => !ids.has(idOf(one)));
        assert.equal(device.state.unread, others.length);
        assert.deepEqual(unreadOf(device.state).map(idOf), others.map(idOf));
        const told = server.mark({ state: "read", notification_ids: [...ids] });
        device.state = applyMarked(device.state, told, { ids }, server.now);
        assert.equal(device.state.unread, others.length);
        assert.deepEqual(device.state.uncounted, {});
        device.hear();
        assert.equal(device.state.unread, server.unread().unread);
      },
    ),
    { numRuns: 1_000 },
  );
});

test("a smaller version is older news, and the same entry twice is one", () => {
  const server = new NotificationServer();
  const device = new Device(server);
  server.tell();
  const [first] = server.log;
  assert.ok(first !== undefined);
  const page = server.page(10);
  server.mark({ state: "archived", notification_ids: server.unreadList().map(idOf) });
  device.hear();
  assert.deepEqual([device.state.unread, device.state.notifications], [0, []]);
  assert.equal(applyNotificationEntry(device.state, first, server.now), device.state);
  assert.equal(applyNotificationPage(device.state, page, server.now), device.state);
});

test("what a page says is over is not shown for an entry of older news", () => {
  const server = new NotificationServer();
  const device = new Device(server);
  const one = server.tell();
  server.mark({ state: "archived", notification_ids: [idOf(one)] });
  device.state = applyNotificationPage(device.state, server.page(10), server.now);
  device.hear(1);
  assert.deepEqual(device.state.notifications, []);
});

test("what was archived here is not shown by a page of a server that has not heard of it", () => {
  const server = new NotificationServer();
  const [a] = [server.tell(900_000, "a"), server.tell(900_000, "b")];
  const device = new Device(server);
  device.state = markNotifications(device.state, "archived", [idOf(a)]);
  device.state = applyNotificationPage(device.state, server.page(10), server.now);
  assert.deepEqual([wordsOf(device.state), device.state.unread], [["b unread"], 1]);
});

test("what was read here and on another device, too, is taken off once", () => {
  const server = new NotificationServer();
  const [a] = [server.tell(), server.tell()];
  const device = new Device(server);
  device.state = markNotifications(device.state, "read", [idOf(a)]);
  server.mark({ state: "read", notification_ids: [idOf(a)] });
  device.miss();
  device.state = applyNotificationPage(device.state, server.page(10), server.now);
  assert.deepEqual([device.state.unread, device.state.uncounted], [1, {}]);
});

test("what ends here later than at the server, by a clock that is behind, is taken off once", () => {
  const server = new NotificationServer();
  server.tell(100);
  const device = new Device(server);
  const behind = server.now;
  server.now += 100;
  server.tell();
  const [entry = assert.fail()] = server.log.slice(-1);
  device.state = applyNotificationEntry(device.state, entry, behind);
  assert.equal(device.state.unread, 1);
  device.state = expireNotifications(device.state, behind + 100);
  assert.deepEqual([device.state.unread, device.state.notifications.length], [1, 1]);
});

test("states only go forward", () => {
  const server = new NotificationServer();
  const one = server.tell(900_000, "a");
  const device = new Device(server);
  server.mark({ state: "seen", notification_ids: [idOf(one)] });
  device.state = markNotifications(device.state, "read", [idOf(one)]);
  device.hear();
  assert.deepEqual([wordsOf(device.state), device.state.unread], [["a read"], 0]);
  assert.equal(markNotifications(device.state, "seen", [idOf(one)]), device.state);
});

test("what ends counts from that moment on no more, and an older count is told without it", () => {
  const server = new NotificationServer();
  server.tell(100);
  server.tell(900_000);
  const device = new Device(server);
  assert.equal(nextEnd(device.state), server.now + 100);
  assert.equal(expireNotifications(device.state, server.now + 99), device.state);
  // Told before the first one has ended, heard after it.
  server.now += 50;
  server.tell(900_000);
  server.now += 50;
  device.state = expireNotifications(device.state, server.now);
  assert.equal(device.state.unread, 1);
  device.hear();
  assert.equal(device.state.unread, 2);
  // Told after it has ended: it is not taken off twice.
  server.tell(900_000);
  device.hear();
  assert.deepEqual([device.state.unread, device.state.notifications.length], [3, 3]);
  server.expire();
  device.hear();
  assert.equal(device.state.unread, 3);
});

test("all that are told so far are read at once, those that are not known, too, and none that comes later", () => {
  const server = new NotificationServer();
  for (let i = 0; i < 5; i++) server.tell();
  const state = applyNotificationPage(emptyNotifications, server.page(2), server.now);
  assert.equal(state.unread, 5);
  const marked = markAllNotifications(state);
  assert.deepEqual([marked.unread, marked.notifications.filter(isUnread)], [0, []]);
  server.tell(900_000, "later");
  const later = server.log
    .slice(-1)
    .reduce((next, entry) => applyNotificationEntry(next, entry, server.now), marked);
  assert.equal(later.unread, 1);
  const upTo = marked.readUpTo ?? "";
  const told = server.mark({ state: "read", up_to: upTo });
  const done = applyMarked(later, told, { upTo }, server.now);
  assert.deepEqual([done.unread, done.readUpTo], [1, undefined]);
  assert.equal(markAllNotifications(emptyNotifications), emptyNotifications);
});

test("so many are kept, the newest, and of one more the oldest goes, which still counts", () => {
  const server = new NotificationServer();
  const device = new Device(server);
  for (let i = 0; i < notificationsKeptMax; i++) server.tell();
  device.hear();
  assert.equal(device.state.notifications.length, notificationsKeptMax);
  server.tell();
  device.hear();
  const { notifications, unread } = device.state;
  assert.deepEqual(
    [notifications.length, notifications[0]?.message, notifications.at(-1)?.message, unread],
    [notificationsKeptMax, "m1", `m${notificationsKeptMax}`, notificationsKeptMax + 1],
  );
});

test("after a gap only what is unread is known, and what was read here and is not told yet", () => {
  const server = new NotificationServer();
  const [a, b] = [server.tell(900_000, "a"), server.tell(900_000, "b")];
  server.tell(900_000, "c");
  const device = new Device(server);
  server.mark({ state: "read", notification_ids: [idOf(a)] });
  device.hear();
  device.state = markNotifications(device.state, "read", [idOf(b)]);
  server.mark({ state: "archived", notification_ids: [idOf(a)] });
  server.tell(900_000, "d");
  device.miss();
  assert.deepEqual(wordsOf(device.state), ["b read", "c unread"]);
  device.state = applyNotificationPage(device.state, server.page(10), server.now);
  assert.deepEqual([wordsOf(device.state), device.state.unread], [["b read", "c unread", "d unread"], 2]);
});

test("entries that were redacted, or are of something else, change nothing", () => {
  const time = new Date().toISOString();
  for (const [type, data] of [
    ["notification.created", { redacted: true }],
    ["notification.marked", null],
    ["room.joined", { my_room: {} }],
  ] as const) {
    assert.equal(applyNotificationEntry(emptyNotifications, { type, time, data }, 0), emptyNotifications);
  }
});
