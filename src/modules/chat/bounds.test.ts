import assert from "node:assert/strict";
import { test } from "node:test";
import { testLog } from "../../../test/harness.ts";
import { uuidv7 } from "../../../protocol/ids.ts";
import { limits } from "../../../protocol/limits.ts";
import { topics } from "../../../protocol/topics.ts";
import type { Actor, KeyActor, UserActor } from "../../access/actor.ts";
import { readConfig } from "../../config.ts";
import { MemoryEventLog } from "../../eventlog/memory.ts";
import { partitionOf } from "../../eventlog/murmur2.ts";
import { createLocalSignals } from "../../gateway/signals.ts";
import type { Db, Tx } from "../../lib/db.ts";
import { createMetrics } from "../../observe/metrics.ts";
import { addersMax, addingRate, createAdding } from "./adding.ts";
import { createErasing, queueErasuresMax } from "./erase.ts";
import {
  batchBytesMax,
  batchSendsMax,
  createSend,
  queueBytesMax,
  queueSendsMax,
  sendBytesOf,
} from "./send.ts";
import { createSetTyping, typersMax } from "./set-typing.ts";
import { chatTopics, queueLooksMax } from "./topics.ts";

/** What waits, and what is remembered, is bounded: at the bound it still goes through, one more does not. */

/** A database that never answers, and notes what it was asked. */
function silentDb() {
  const asked: (readonly unknown[])[] = [];
  const query = (_text: string, values: readonly unknown[] = []): Promise<never> => {
    asked.push(values);
    return new Promise(() => {});
  };
  const tx: Tx = { query, afterCommit: () => {} };
  const db: Db = {
    address: { host: "nowhere", port: 1, user: "nobody", database: "none" },
    query,
    transaction: (work) => work(tx),
    unhurried: () => new Promise(() => {}),
    load: () => ({ total: 0, idle: 0, waiting: 0 }),
    close: () => Promise.resolve(),
  };
  return { db, asked };
}

const clock = { now: () => 0 };
const eventlog = new MemoryEventLog({ partitions: 16, clock });
const metrics = createMetrics({ process: false });
const commonDeps = { clock, eventlog, metrics, log: testLog, config: readConfig({}) };

function person(id: number): UserActor {
  return {
    kind: "user",
    id,
    username: `person-${id}`,
    role: "user",
    sessionId: undefined,
    expiresAt: Number.MAX_SAFE_INTEGER,
    scopes: new Set(),
  };
}
const me = person(1);

/** What has come of each so far; those that wait are not in it. */
function settling(promises: readonly Promise<unknown>[]): Map<number, unknown> {
  const settled = new Map<number, unknown>();
  for (const [i, promise] of promises.entries()) {
    promise.then(
      () => settled.set(i, "done"),
      (error: unknown) => settled.set(i, (error as { code?: string }).code),
    );
  }
  return settled;
}

async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Of so many and one more, the last one alone is refused, and at once. */
async function refusesOneMore(max: number, call: (i: number) => Promise<unknown>): Promise<void> {
  const settled = settling(Array.from({ length: max + 1 }, (_, i) => call(i)));
  await turns();
  assert.deepEqual([...settled], [[max, "overloaded"]]);
}

function openSend() {
  const { db, asked } = silentDb();
  const send = createSend({ ...commonDeps, db });
  const say = (room_id: number, content: string) => send(me, { room_id, client_msg_id: uuidv7(), content });
  return { say, asked };
}

test("so many messages wait to be saved, and not one more", async () => {
  const { say } = openSend();
  await refusesOneMore(queueSendsMax, () => say(2, "x"));
});

test("messages of so many bytes wait to be saved, and not one more", async () => {
  const { say } = openSend();
  const longest = "😀".repeat(limits.messageTextLength);
  const max = Math.floor(queueBytesMax / sendBytesOf(longest));
  assert.ok(max < queueSendsMax, "the bytes are what is met first");
  await refusesOneMore(max, () => say(2, longest));
});

/** Rooms that one writer saves. */
function roomsOfOneLane(count: number): readonly number[] {
  const rooms: number[] = [];
  for (let id = 2; rooms.length < count; id++)
    if (partitionOf(topics.room(id), eventlog.partitions) % 2 === 0) rooms.push(id);
  return rooms;
}

/** How many messages are in the first transaction: each is of another room, and all of these are locked first. */
async function firstBatch(count: number, content: string): Promise<number> {
  const { say, asked } = openSend();
  for (const roomId of roomsOfOneLane(count)) say(roomId, content).catch(() => undefined);
  await turns();
  const [[rooms] = []] = asked;
  return (rooms as readonly number[]).length;
}

test("a transaction saves so many messages, and not one more", async () => {
  assert.equal(await firstBatch(batchSendsMax, "x"), batchSendsMax);
  assert.equal(await firstBatch(batchSendsMax + 1, "x"), batchSendsMax);
});

