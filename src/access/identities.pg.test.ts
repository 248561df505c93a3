import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { usernamePattern } from "../../protocol/accounts.ts";
import { namePattern } from "../../protocol/names.ts";
import { manualClock, openTestDatabase, testLog } from "../../test/harness.ts";
import type { Db } from "../lib/db.ts";
import { AppError } from "../lib/errors.ts";
import { createIdentities, fitName, fitUsername, forgottenMax, rememberedMs } from "./identities.ts";
import { newPerson } from "./sessions.fixture.ts";
import type { OutsideIdentity } from "./token-claims.ts";
import { findUser, insertUser, updateDisabled } from "./users.ts";

const db = await openTestDatabase();
const issuer = "https://id.example";
const unnamed = { username: undefined, name: undefined, email: undefined };
let subjects = 0;

function somebody(parts: Partial<OutsideIdentity> = {}): OutsideIdentity {
  return { issuer, subject: `subject ${++subjects}`, ...unnamed, ...parts };
}

/** Identities as one process knows them, and how often it asks the database. */
function openProcess(entriesMax?: number) {
  const clock = manualClock();
  const asked = { queries: 0 };
  const counting: Pick<Db, "query" | "transaction"> = {
    query: (...args) => {
      asked.queries++;
      return db.query(...args);
    },
    transaction: (work) => db.transaction(work),
  };
  const deps = { db: counting, clock, log: testLog };
  return { clock, asked, ...createIdentities(entriesMax === undefined ? deps : { ...deps, entriesMax }) };
}

test("somebody who comes for the first time becomes a person with what their issuer says of them", async () => {
  const { personOf } = openProcess();
  const identity = somebody({ username: "Ann.Smith", name: " Ann\nSmith ", email: "Ann@Example.com" });
  const { id, ...known } = await personOf(identity);
  assert.deepEqual(known, { username: "ann.smith", role: "user" });
  const user = await findUser(db, id);
  assert.deepEqual([user?.name, user?.email, user?.role], ["Ann Smith", "Ann@Example.com", "user"]);
  assert.deepEqual(await openProcess().personOf(identity), { id, ...known });
});

test("somebody of whom nothing can be used is called by a number", async () => {
  const { personOf } = openProcess();
  for (const username of [undefined, "", "x", "@home", "___", "王"]) {
    const { id, username: given } = await personOf(somebody({ username, email: "nonsense" }));
    assert.equal(given, `user-${id}`);
    const user = await findUser(db, id);
    assert.deepEqual([user?.name, user?.email], [given, undefined]);
  }
});

test("a username or e-mail address that somebody has stays theirs, and nobody becomes them by it", async () => {
  const { personOf } = openProcess();
  const own = await insertUser(db, { username: "carol", email: "carol@example.com" });
  const other = await personOf(somebody({ username: "carol", email: "CAROL@example.com" }));
  assert.equal(other.username, `carol-${other.id}`);
  assert.notEqual(other.id, own.id);
  assert.equal((await findUser(db, other.id))?.email, undefined);
  await db.query(
    `insert into account_user (id, username, name) overriding system value
       select 1000000 + n, 'carol-' || n, 'Carol' from generate_series($1::int, $1::int + 20) as n`,
    [other.id + 1],
  );
  const third = await personOf(somebody({ username: "carol" }));
  assert.equal(third.username, `user-${third.id}`);
});

test("the same subject of another issuer is somebody else", async () => {
  const { personOf } = openProcess();
  const identity = somebody();
  const first = await personOf(identity);
  assert.notEqual((await personOf({ ...identity, issuer: "" })).id, first.id);
  assert.equal((await personOf({ ...identity })).id, first.id);
});

test("of many first sights at once, in several processes, one person is made", async () => {
  const processes = Array.from({ length: 4 }, () => openProcess());
  for (let round = 0; round < 5; round++) {
    const identity = somebody({ username: "dora", email: `dora-${round}@example.com` });
    const people = await Promise.all(
      processes.flatMap(({ personOf }) => Array.from({ length: 25 }, () => personOf(identity))),
    );
    assert.equal(new Set(people.map(({ id }) => id)).size, 1);
    const { rowCount } = await db.query("select from account_identity where subject = $1", [
      identity.subject,
    ]);
    assert.equal(rowCount, 1);
  }
});

