import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, openTestDatabase, testLog } from "../../test/harness.ts";
import type { Db } from "../lib/db.ts";
import { createEndedSessions, endsKeptMs } from "./ended-sessions.ts";
import { askedAgainMs, followEndedSessions } from "./follow-ended-sessions.ts";
import { newPerson, openSessions, refreshTokens } from "./sessions.fixture.ts";

const db = await openTestDatabase();

/** Another process on the same database, with the same clock. `everyMs` is so long that it asks only when it starts. */
async function setUp({
  everyMs = 3_600_000,
  over = db,
}: { everyMs?: number; over?: Pick<Db, "query"> } = {}) {
  const here = await openSessions(db);
  const { clock } = here;
  const ended = createEndedSessions(clock);
  const follower = followEndedSessions({ db: over, clock, log: testLog, ended, everyMs });
  const start = async (user: { readonly id: number }) => {
    const { refreshToken } = await here.start(user);
    return { userId: user.id, sessionId: refreshTokens.read(refreshToken)?.sessionId ?? "", refreshToken };
  };
  const known = (...all: readonly { userId: number; sessionId: string }[]) =>
    all.map((session) => ended.has(session));
  return { ...here, own: here.ended, ended, known, follower, start };
}

test("a process that starts learns what has ended within the life of an access token, however it ended", async (t) => {
  const { clock, sessions, start, follower, known } = await setUp();
  const [ann, bob] = [await newPerson(db), await newPerson(db)];
  const [old, out, kept] = [await start(ann), await start(ann), await start(ann)];
  await sessions.end(old.refreshToken);
  clock.advance(endsKeptMs + 1);
  await sessions.end(out.refreshToken);
  const all = [await start(bob), await start(bob)];
  await db.transaction((tx) => sessions.endAll(tx, { userId: bob.id, reason: "disabled", by: "system" }));
  clock.advance(endsKeptMs - 1);
  t.after(() => follower.stop());
  await follower.start();
  assert.deepEqual(known(old, out, kept), [false, true, false]);
  assert.deepEqual(known(...all), [true, true]);
});

test("the process that ends sessions knows it when they have ended, and not when the transaction failed", async () => {
  const { sessions, start, own, ended } = await setUp();
  const ann = await newPerson(db);
  const first = await start(ann);
  const end = { userId: ann.id, reason: "admin", by: "system" } as const;
  const failing = db.transaction(async (tx) => {
    await sessions.endAll(tx, end);
    throw new Error("something else went wrong");
  });
  await assert.rejects(failing, /something else/);
  assert.equal(own.has(first), false);
  await db.transaction((tx) => sessions.endAll(tx, end));
  assert.deepEqual([own.has(first), ended.has(first)], [true, false], "others have not asked yet");
  const again = await start(ann);
  await sessions.renew(again.refreshToken);
  assert.equal(own.has(again), false);
  await sessions.end(again.refreshToken);
  assert.equal(own.has(again), true);
});

test("a process asks on, learns what ends elsewhere, and of ends that commit later than others", async (t) => {
  const { clock, sessions, start, follower, ended } = await setUp({ everyMs: 5 });
  const ann = await newPerson(db);
  const [first, second, third] = [await start(ann), await start(ann), await start(ann)];
  t.after(() => follower.stop());
  await follower.start();
  await sessions.end(first.refreshToken);
  await eventually("the first is known", () => ended.has(first));
  const slowly = Promise.withResolvers<void>();
  const noted = Promise.withResolvers<void>();
  const slow = db.transaction(async (tx) => {
    await tx.query("update account_session set ended_at = $2, end_reason = 'admin' where id = $1", [
      second.sessionId,
      new Date(clock.now()),
    ]);
    noted.resolve();
    await slowly.promise;
  });
  await noted.promise;
  clock.advance(askedAgainMs - 1);
  await sessions.end(third.refreshToken);
  await eventually("the third is known", () => ended.has(third));
  assert.equal(ended.has(second), false);
  slowly.resolve();
  await slow;
  await eventually("the second is known", () => ended.has(second));
});

test("while the database is away a process keeps what it knows, and catches up when it is back", async (t) => {
  let away = false;
  let refused = 0;
  const over: Pick<Db, "query"> = {
    query: (text, values, options) => {
      if (!away) return db.query(text, values, options);
      refused++;
      return Promise.reject(Object.assign(new Error("away"), { code: "ECONNREFUSED" }));
    },
  };
  const { clock, sessions, start, follower, ended } = await setUp({ everyMs: 5, over });
  const ann = await newPerson(db);
  const [first, second] = [await start(ann), await start(ann)];
  await sessions.end(first.refreshToken);
  t.after(() => follower.stop());
  await follower.start();
  away = true;
  const { refreshToken } = second;
  await sessions.end(refreshToken);
  await eventually("it has asked in vain", () => refused > 2);
  clock.advance(endsKeptMs - 1);
  const before = refused;
  // One of them may have been put before the clock was moved.
  await eventually("it has asked in vain so late, too", () => refused > before + 1);
  assert.deepEqual([ended.has(first), ended.has(second)], [true, false]);
  away = false;
  await eventually("the second is known", () => ended.has(second));
});

test("each question reaches back a little before the one that was answered last, and no further than tokens live", async (t) => {
  const asked: number[] = [];
  const over: Pick<Db, "query"> = {
    query: (text, values, options) => {
      asked.push(Number(values?.[0]));
      return db.query(text, values, options);
    },
  };
  const { clock, follower } = await setUp({ everyMs: 5, over });
  const next = async (): Promise<number> => {
    const seen = asked.length;
    // The one that is under way may have been put before the clock was moved.
    await eventually("it asks twice more", () => asked.length >= seen + 2);
    return clock.now() - (asked.at(-1) ?? 0);
  };
  t.after(() => follower.stop());
  await follower.start();
  assert.equal(clock.now() - (asked[0] ?? 0), endsKeptMs, "the first");
  assert.equal(await next(), askedAgainMs);
  clock.advance(endsKeptMs * 2);
  assert.equal(await next(), askedAgainMs);
  assert.ok(asked.includes(clock.now() - endsKeptMs), "after a long time without an answer");
  const before = asked.length;
  clock.advance(-86_400_000);
  assert.equal(await next(), askedAgainMs);
  const ahead = asked.slice(before).filter((sinceMs) => sinceMs > clock.now());
  assert.deepEqual(ahead, [], "a clock that was set back leaves nothing out");
});

test("a start that fails can be repeated, and whoever is stopped comes to an end", async () => {
  let asked = 0;
  const over: Pick<Db, "query"> = {
    query: (text, values, options) =>
      ++asked === 1 ? Promise.reject(new Error("not yet")) : db.query(text, values, options),
  };
  const { follower } = await setUp({ everyMs: 1, over });
  await assert.rejects(follower.start(), /not yet/);
  await follower.stop();
  await follower.start();
  await eventually("it asks on", () => asked > 3);
  await follower.stop();
});

test("the question is answered by an index", async () => {
  const { rows } = await db.transaction(async (tx) => {
    // A table as small as this one is otherwise read as a whole.
    await tx.query("set local enable_seqscan = off");
    return tx.query<{ "QUERY PLAN": string }>(
      "explain select id, ended_at from account_session where ended_at > now() order by ended_at desc limit 5",
    );
  });
  const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
  assert.match(plan, /Index Scan Backward using account_session_end/);
});
