import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import net, { type AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { eventually } from "../../../../test/harness.ts";
import { type Entry, jsonText } from "../../../eventlog/eventlog.ts";
import { endsWithin } from "../../../lib/backoff.ts";
import type { Db } from "../../../lib/db.ts";
import { moveDue, settlePushes, takeDue } from "./due.ts";
import { followForPush, pushAfterMs } from "./follow.ts";
import { createPushHosts } from "./hosts.ts";
import { type PushStage, messagesTo, openPushStage, pushedTo } from "./push.fixture.ts";
import { leaseMs } from "./send.ts";
import { silencesMax } from "./services.ts";
import { unsubscribePush } from "./subscriptions.ts";
import { type Vapid, createVapid } from "./vapid.ts";

const never = new AbortController().signal;

/** The origin of a server that answers whatever it is sent with this text. */
async function openServer(t: TestContext, text: string, answered = (): void => undefined): Promise<string> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.once("data", () => socket.write(text, answered));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function moveTo(stage: PushStage, id: number, endpoint: string): Promise<void> {
  await stage.db.query("update notification_push_subscription set endpoint = $2 where id = $1", [
    id,
    endpoint,
  ]);
}

function entryFor(userId: number, stage: PushStage): Entry {
  return {
    id: randomUUID(),
    type: "notification.created",
    topic: `user/${userId}`,
    time: stage.clock.now(),
    actor: "system",
    data: jsonText({}),
    partition: 0,
    offset: 1,
    trace: undefined,
  };
}

test("a push service that changes the protocol instead of an answer holds up nobody, and its push is refused", async (t) => {
  const stage = await openPushStage(t);
  const origin = await openServer(
    t,
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
  );
  const [userId, other] = [await stage.person(), await stage.person()];
  await moveTo(stage, (await stage.subscribe(userId)).id, `${origin}/x`);
  const browser = await stage.subscribe(other);
  await stage.tell(userId);
  await stage.tell(other);
  await stage.pass();
  assert.deepEqual(messagesTo(browser, stage.service), ["Hello"]);
  assert.deepEqual([await stage.due(), await stage.outcomes()], [[], { sent: 1, refused: 1 }]);
});

test("nothing that a push hangs on can hold a run: it counts as a call that failed", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  await stage.subscribe(userId);
  await stage.tell(userId);
  stage.clock.advance(pushAfterMs);
  const { promise: nothing } = Promise.withResolvers<never>();
  const run = stage.start({ vapid: () => nothing }).run(never);
  assert.ok(await endsWithin(run, 10_000));
  const [due] = await stage.due();
  assert.deepEqual([due?.failures, await stage.outcomes()], [1, { failed: 1 }]);
});

test("a subscription that the list of hosts does not have any more is not called, and is once it has it again", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  const browser = await stage.subscribe(userId);
  const named = await stage.subscribe(userId);
  await moveTo(stage, named.id, named.subscription.endpoint.replace("127.0.0.1", "localhost"));
  for (const list of [["fcm.googleapis.com"], []]) {
    await stage.tell(userId, { message: "not allowed" });
    stage.clock.advance(pushAfterMs);
    await stage.start({ hosts: createPushHosts(list) }).run(never);
    assert.deepEqual([stage.service.received.length, await stage.due()], [0, []], `list: ${list.join()}`);
  }
  await stage.tell(userId, { message: "allowed again" });
  await stage.pass();
  assert.deepEqual(messagesTo(browser, stage.service), ["allowed again"]);
  assert.deepEqual([stage.service.received.length, await stage.outcomes()], [2, { refused: 4, sent: 2 }]);
});

test("a push service that is silent too often is left alone: all that is due there waits, what ends before is given up", async (t) => {
  const stage = await openPushStage(t);
  const people = [];
  for (let i = 0; i < silencesMax + 2; i++) people.push(await stage.person());
  for (const userId of people) await stage.subscribe(userId);
  const [last = 0, ...others] = people;
  for (const userId of others) await stage.tell(userId);
  stage.service.answer("silence");
  await stage.pass();
  const called = stage.service.received.length;
  assert.ok(called >= silencesMax);
  await stage.tell(last, { message: "kept" });
  await stage.tell(last, { message: "ends", ttlS: Math.ceil(pushAfterMs / 1_000) });
  await stage.db.query(
    "update notification_push_due set due_at = now() - interval '10 years' where user_id = $1",
    [last],
  );
  await stage.pass(0);
  assert.equal(stage.service.received.length, called, "nobody is called meanwhile");
  const { given_up, waits = 0 } = await stage.outcomes();
  assert.ok(given_up === 1 && waits >= 1, JSON.stringify(await stage.outcomes()));
  assert.ok((await stage.due()).every(({ inMs }) => inMs > 0 && inMs <= 20_000));
});

