import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { pino } from "pino";
import { manualClock } from "../../test/harness.ts";
import type { Db } from "../lib/db.ts";
import { AppError } from "../lib/errors.ts";
import { createAccess } from "./access.ts";
import { type KeyActor, type UserActor, hasScope } from "./actor.ts";
import { createApiKeys } from "./api-keys.ts";
import { createEndedSessions } from "./ended-sessions.ts";
import { followEndedSessions } from "./follow-ended-sessions.ts";
import { createIdentities } from "./identities.ts";
import { createPasswords } from "./passwords.ts";
import { createSessions } from "./sessions.ts";

const log = pino({ level: "silent" });
const person: UserActor = {
  kind: "user",
  id: 7,
  username: "ann",
  role: "user",
  sessionId: undefined,
  expiresAt: Number.POSITIVE_INFINITY,
  scopes: new Set(),
};
const key: KeyActor = { kind: "key", id: 1, name: "shop", scopes: new Set(["inbox:read"]), sourceId: 4 };
const goodKey = `tdk_${"g".repeat(43)}`;
const goodHash = createHash("sha256").update(goodKey).digest();
const keyRow = { id: 1, name: "shop", hint: "", scopes: ["inbox:read"], source_id: 4 };

/** A key that nobody has. */
const unknownKey = (n: number): string => `tdk_${String(n).padStart(43, "0")}`;

/** Access over a table that holds one key, and to tokens of which one is good. Three may be wrong at once. */
function setUp(options: { readonly addressesMax?: number } = {}) {
  const clock = manualClock();
  const table = { queries: 0, fault: undefined as Error | undefined };
  const db = {
    query: async (_text: string, values: readonly unknown[] = []) => {
      table.queries++;
      if (table.fault !== undefined) throw table.fault;
      const rows = goodHash.equals(values[0] as Buffer) ? [keyRow] : [];
      return { rows, rowCount: rows.length };
    },
    transaction: () => Promise.reject(new Error("not part of this test")),
    // Only what is asked here.
  } as unknown as Db;
  const ended = createEndedSessions(clock);
  const access = createAccess({
    apiKeys: createApiKeys({ db, clock, log }),
    passwords: createPasswords(),
    identities: createIdentities({ db, clock, log }),
    sessions: createSessions({
      db,
      clock,
      log,
      signing: undefined,
      announceEnd: async () => undefined,
      ended,
    }),
    endedSessions: {
      ...followEndedSessions({ db, clock, log, ended }),
      ended: (...end) => ended.ended(...end),
    },
    tokens: {
      verify: async (token) => {
        if (token === "good.to.ken") return person;
        throw new AppError(token === "later" ? "unavailable" : "unauthorized", { detail: "no" });
      },
    },
    clock,
    rateRefused: { perSecond: 1, burst: 3 },
    ...options,
  });
  const codeFor = async (credential: string, address?: string): Promise<string> => {
    try {
      const actor = await access.authenticate(credential, address);
      return actor.kind;
    } catch (error) {
      assert.ok(error instanceof AppError, String(error));
      return error.code;
    }
  };
  return { access, clock, codeFor, table };
}

test("a credential with the prefix of keys is asked of the keys, any other is a token", async () => {
  const { access, table } = setUp();
  assert.deepEqual(await access.authenticate(goodKey), key);
  assert.equal(await access.authenticate("good.to.ken"), person);
  assert.equal(table.queries, 1);
});

test("a key that is not good is unauthorized, is never tried as a token, and is not told to anybody", async () => {
  const { access } = setUp();
  for (const bad of ["tdk_bad", unknownKey(1)]) {
    await assert.rejects(
      access.authenticate(bad),
      (error: unknown) =>
        error instanceof AppError &&
        error.code === "unauthorized" &&
        /API key/.test(error.message) &&
        !error.message.includes(bad),
    );
  }
});

