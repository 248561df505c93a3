import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { unlessAborted } from "../lib/aborted.ts";
import type { Db } from "../lib/db.ts";
import { AppError } from "../lib/errors.ts";
import { createApiKeys } from "./api-keys.ts";

const log = pino({ level: "silent" });
const key = `tdk_${"x".repeat(43)}`;

/** A database that holds every key asked for, can be taken away, and has connections on which nothing is answered. */
function setUp() {
  const database = { lost: false, silent: 0, asked: 0, written: 0 };
  const row = { id: 3, name: "n", hint: "tdk_", scopes: ["admin"], source_id: null, expires_at: null };
  const query = async (text: string, _values: unknown, { signal }: { signal?: AbortSignal } = {}) => {
    database.asked++;
    if (database.silent > 0) {
      database.silent--;
      return unlessAborted(new Promise<never>(() => undefined), signal);
    }
    if (database.lost) throw Object.assign(new Error("connection refused"), { code: "ECONNREFUSED" });
    if (text.startsWith("update")) database.written++;
    return { rows: [row], rowCount: 1 };
  };
  const clock = { ms: 1_000_000, now: () => clock.ms };
  const db = { query: query as unknown as Db["query"] };
  return { database, clock, apiKeys: createApiKeys({ db, clock, log, lookUpMaxMs: 10 }) };
}

test("a key that cannot be looked up is unavailable, and is looked up again as soon as that is possible", async () => {
  const { database, apiKeys } = setUp();
  database.lost = true;
  await assert.rejects(
    apiKeys.verify(key),
    (error: unknown) => error instanceof AppError && error.code === "unavailable",
  );
  database.lost = false;
  assert.equal((await apiKeys.verify(key))?.id, 3);
});

test("a key that one connection does not look up is looked up on another, and two of them make it unavailable", async () => {
  const { clock, database, apiKeys } = setUp();
  database.silent = 1;
  assert.equal((await apiKeys.verify(key))?.id, 3);
  clock.ms += 2_000;
  [database.silent, database.asked] = [2, 0];
  await assert.rejects(apiKeys.verify(key), { code: "unavailable" });
  assert.deepEqual([database.silent, database.asked], [0, 2]);
});

test("usage that could not be written is written the next time", async () => {
  const { database, apiKeys } = setUp();
  await apiKeys.verify(key);
  database.lost = true;
  await apiKeys.flushUsage();
  database.lost = false;
  await apiKeys.flushUsage();
  await apiKeys.flushUsage();
  assert.equal(database.written, 1);
});