test("what could not be written down is written down by the next run, and nothing is sent twice", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  const browser = await stage.subscribe(userId);
  await stage.tell(userId);
  let isAway = true;
  const db: Db = {
    ...stage.db,
    transaction: (work, signal) =>
      isAway ? Promise.reject(new Error("away")) : stage.db.transaction(work, signal),
  };
  const sender = stage.start({ db });
  stage.clock.advance(pushAfterMs);
  await assert.rejects(sender.run(never), /away/);
  assert.deepEqual([(await stage.due()).length, await stage.outcomes()], [1, {}]);
  isAway = false;
  await sender.run(never);
  stage.clock.advance(leaseMs);
  await sender.run(never);
  assert.deepEqual([messagesTo(browser, stage.service), await stage.due()], [["Hello"], []]);
  assert.deepEqual(await stage.outcomes(), { sent: 1 });
});

test("a process that ends takes nothing new, and gives back at once what it has not begun", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  await stage.subscribe(userId);
  for (let i = 0; i < 20; i++) await stage.tell(userId);
  stage.clock.advance(pushAfterMs);
  const ending = new AbortController();
  stage.service.answer("silence");
  const run = stage.start({ callMaxMs: 60_000 }).run(ending.signal);
  await eventually("some are on their way", async () => stage.service.received.length === 8);
  ending.abort(new Error("the process ends"));
  await assert.rejects(run, /the process ends/);
  const due = await stage.due();
  assert.deepEqual(
    [due.filter(({ inMs }) => inMs === 0).length, due.filter(({ inMs }) => inMs === leaseMs).length],
    [12, 8],
  );
  let taken = 0;
  const db: Db = {
    ...stage.db,
    query: (...args) => {
      taken++;
      return stage.db.query(...args);
    },
  };
  await assert.rejects(stage.start({ db }).run(ending.signal), /the process ends/);
  assert.equal(taken, 0);
});

test("an answer counts that has arrived when the process ends, though not all of it has", async (t) => {
  const stage = await openPushStage(t);
  const { promise: answered, resolve } = Promise.withResolvers<void>();
  const origin = await openServer(t, "HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\nx", resolve);
  const userId = await stage.person();
  await moveTo(stage, (await stage.subscribe(userId)).id, `${origin}/x`);
  await stage.tell(userId);
  stage.clock.advance(pushAfterMs);
  const ending = new AbortController();
  const run = stage.start({ callMaxMs: 60_000 }).run(ending.signal);
  await answered;
  // What it has written is read in the next turns of the loop, and its end is waited for a second.
  for (let i = 0; i < 10; i++) await new Promise((next) => setImmediate(next));
  ending.abort(new Error("the process ends"));
  await assert.rejects(run, /the process ends/);
  assert.deepEqual([await stage.due(), await stage.outcomes()], [[], { sent: 1 }]);
});

test("the key is looked up once for all pushes, and once more after it could not be", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  await stage.subscribe(userId);
  for (let i = 0; i < 5; i++) await stage.tell(userId);
  stage.clock.advance(pushAfterMs);
  let asked = 0;
  const pair = await createVapid(stage)();
  const vapid = async (): Promise<Vapid> => {
    if (++asked === 1) throw new Error("away");
    return pair;
  };
  const sender = stage.start({ vapid });
  await sender.run(never);
  assert.deepEqual([asked, stage.service.received.length, await stage.outcomes()], [1, 0, {}]);
  stage.clock.advance(leaseMs);
  await sender.run(never);
  assert.deepEqual([asked, await stage.outcomes()], [2, { sent: 5 }]);
});

test("each push says how many its own person has not read", async (t) => {
  const stage = await openPushStage(t);
  const [one, other] = [await stage.person(), await stage.person()];
  const browsers = [await stage.subscribe(one), await stage.subscribe(other)];
  for (const userId of [one, other, other]) await stage.tell(userId);
  await stage.tell(other, { ttlS: 1 });
  await stage.pass();
  assert.deepEqual(
    browsers.map((browser) => pushedTo(browser, stage.service).map(({ unread }) => unread)),
    [[1], [2, 2]],
  );
});

test("who ends a subscription while something becomes due to it holds up nobody", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  const { id } = await stage.subscribe(userId);
  const kept = await stage.subscribe(userId);
  const [deleted, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const ending = stage.db.transaction(async (tx) => {
    await unsubscribePush(tx, userId, id);
    deleted.resolve();
    await go.promise;
  });
  await deleted.promise;
  const inserting = stage.db.transaction((tx) =>
    followForPush().handle([entryFor(userId, stage)], tx, never),
  );
  await eventually("it waits for the other one", () => waits(stage));
  go.resolve();
  await Promise.all([ending, inserting]);
  const { rows } = await stage.db.query("select subscription_id from notification_push_due");
  assert.deepEqual(rows, [{ subscription_id: kept.id }]);
});

