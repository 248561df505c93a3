import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../../test/harness.ts";
import type { Db } from "../lib/db.ts";
import { replayGroup } from "./consumer-admin.ts";
import {
  type ConsumersUnderTest,
  failing,
  openWorkshop,
  range,
  tally,
  topicsIn,
} from "./consumer.fixture.ts";
import { listDeadLetters } from "./dead-letters.ts";
import { newEntry } from "./eventlog.contract.ts";
import { type Entry, batchBytesMax } from "./eventlog.ts";
import { errorLengthMax } from "./parking.ts";

/** Whom a fault is laid to, and what a batch and a replay do with what is parked: for each driver, as the rest. */
export function testFaultsContract(driver: string, open: () => Promise<ConsumersUnderTest>): void {
  const refused = Object.assign(new Error("connect ECONNREFUSED 10.1.1.1:25"), { code: "ECONNREFUSED" });
  for (const [what, fail] of [
    ["a mail server that refuses connections", () => Promise.reject(refused)],
    ["a file that is not there", () => Promise.reject(Object.assign(new Error("no"), { code: "ENOENT" }))],
    ["a statement with a parameter too many", (db) => db.query("select $1::int", [1, 2])],
  ] satisfies readonly [string, (db: Pick<Db, "query">) => Promise<unknown>][]) {
    test(`${driver}: ${what} stops the entry that leads to it, and no other`, async (t) => {
      const { log, work, effects, db } = await openWorkshop(t, open);
      const [bad = "", ...neighbours] = topicsIn(5, 4);
      await work(
        tally({ attemptsMax: 2 }, async (entries, tx) => {
          if (entries.some(({ topic }) => topic === bad)) await fail(tx);
        }),
      );
      await log.append([bad, ...neighbours].map((topic) => newEntry(topic)));
      await eventually("the others of its partition are handled", async () => (await effects()).length === 3);
      await eventually("a dead letter", async () => (await letters(db)).length === 1);
    });
  }

  for (const [what, message, stored] of [
    ["NUL", "cannot take \0", "cannot take ␀"],
    ["half a character", "cannot take \ud83d", "cannot take \ufffd"],
    ["more than is kept of it", "x".repeat(errorLengthMax + 1), "x".repeat(errorLengthMax)],
  ] as const) {
    test(`${driver}: an entry whose error holds ${what} becomes a dead letter like any other`, async (t) => {
      const { log, work, effects, db } = await openWorkshop(t, open);
      const [bad = "", good = ""] = topicsIn(5, 2);
      await work(
        tally({ attemptsMax: 2 }, (entries) =>
          entries.some(({ topic }) => topic === bad) ? Promise.reject(new Error(message)) : Promise.resolve(),
        ),
      );
      await log.append([newEntry(bad), newEntry(good)]);
      await eventually("a dead letter", async () => (await letters(db)).length === 1);
      assert.deepEqual([(await letters(db))[0]?.error, (await effects()).length], [stored, 1]);
    });
  }

  test(`${driver}: an entry is parked although the database refuses what its failure says`, async (t) => {
    const { log, work, db } = await openWorkshop(t, open);
    await db.query(
      `create function refuse() returns trigger language plpgsql as $$
       begin if new.error like '%odd%' then raise exception 'no' using errcode = '22P05'; end if; return new; end $$`,
    );
    await db.query(
      "create trigger refuse before insert or update on eventlog_parked for each row execute function refuse()",
    );
    await work(tally({ attemptsMax: 2 }, () => Promise.reject(new Error("odd"))));
    await log.append([newEntry("room/1")]);
    await eventually("a dead letter", async () => (await letters(db)).length === 1);
    assert.match((await letters(db))[0]?.error ?? "", /cannot be stored/);
  });

  test(`${driver}: a replay that meets parked entries holds their topic no longer than they wait`, async (t) => {
    const { log, work, effects, db } = await openWorkshop(t, open);
    let broken = false;
    const consumer = tally({ attemptsMax: 50 }, () =>
      broken ? Promise.reject(new Error("broken")) : Promise.resolve(),
    );
    await work(consumer);
    const parked = async (): Promise<number> => (await db.query("select from eventlog_parked")).rowCount;
    await log.append(range(5).map((i) => newEntry("room/1", i)));
    await eventually("handled", async () => (await effects()).length === 5);
    broken = true;
    await log.append(range(3, 5).map((i) => newEntry("room/1", i)));
    await eventually("parked", async () => (await parked()) === 3);
    await replayGroup({ db, eventlog: log }, [consumer], { group: "tally", from: "first" });
    await eventually("those before it too", async () => (await parked()) === 8);
    broken = false;
    await eventually("handled again", async () => (await parked()) === 0);
    await log.append([newEntry("room/1", "fresh")]);
    await eventually("a fresh one is not held up", async () => (await effects()).includes("fresh"));
    assert.deepEqual(await effects(), [...range(5), ...range(8), "fresh"]);
  });

  test(`${driver}: a replay tries again what lies before a dead letter`, async (t) => {
    const { log, work, effects, db } = await openWorkshop(t, open);
    const consumer = tally(
      { attemptsMax: 1 },
      failing(({ data }) => data === '"bad"'),
    );
    await work(consumer);
    await log.append([newEntry("room/1", "good"), newEntry("room/1", "bad"), newEntry("room/1", "behind")]);
    await eventually("a dead letter", async () => (await letters(db))[0]?.waitingBehind === 1);
    assert.deepEqual(await effects(), ["good"]);
    await replayGroup({ db, eventlog: log }, [consumer], { group: "tally", from: "first" });
    await eventually("again", async () => (await effects()).length === 2);
    assert.deepEqual(await effects(), ["good", "good"]);
    assert.equal((await letters(db))[0]?.waitingBehind, 1);
  });

  test(`${driver}: a batch carries so many bytes at most, whether it is read from the log or parked`, async (t) => {
    const { log, work, effects, db } = await openWorkshop(t, open);
    let broken = true;
    const most = { read: 0, retried: 0 };
    const [topic = ""] = topicsIn(5, 1);
    await work(
      tally({ batchMax: 1_000, attemptsMax: 50 }, (entries) => {
        const kind = broken ? "read" : "retried";
        most[kind] = Math.max(most[kind], bytesOf(entries));
        return broken ? Promise.reject(new Error("broken")) : Promise.resolve();
      }),
    );
    // They compress to nearly nothing: what they need on disk says little of what they need in memory.
    const size = batchBytesMax / 32;
    for (let i = 0; i < 5; i++) await log.append(range(10).map(() => newEntry(topic, "x".repeat(size - 2))));
    const parked = async (): Promise<number> => (await db.query("select from eventlog_parked")).rowCount;
    await eventually("all are parked", async () => (await parked()) === 50, 20_000);
    broken = false;
    await eventually("all are handled", async () => (await effects()).length === 50, 20_000);
    assert.ok(most.read <= batchBytesMax, `${most.read} read`);
    assert.equal(most.retried, batchBytesMax);
  });
}

function bytesOf(entries: readonly Entry[]): number {
  return entries.reduce((bytes, { data }) => bytes + Buffer.byteLength(data), 0);
}

async function letters(db: Db) {
  return (await listDeadLetters(db, { limit: 10 })).deadLetters;
}