test("strangers who arrive at once under one name all become persons of their own", async () => {
  const { personOf } = openProcess();
  const people = await Promise.all(
    Array.from({ length: 30 }, () => personOf(somebody({ username: "eve", email: "eve@example.com" }))),
  );
  assert.equal(new Set(people.map(({ id }) => id)).size, 30);
  assert.equal(new Set(people.map(({ username }) => username)).size, 30);
  const { rowCount } = await db.query("select from account_user where email = 'eve@example.com'");
  assert.equal(rowCount, 1);
});

test("a person is remembered for a minute: then the database is asked again", async () => {
  const { personOf, asked, clock } = openProcess();
  const identity = somebody();
  const person = await personOf(identity);
  const { queries } = asked;
  clock.advance(rememberedMs - 1);
  assert.deepEqual(await personOf(identity), person);
  assert.equal(asked.queries, queries);
  clock.advance(1);
  assert.deepEqual(await personOf(identity), person);
  assert.equal(asked.queries, queries + 1);
});

test("one person more than the bound forgets the one who was asked for longest ago", async () => {
  const { personOf, asked } = openProcess(2);
  const [a, b, c] = [somebody(), somebody(), somebody()];
  for (const identity of [a, b, a, c]) await personOf(identity);
  const { queries } = asked;
  await personOf(a);
  await personOf(c);
  assert.equal(asked.queries, queries);
  await personOf(b);
  assert.equal(asked.queries, queries + 1);
});

test("a disabled person is refused: at once where it is known, elsewhere within a minute", async () => {
  const [here, there] = [openProcess(), openProcess()];
  const identity = somebody();
  const { id } = await here.personOf(identity);
  await there.personOf(identity);
  await updateDisabled(db, id, new Date());
  here.forget(id);
  const forbidden = (error: unknown) => error instanceof AppError && error.code === "forbidden";
  await assert.rejects(here.personOf(identity), forbidden);
  there.clock.advance(rememberedMs);
  await assert.rejects(there.personOf(identity), forbidden);
  await updateDisabled(db, id, undefined);
  here.forget(id);
  assert.equal((await here.personOf(identity)).id, id);
});

/** A process whose next look-up has its answer and waits with it until it is let go. */
function openSlowProcess() {
  const clock = manualClock();
  const asked = { queries: 0 };
  const reached = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const slow: Pick<Db, "query" | "transaction"> = {
    query: async (...args) => {
      asked.queries++;
      const answer = await db.query<never>(...args);
      reached.resolve();
      await gate.promise;
      return answer;
    },
    transaction: (work) => db.transaction(work),
  };
  const identities = createIdentities({ db: slow, clock, log: testLog });
  return { asked, reached: reached.promise, letGo: gate.resolve, ...identities };
}

test("a look-up that began before somebody was forgotten is answered with what is true now, and once for all who wait", async () => {
  const identity = somebody();
  const other = somebody();
  const { id } = await openProcess().personOf(identity);
  const { id: otherId } = await openProcess().personOf(other);
  const { personOf, forget, reached, letGo, asked } = openSlowProcess();
  const waiting = Array.from({ length: 5 }, () => personOf(identity));
  const beside = personOf(other);
  await reached;
  await updateDisabled(db, id, new Date());
  forget(id);
  letGo();
  for (const { status, ...rest } of await Promise.allSettled(waiting)) {
    assert.equal(status, "rejected", JSON.stringify(rest));
  }
  assert.equal((await beside).id, otherId);
  assert.equal(asked.queries, 3, "the one who was forgotten twice, the other one once");
  await assert.rejects(personOf(identity));
  assert.equal(asked.queries, 3, "the newer answer is remembered");
});