test("a transaction saves messages of so many bytes, and not one more", async () => {
  const longest = "😀".repeat(limits.messageTextLength);
  const max = Math.floor(batchBytesMax / sendBytesOf(longest));
  assert.ok(max < batchSendsMax);
  assert.equal(await firstBatch(max, longest), max);
  assert.equal(await firstBatch(max + 1, longest), max);
});

test("so many wait to hear a room, and not one more", async () => {
  const [room] = chatTopics({ db: silentDb().db });
  await refusesOneMore(queueLooksMax, async () => room?.authorize(me, "2"));
});

test("so many deletions wait to be taken out of the log; one more is left to the timer at once", async () => {
  const silent = new MemoryEventLog({ partitions: 1, clock });
  silent.redact = () => new Promise(() => {});
  const erasing = createErasing({ db: silentDb().db, eventlog: silent, log: testLog });
  const erasures = Array.from({ length: queueErasuresMax + 1 }, () =>
    erasing.erase({ messageId: uuidv7(), roomId: 1, versions: 1 }),
  );
  const settled = settling(erasures);
  await turns();
  assert.deepEqual([...settled], [[queueErasuresMax, "done"]]);
});

/** Whether somebody's rate in a room is still remembered after so many others have typed there. */
async function typesAgainAfter(others: number): Promise<boolean> {
  const { db, asked } = silentDb();
  const setTyping = createSetTyping({ ...commonDeps, db, signals: createLocalSignals() });
  for (let id = 1; id <= 1 + others; id++) void setTyping(person(id), { room_id: 2, on: true });
  await turns();
  const before = asked.length;
  assert.equal(before, 1 + others);
  void setTyping(me, { room_id: 2, on: true });
  await turns();
  return asked.length > before;
}

test("of so many people who type the rate is remembered, and of one more the first is forgotten", async () => {
  assert.equal(await typesAgainAfter(typersMax - 1), false);
  assert.equal(await typesAgainAfter(typersMax), true);
});

const added = (count: number) => () => Promise.resolve({ value: "done", added: count });

test("a person puts so many others into rooms at once, and not one more; an hour fills it up again", async () => {
  let now = 0;
  const adding = createAdding({ now: () => now });
  for (let i = 0; i < addingRate.burst / 100; i++) await adding(me, 100, added(100));
  const refusal = await adding(me, 1, added(1)).catch((error: unknown) => error);
  assert.equal((refusal as { code: string }).code, "rate_limited");
  const { retryAfterS } = (refusal as { details: { retryAfterS: number } }).details;
  assert.equal(retryAfterS, 3_600 / 200);
  assert.equal(await adding(person(2), 1, added(1)), "done", "others have their own");
  assert.equal(await adding(me, 0, added(0)), "done", "alone one may do what one wants");
  now += retryAfterS * 1_000;
  await adding(me, 1, added(1));
  await assert.rejects(adding(me, 1, added(1)), { code: "rate_limited" });
  now += 3_600_000;
  await adding(me, addingRate.burst, added(addingRate.burst));
  await assert.rejects(adding(me, 1, added(1)), { code: "rate_limited" });
});

test("only those count whom a person has really put there, but many requests at once are no more than the rate", async () => {
  const adding = createAdding(clock);
  await adding(me, addingRate.burst, added(0));
  await assert.rejects(
    adding(me, addingRate.burst, () => Promise.reject(new Error("refused"))),
    /refused/,
  );
  await adding(me, addingRate.burst, added(addingRate.burst - 1));
  const { promise, resolve } = Promise.withResolvers<{ value: string; added: number }>();
  const first = adding(me, 1, () => promise);
  await assert.rejects(adding(me, 1, added(1)), { code: "rate_limited" });
  resolve({ value: "done", added: 0 });
  await first;
  await adding(me, 1, added(1));
});

test("who manages rooms puts as many into them as it takes", async () => {
  const adding = createAdding(clock);
  const program: KeyActor = {
    kind: "key",
    id: 1,
    name: "manager",
    scopes: new Set(["chat:manage"]),
    sourceId: undefined,
  };
  const admin: Actor = { ...me, scopes: new Set(["admin"]) };
  for (const actor of [program, admin]) for (let i = 0; i < 5; i++) await adding(actor, 100, added(100));
  await adding(me, addingRate.burst, added(addingRate.burst));
});

test("of so many people who add others the rate is remembered, and of one more the first is forgotten", async () => {
  const usedUpAfter = async (others: number): Promise<unknown> => {
    const adding = createAdding(clock);
    for (let id = 1; id <= 1 + others; id++)
      await adding(person(id), addingRate.burst, added(addingRate.burst));
    return adding(me, 1, added(1)).catch((error: unknown) => (error as { code: string }).code);
  };
  assert.equal(await usedUpAfter(addersMax - 1), "rate_limited");
  assert.equal(await usedUpAfter(addersMax), "done");
});
