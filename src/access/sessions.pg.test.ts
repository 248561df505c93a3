import assert from "node:assert/strict";
import { test } from "node:test";
import { openTestDatabase } from "../../test/harness.ts";
import { announceSessionEnds } from "../announce.ts";
import { AppError } from "../lib/errors.ts";
import { createLogger } from "../lib/logger.ts";
import { keepSessionsMs, removeOldSessions } from "./old-sessions.ts";
import { newPerson, openSessions, refreshTokens } from "./sessions.fixture.ts";
import { createSessions, renewalGraceMs, sessionIdleMs, sessionsMax } from "./sessions.ts";
import { updateDisabled, updateUser } from "./users.ts";

const db = await openTestDatabase();

function failsWith(code: string, detail: RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof AppError, String(error));
    assert.deepEqual([error.code, detail.test(error.message)], [code, true], error.message);
    return true;
  };
}
const refused = failsWith("unauthorized", /not valid any more: sign in again/);

function sessionOf(refreshToken: string): string {
  return refreshTokens.read(refreshToken)?.sessionId ?? "";
}

test("a refresh token is good once, and again within 30 seconds for the same next one", async () => {
  const { sessions, start, clock, ends } = await openSessions(db);
  const person = await newPerson(db, { role: "moderator" });
  const first = await start(person);
  assert.deepEqual(first.user, person);
  const second = await sessions.renew(first.refreshToken);
  assert.notEqual(second.refreshToken, first.refreshToken);
  assert.deepEqual(second.user, person);
  clock.advance(renewalGraceMs);
  assert.equal((await sessions.renew(first.refreshToken)).refreshToken, second.refreshToken);
  const third = await sessions.renew(second.refreshToken);
  assert.deepEqual(await ends(person), []);
  assert.equal(sessionOf(third.refreshToken), sessionOf(first.refreshToken));
});

test("a token that was traded longer ago ends the session, for whoever has the newest one too", async () => {
  const { sessions, start, clock, ends } = await openSessions(db);
  const person = await newPerson(db);
  const first = await start(person);
  const other = await start(person);
  const second = await sessions.renew(first.refreshToken);
  clock.advance(renewalGraceMs + 1);
  await assert.rejects(sessions.renew(first.refreshToken), refused);
  await assert.rejects(sessions.renew(second.refreshToken), refused);
  assert.deepEqual(await ends(person), [{ session_id: sessionOf(first.refreshToken), reason: "reuse" }]);
  await sessions.renew(other.refreshToken);
});

test("a clock that is set back does not prolong the time for the former token", async () => {
  const { sessions, start, clock } = await openSessions(db);
  const first = await start(await newPerson(db));
  await sessions.renew(first.refreshToken);
  clock.advance(-renewalGraceMs - 1);
  await assert.rejects(sessions.renew(first.refreshToken), refused);
});

test("the reuse of a token is logged without it", async () => {
  const { start, clock, eventlog, ended } = await openSessions(db);
  const lines: string[] = [];
  const sessions = createSessions({
    db,
    clock,
    log: createLogger("warn", { write: (line) => void lines.push(line) }),
    signing: {
      refreshTokens,
      accessTokens: { issue: () => Promise.resolve("") },
    },
    announceEnd: announceSessionEnds(eventlog),
    ended,
  });
  const { refreshToken } = await start(await newPerson(db));
  await sessions.renew(refreshToken);
  clock.advance(renewalGraceMs + 1);
  await assert.rejects(sessions.renew(refreshToken), refused);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /"a refresh token was used twice: session ended"/);
  assert.doesNotMatch(lines[0] ?? "", /tdr_/);
});

test("a session that nobody renews for thirty days is over, and each renewal begins them anew", async () => {
  const { sessions, start, clock } = await openSessions(db);
  let { refreshToken } = await start(await newPerson(db));
  for (let i = 0; i < 3; i++) {
    clock.advance(sessionIdleMs - 1);
    ({ refreshToken } = await sessions.renew(refreshToken));
  }
  clock.advance(sessionIdleMs);
  await assert.rejects(sessions.renew(refreshToken), refused);
});

test("signing out ends the session at once, by any of its tokens, and says so only once", async () => {
  const { sessions, start, ends } = await openSessions(db);
  const person = await newPerson(db);
  const first = await start(person);
  const second = await sessions.renew(first.refreshToken);
  await sessions.end(first.refreshToken);
  await sessions.end(second.refreshToken);
  await sessions.end("tdr_nonsense");
  await assert.rejects(sessions.renew(second.refreshToken), refused);
  assert.deepEqual(await ends(person), [{ session_id: sessionOf(first.refreshToken), reason: "logout" }]);
});

test("all sessions but one end, each by its name; or all, whatever else the person is connected with", async () => {
  const { sessions, start, ends } = await openSessions(db);
  const [person, other] = [await newPerson(db), await newPerson(db)];
  const [first, second, third] = [await start(person), await start(person), await start(person)];
  const others = await start(other);
  const but = sessionOf(second.refreshToken);
  const end = { userId: person.id, reason: "password", by: `user:${person.id}` } as const;
  await db.transaction((tx) => sessions.endAll(tx, { ...end, but }));
  await assert.rejects(sessions.renew(first.refreshToken), refused);
  const renewed = await sessions.renew(second.refreshToken);
  assert.deepEqual(
    new Set(await ends(person)),
    new Set(
      [first, third].map(({ refreshToken }) => ({ session_id: sessionOf(refreshToken), reason: "password" })),
    ),
  );
  await db.transaction((tx) => sessions.endAll(tx, { ...end, reason: "admin" }));
  await assert.rejects(sessions.renew(renewed.refreshToken), refused);
  assert.deepEqual((await ends(person)).at(-1), { reason: "admin" });
  await sessions.renew(others.refreshToken);
});