test("of so many people it is known that they were forgotten, and with one more everybody is", async () => {
  const { personOf, forget, asked } = openProcess();
  const [first, other] = [somebody(), somebody()];
  const { id } = await personOf(first);
  const { id: otherId } = await personOf(other);
  const { queries } = asked;
  forget(id);
  for (let n = 1; n < forgottenMax; n++) forget(otherId + n);
  await personOf(other);
  assert.equal(asked.queries, queries);
  await personOf(first);
  assert.equal(asked.queries, queries + 1);
  forget(otherId + forgottenMax);
  await personOf(other);
  await personOf(first);
  assert.equal(asked.queries, queries + 3);
});

test("a database that is away makes nobody a stranger", async () => {
  const gone = () => Promise.reject(Object.assign(new Error("gone"), { code: "ECONNREFUSED" }));
  const identities = createIdentities({
    db: { query: gone, transaction: gone },
    clock: manualClock(),
    log: testLog,
  });
  await assert.rejects(
    identities.personOf(somebody()),
    (error: unknown) => error instanceof AppError && error.code === "unavailable",
  );
});

test("whatever an issuer writes, what becomes of it fits", () => {
  const pattern = new RegExp(usernamePattern);
  const nameForm = new RegExp(namePattern, "u");
  const texts = fc.oneof(
    fc.string({ unit: "binary", maxLength: 100 }),
    fc.string({ unit: "grapheme-ascii" }),
  );
  fc.assert(
    fc.property(texts, (text) => {
      const username = fitUsername(text);
      assert.ok(username === undefined || pattern.test(username), username);
      const name = fitName(text);
      assert.ok(
        name === undefined || (name === name.trim() && nameForm.test(name) && name.isWellFormed()),
        name,
      );
      const length = Array.from(name ?? "x").length;
      assert.ok(length >= 1 && length <= 64);
    }),
  );
  assert.equal(fitUsername("Ann.Smith@Example.com"), "ann.smith");
  assert.equal(fitUsername("Zoë Müller"), "zoe-muller");
  assert.equal(fitUsername(`${"a".repeat(31)}-b`), "a".repeat(31));
  assert.equal(fitName("x".repeat(65)), "x".repeat(64));
  assert.equal(fitName("Ann \u202Egnp.exe\u2028"), "Ann  gnp.exe");
  assert.equal(fitName("\u200b\u2066 "), undefined);
  assert.equal(fitName("Анна 👨‍👩‍👧"), "Анна 👨‍👩‍👧");
});

test("what one person has, another cannot be made with, and the answer says what it is", async () => {
  const { username } = await newPerson(db, { email: "Taken@example.com" });
  const codesFor = async (user: { username: string; email: string }) => {
    const failed = await insertUser(db, user).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.ok(failed instanceof AppError && failed.code === "conflict", String(failed));
    return failed.details.fields?.map(({ pointer, code }) => [pointer, code]);
  };
  const email = "taken@EXAMPLE.com";
  assert.deepEqual(await codesFor({ username, email: "free@example.com" }), [["/username", "taken"]]);
  assert.deepEqual(await codesFor({ username: "free", email }), [["/email", "taken"]]);
  assert.deepEqual(await codesFor({ username, email }), [
    ["/username", "taken"],
    ["/email", "taken"],
  ]);
});

test("with a database that is silent, somebody with an outside token is told so in time and holds nothing up", async () => {
  let [asked, givenUp] = [0, 0];
  const silent = (signal: AbortSignal | undefined): Promise<never> =>
    new Promise((_, reject) => {
      asked++;
      signal?.addEventListener("abort", () => {
        givenUp++;
        reject(signal.reason as Error);
      });
    });
  const { personOf } = createIdentities({
    db: {
      query: (_text, _values, options) => silent(options?.signal),
      transaction: (_work, signal) => silent(signal),
    },
    clock: manualClock(),
    log: testLog,
  });
  await assert.rejects(personOf(somebody()), { code: "unavailable" });
  assert.deepEqual([asked, givenUp], [2, 2]);
});