test("one wrong credential more than an address may send is 429, and no unknown key is looked for any more", async () => {
  const { access, clock, codeFor, table } = setUp();
  for (const bad of [unknownKey(1), "bad.to.ken", "tdk_bad"]) {
    assert.equal(await codeFor(bad, "203.0.113.1"), "unauthorized");
  }
  assert.equal(table.queries, 1);
  await assert.rejects(
    access.authenticate(unknownKey(2), "203.0.113.1"),
    (error: unknown) =>
      error instanceof AppError && error.code === "rate_limited" && error.details.retryAfterS === 1,
  );
  assert.equal(await codeFor("bad.to.ken", "203.0.113.1"), "rate_limited");
  assert.equal(table.queries, 1);
  assert.equal(
    await codeFor(unknownKey(2), "203.0.113.2"),
    "unauthorized",
    "another address is not concerned",
  );
  clock.advance(1_000);
  assert.equal(await codeFor(unknownKey(3), "203.0.113.1"), "unauthorized");
  assert.equal(await codeFor(unknownKey(4), "203.0.113.1"), "rate_limited");
});

test("a thousand unknown keys at once cost as many look-ups as the address may send wrong ones", async () => {
  const { codeFor, table } = setUp();
  const codes = await Promise.all(
    Array.from({ length: 1_000 }, (_, n) => codeFor(unknownKey(n), "2001:db8::1")),
  );
  assert.equal(codes.filter((code) => code === "unauthorized").length, 3);
  assert.equal(codes.filter((code) => code === "rate_limited").length, 997);
  assert.equal(table.queries, 3);
  assert.equal(await codeFor(unknownKey(1_001), "2001:db8::2"), "rate_limited", "of the same /64");
});

test("good credentials cost their address nothing, and go on when its wrong ones are used up", async () => {
  const { clock, codeFor, table } = setUp();
  for (let i = 0; i < 10; i++) {
    assert.equal(await codeFor(goodKey, "203.0.113.1"), "key");
    assert.equal(await codeFor("good.to.ken", "203.0.113.1"), "user");
  }
  for (let n = 0; n < 4; n++) await codeFor(unknownKey(n), "203.0.113.1");
  assert.equal(await codeFor(unknownKey(9), "203.0.113.1"), "rate_limited");
  const { queries } = table;
  clock.advance(2_000);
  for (let n = 0; n < 3; n++) await codeFor("bad.to.ken", "203.0.113.1");
  assert.equal(await codeFor(goodKey, "203.0.113.1"), "key", "though it had to be looked up again");
  assert.equal(table.queries, queries + 1);
  assert.equal(await codeFor("good.to.ken", "203.0.113.1"), "user");
});

test("what cannot be judged right now is not counted as wrong", async () => {
  const { codeFor, table } = setUp();
  table.fault = Object.assign(new Error("gone"), { code: "ECONNREFUSED" });
  for (let n = 0; n < 10; n++) {
    assert.equal(await codeFor(unknownKey(n), "203.0.113.1"), "unavailable");
    assert.equal(await codeFor("later", "203.0.113.1"), "unavailable");
  }
  table.fault = undefined;
  assert.equal(await codeFor(unknownKey(0), "203.0.113.1"), "unauthorized");
});

test("one address more than the bound forgets the one that was wrong longest ago", async () => {
  const { codeFor } = setUp({ addressesMax: 2 });
  for (const address of ["203.0.113.1", "203.0.113.2", "203.0.113.3"]) {
    for (let n = 0; n < 3; n++) assert.equal(await codeFor("bad.to.ken", address), "unauthorized");
    assert.equal(await codeFor("bad.to.ken", address), "rate_limited");
  }
  assert.equal(await codeFor("bad.to.ken", "203.0.113.2"), "rate_limited");
  assert.equal(await codeFor("bad.to.ken", "203.0.113.1"), "unauthorized");
});

test("the scope admin includes all others, and no other scope does", () => {
  assert.ok(hasScope(key, "inbox:read"));
  assert.ok(!hasScope(key, "stats:read"));
  assert.ok(!hasScope(key, "admin"));
  assert.ok(hasScope({ ...person, scopes: new Set(["admin"]) }, "stats:read"));
});
