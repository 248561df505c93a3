import assert from "node:assert/strict";
import { test } from "node:test";
import { createTestDatabase, eventually, openTestDatabase, testLog } from "../../test/harness.ts";
import type { DbAddress } from "../lib/db.ts";
import { createPostgresSignals, noticesMax } from "./signals-postgres.ts";
import { type Signal, signalBytesMax } from "./signals.ts";

const typing = (key: string, on = true): Signal => ({ topic: "room/1", name: "typing", key, data: { on } });

type Cleanup = { after(callback: () => Promise<void>): void };

/** Two processes; what the second hears, and proof that it does: what is said before it listens is lost. */
function openTwo(t: Cleanup, address: DbAddress) {
  const a = createPostgresSignals(address, { log: testLog, node: "a" });
  const b = createPostgresSignals(address, { log: testLog, node: "b" });
  t.after(async () => {
    await a.close();
    await b.close();
  });
  const heard: Signal[] = [];
  b.onSignal((signal) => heard.push(signal));
  const isHeard = (): Promise<void> => {
    const before = heard.length;
    return eventually("the other process hears", () => {
      a.send(typing("0"));
      return heard.length > before;
    });
  };
  return { a, heard, isHeard };
}

test("processes hear each other's signals, of one key only the newest, and their own at once", async (t) => {
  const { a, heard, isHeard } = openTwo(t, await createTestDatabase(t));
  await isHeard();
  const own: Signal[] = [];
  a.onSignal((signal) => own.push(signal));
  a.send(typing("1", true));
  a.send(typing("1", false));
  a.send(typing("2"));
  assert.deepEqual(own, [typing("1", true), typing("1", false), typing("2")]);
  await eventually("the last one is heard", () => heard.some(({ key }) => key === "2"));
  assert.deepEqual(
    heard.filter(({ key }) => key !== "0"),
    [typing("1", false), typing("2")],
  );
});

test("a process whose connection was cut hears again", async (t) => {
  const db = await openTestDatabase(t);
  const { isHeard } = openTwo(t, db.address);
  await isHeard();
  await db.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'tidings signals' and datname = current_database()",
  );
  await isHeard();
});

test("so many notices of a moment are sent and not one more", async (t) => {
  const { a, heard, isHeard } = openTwo(t, await createTestDatabase(t));
  await isHeard();
  // Two of these do not fit into one notice.
  const text = "x".repeat(signalBytesMax / 2);
  for (let i = 1; i <= noticesMax + 1; i++) a.send({ ...typing(String(i)), data: text });
  await eventually("those that fit are heard", () => heard.some(({ key }) => key === String(noticesMax)));
  await isHeard();
  assert.deepEqual(
    heard.filter(({ data }) => data === text).map(({ key }) => Number(key)),
    Array.from({ length: noticesMax }, (_, i) => i + 1),
  );
});

test("what a process says before it stops is heard", async (t) => {
  const { a, heard, isHeard } = openTwo(t, await createTestDatabase(t));
  await isHeard();
  a.send(typing("the last"));
  await a.close();
  await eventually("the last is heard", () => heard.some(({ key }) => key === "the last"));
});

test("a notice that another version sent, or somebody else, ends nothing", async (t) => {
  const db = await openTestDatabase(t);
  const { isHeard } = openTwo(t, db.address);
  await isHeard();
  for (const payload of [
    "",
    "x",
    "x {",
    "x [7,null]",
    'x [{"topic":"gateways","name":"presence","key":"1"}]',
  ]) {
    await db.query("select pg_notify('signals', $1)", [payload]);
  }
  await isHeard();
});