test("what was pushed while something was just being erased from it is not pushed once more, nor forgotten when it is to be", async (t) => {
  const stage = await openPushStage(t);
  const { db, clock } = stage;
  const userId = await stage.person();
  await stage.subscribe(userId);
  await stage.subscribe(userId);
  const entry = entryFor(userId, stage);
  await db.transaction((tx) => followForPush().handle([entry], tx, never));
  clock.advance(pushAfterMs);
  const [sent, failed] = await takeDue(db, { rowsMax: 10, leaseMs: 60_000 }, clock.now());
  assert.ok(sent !== undefined && failed !== undefined);
  const [moved, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const erasing = db.transaction(async (tx) => {
    await moveDue(tx, [{ userId, from: entry.id, to: randomUUID() }]);
    moved.resolve();
    await go.promise;
  });
  await moved.promise;
  const again = [{ push: failed, atMs: clock.now() + 1_000, failures: 1 }];
  const settling = settlePushes(db, { done: [sent], sent: [sent], gone: [], again }, clock.now());
  await eventually("it waits for the other one", () => waits(stage));
  go.resolve();
  await Promise.all([erasing, settling]);
  const due = await stage.due();
  assert.deepEqual(
    due.map(({ inMs, failures }) => [inMs, failures]),
    [[1_000, 1]],
  );
});

test("what came of a push that a failover has taken back is not written down for another one in its place", async (t) => {
  const stage = await openPushStage(t);
  const { db, clock } = stage;
  const userId = await stage.person();
  await stage.subscribe(userId);
  const follow = () => db.transaction((tx) => followForPush().handle([entryFor(userId, stage)], tx, never));
  await follow();
  const [lost] = await takeDue(db, { rowsMax: 10, leaseMs: 60_000 }, clock.now() + pushAfterMs);
  assert.ok(lost !== undefined);
  await db.query("delete from notification_push_due");
  // Whatever else the database counted is counted again: the same person, browser and moment.
  await follow();
  await settlePushes(db, { done: [lost], sent: [lost], gone: [], again: [] }, clock.now());
  const again = [{ push: lost, atMs: clock.now() + 1_000, failures: 1 }];
  await settlePushes(db, { done: [], sent: [], gone: [], again }, clock.now());
  assert.deepEqual(
    (await stage.due()).map(({ inMs, failures }) => [inMs, failures]),
    [[pushAfterMs, 0]],
  );
});

test("what is told again, without what was erased, is not pushed again, whatever other texts say", async (t) => {
  const stage = await openPushStage(t);
  const userId = await stage.person();
  await stage.subscribe(userId);
  const told = { ...entryFor(userId, stage), data: jsonText({ notification: { message: '"again":true' } }) };
  const again = { ...entryFor(userId, stage), data: jsonText({ notification: {}, again: true }) };
  await stage.db.transaction((tx) => followForPush().handle([told, again], tx, never));
  const { rows } = await stage.db.query("select notification_id from notification_push_due");
  assert.deepEqual(rows, [{ notification_id: told.id }]);
});

async function waits({ db }: PushStage): Promise<boolean> {
  const { rows } = await db.query(
    "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
  );
  return rows.length > 0;
}

/** Three subscriptions, of which somebody holds the one in the middle while `work` begins: what is locked by then. */
async function lockedBy(
  stage: PushStage,
  begin: (people: readonly number[]) => Promise<() => Promise<unknown>>,
): Promise<readonly boolean[]> {
  const { db } = stage;
  const people = [await stage.person(), await stage.person(), await stage.person()];
  const ids: number[] = [];
  for (const userId of people.toReversed()) ids.push((await stage.subscribe(userId)).id);
  // It lies last now, and is the last person's: nobody finds them in the order of their ids by chance.
  await db.query("update notification_push_subscription set last_ok_at = now() where id = $1", [ids[0]]);
  const work = await begin(people);
  const [held, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const holding = db.transaction(async (tx) => {
    await tx.query("select from notification_push_subscription where id = $1 for update", [ids[1]]);
    held.resolve();
    await go.promise;
  });
  await held.promise;
  const working = work();
  try {
    await eventually("it waits", () => waits(stage));
    const { rows } = await db.query<{ id: number }>(
      "select id from notification_push_subscription for update skip locked",
    );
    return ids.map((id) => rows.every((row) => row.id !== id));
  } finally {
    go.resolve();
    await Promise.all([holding, working]);
  }
}

test("what ends subscriptions locks them in the order of their ids", async (t) => {
  const stage = await openPushStage(t);
  const locked = await lockedBy(stage, async (people) => {
    for (const userId of people) await stage.tell(userId);
    stage.clock.advance(pushAfterMs);
    const nowMs = stage.clock.now();
    const taken = await takeDue(stage.db, { rowsMax: 10, leaseMs }, nowMs);
    const gone = taken.toSorted((a, b) => b.subscriptionId - a.subscriptionId);
    return () => settlePushes(stage.db, { done: gone, sent: [], gone, again: [] }, nowMs);
  });
  assert.deepEqual(locked, [true, true, false]);
  assert.deepEqual((await stage.db.query("select from notification_push_subscription")).rows, []);
});

test("so does what inserts for them, and neither waits for the other in a circle", async (t) => {
  const stage = await openPushStage(t);
  const locked = await lockedBy(stage, async (people) => {
    const backwards = people.toReversed().map((userId) => entryFor(userId, stage));
    return () => stage.db.transaction((tx) => followForPush().handle(backwards, tx, never));
  });
  assert.deepEqual(locked, [true, true, false]);
  assert.equal((await stage.due()).length, 3);
});