test("what ends in a transaction that fails has not ended, and nobody is told so", async () => {
  const { sessions, start, ends } = await openSessions(db);
  const person = await newPerson(db);
  const { refreshToken } = await start(person);
  const failing = db.transaction(async (tx) => {
    await sessions.endAll(tx, { userId: person.id, reason: "admin", by: "system" });
    throw new Error("on second thoughts");
  });
  await assert.rejects(failing, /on second thoughts/);
  await sessions.renew(refreshToken);
  assert.deepEqual(await ends(person), []);
});

test("one session more than a person may have ends the one that was renewed longest ago", async () => {
  const { sessions, start, clock, ends } = await openSessions(db);
  const person = await newPerson(db);
  const first = await start(person);
  clock.advance(1_000);
  const second = await start(person);
  clock.advance(1_000);
  const renewed = await sessions.renew(first.refreshToken);
  for (let i = 2; i < sessionsMax; i++) await start(person);
  assert.deepEqual(await ends(person), []);
  await start(person);
  assert.deepEqual(await ends(person), [{ session_id: sessionOf(second.refreshToken), reason: "limit" }]);
  await sessions.renew(renewed.refreshToken);
  await assert.rejects(sessions.renew(second.refreshToken), refused);
});

test("however many sign in at once, nobody has more sessions than that", async () => {
  const { start } = await openSessions(db);
  const person = await newPerson(db);
  await Promise.all(Array.from({ length: sessionsMax + 20 }, () => start(person)));
  const { rows } = await db.query<{ count: number }>(
    "select count(*) as count from account_session where user_id = $1 and ended_at is null",
    [person.id],
  );
  assert.equal(rows[0]?.count, sessionsMax);
});

test("nobody signs in who is disabled, or by a password that was changed while it was checked", async () => {
  const { sessions, start, ends } = await openSessions(db);
  const person = await newPerson(db, { passwordHash: "old" });
  const byPassword = (passwordHash: string) =>
    db.transaction((tx) => sessions.start(tx, person.id, { passwordHash }));
  await byPassword("old");
  await updateUser(db, person.id, { passwordHash: "new" });
  await assert.rejects(byPassword("old"), failsWith("unauthorized", /changed a moment ago/));
  await byPassword("new");
  await updateDisabled(db, person.id, new Date());
  await assert.rejects(start(person), failsWith("forbidden", /disabled/));
  assert.deepEqual(await ends(person), []);
});

test("of a sign-in and the end of all sessions that meet, none is left over", async () => {
  const { sessions, start } = await openSessions(db);
  const people = await Promise.all(Array.from({ length: 20 }, () => newPerson(db)));
  await Promise.all(
    people.flatMap((person) => [
      start(person).catch(() => undefined),
      db.transaction(async (tx) => {
        await updateDisabled(tx, person.id, new Date());
        await sessions.endAll(tx, { userId: person.id, reason: "disabled", by: "system" });
      }),
      start(person).catch(() => undefined),
    ]),
  );
  const { rowCount } = await db.query(
    "select from account_session where user_id = any($1::bigint[]) and ended_at is null",
    [people.map(({ id }) => id)],
  );
  assert.equal(rowCount, 0);
});

test("a server without a secret starts and renews nothing, and still ends what others have started", async () => {
  const { clock, eventlog, start, ends, ended } = await openSessions(db);
  const person = await newPerson(db);
  const { refreshToken } = await start(person);
  const announceEnd = announceSessionEnds(eventlog);
  const log = createLogger("silent");
  const without = createSessions({ db, clock, log, signing: undefined, announceEnd, ended });
  assert.equal(without.canStart, false);
  const elsewhere = failsWith("forbidden", /sign in at the issuer/);
  await assert.rejects(
    db.transaction((tx) => without.start(tx, person.id)),
    elsewhere,
  );
  await assert.rejects(without.renew(refreshToken), elsewhere);
  await assert.rejects(without.end(refreshToken), elsewhere);
  await db.transaction((tx) => without.endAll(tx, { userId: person.id, reason: "disabled", by: "system" }));
  assert.deepEqual(await ends(person), [{ reason: "disabled" }]);
});

test("sessions whose time is long over are removed in batches, and no others", async (t) => {
  const own = await openTestDatabase(t);
  const { sessions, start, clock } = await openSessions(own);
  const person = await newPerson(own);
  for (let i = 0; i < 7; i++) await start(person);
  const ended = await start(person);
  await sessions.end(ended.refreshToken);
  clock.advance(1);
  const kept = await start(person);
  clock.advance(sessionIdleMs + keepSessionsMs);
  const remove = (options: { rows?: number; batches?: number; signal?: AbortSignal } = {}) =>
    removeOldSessions(own, clock.now(), options);
  assert.equal(await remove({ signal: AbortSignal.abort() }), 0);
  assert.equal(await remove({ rows: 3, batches: 2 }), 6, "one batch more is left to the next run");
  assert.equal(await remove({ rows: 3 }), 2);
  assert.equal(await remove(), 0);
  const { rows } = await own.query<{ id: string }>("select id from account_session");
  assert.deepEqual(rows, [{ id: sessionOf(kept.refreshToken) }]);
});
