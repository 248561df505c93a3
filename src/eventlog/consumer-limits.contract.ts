import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../../test/harness.ts";
import type { Db } from "../lib/db.ts";
import {
  type ConsumersUnderTest,
  failing,
  openWorkshop,
  parkMany,
  range,
  recordingLog,
  tally,
  topicsIn,
} from "./consumer.fixture.ts";
import { type DeadLetter, dropDeadLetter, listDeadLetters } from "./dead-letters.ts";
import { newEntry } from "./eventlog.contract.ts";
import { parkedMax } from "./parking.ts";
import { overloadAttempts } from "./runner-batch.ts";

/** What becomes of work that takes too long, and of piles: nobody but those concerned stands still. */
export function testLimitsContract(driver: string, open: () => Promise<ConsumersUnderTest>): void {
  test(`${driver}: an entry that takes too long is looked for after some attempts at the whole, and holds up its own topic only`, async (t) => {
    const { log, work, effects, db } = await openWorkshop(t, open);
    let attempts = 0;
    await work(
      tally({ attemptsMax: 1 }, async (entries, tx) => {
        if (!entries.some(({ data }) => data === "-1")) return;
        attempts++;
        await tx.query("do $$ begin raise exception 'statement timeout' using errcode = '57014'; end $$");
      }),
    );
    await log.append([newEntry("room/bad", -1), ...range(200).map((i) => newEntry(`room/${i}`, i))]);
    await eventually("the others are handled", async () => (await effects()).length === 200, 20_000);
    await eventually("a dead letter", async () => (await letters(db)).length === 1);
    const [letter] = await letters(db);
    assert.deepEqual([letter?.topic, letter?.error], ["room/bad", "statement timeout"]);
    assert.ok(attempts >= overloadAttempts, `${attempts} attempts`);
  });

  test(`${driver}: a database that is overloaded for a while makes no dead letter`, async (t) => {
    const { log, work, effects, db } = await openWorkshop(t, open);
    let failures = 0;
    await work(
      tally({ attemptsMax: 1 }, async (_entries, tx) => {
        if (++failures >= overloadAttempts) return;
        await tx.query("do $$ begin raise exception 'out of memory' using errcode = '53200'; end $$");
      }),
    );
    await log.append(range(20).map((i) => newEntry("room/1", i)));
    await eventually("handled", async () => (await effects()).length === 20);
    assert.deepEqual(await effects(), range(20));
    assert.deepEqual(await letters(db), []);
  });

  test(`${driver}: a handler that never ends is given up, and the entry it hangs on holds up its own topic only`, async (t) => {
    const { log, work, effects, db } = await openWorkshop(t, open);
    await work(
      tally({ attemptsMax: 1, handleMaxMs: 100 }, (entries) =>
        entries.some(({ data }) => data === "-1") ? new Promise(() => undefined) : Promise.resolve(),
      ),
    );
    await log.append([newEntry("room/bad", -1), ...range(20).map((i) => newEntry(`room/${i}`, i))]);
    await eventually("the others are handled", async () => (await effects()).length === 20, 20_000);
    await eventually("a dead letter", async () => (await letters(db)).length === 1);
    assert.equal((await letters(db))[0]?.error, "the handler took longer than 100 ms");
  });

  test(`${driver}: a worker stops although a handler never ends, and another one does the work`, async (t) => {
    const { log, work, workWith, effects } = await openWorkshop(t, open);
    let hanging = false;
    const hung = tally({}, () => {
      hanging = true;
      return new Promise(() => undefined);
    });
    const worker = await workWith({ stopGraceMs: 20 }, hung);
    await log.append([newEntry("room/1", 1)]);
    await eventually("it hangs", () => hanging);
    await worker.stop();
    await work(tally());
    await eventually("handled by the other", async () => (await effects()).length === 1);
  });

  test(`${driver}: a partition with ${parkedMax} waiting entries is read no further, all others are, and it is told once`, async (t) => {
    const { log, workWith, effects, db } = await openWorkshop(t, open);
    const [stuck = "", neighbour = ""] = topicsIn(3, 2);
    const [elsewhere = ""] = topicsIn(4, 1);
    await parkMany(db, { group: "tally", topic: stuck, state: "parked", count: parkedMax - 1 });
    await parkMany(db, { group: "tally", topic: stuck, state: "dead", count: 1 });
    const recorded = recordingLog("error");
    await workWith({ log: recorded.log }, tally());
    await log.append([newEntry(neighbour, "before")]);
    await eventually("one less is not too many", async () => (await effects()).length === 1);

    await log.append([newEntry(stuck, "one more")]);
    await eventually("full", async () => (await waiting(db)) === parkedMax);
    await log.append([newEntry(neighbour, "after")]);
    await log.append([newEntry(elsewhere, "elsewhere")]);
    await eventually("other partitions go on", async () => (await effects(elsewhere)).length === 1);
    await log.append([newEntry(elsewhere, "elsewhere again")]);
    await eventually("they still do", async () => (await effects(elsewhere)).length === 2);
    assert.deepEqual(await effects(neighbour), ["before"]);
    const told = recorded.lines.filter((line) => line.includes("too many parked entries"));
    assert.deepEqual([told.length, await waiting(db)], [1, parkedMax]);

    await db.query("delete from eventlog_parked where state = 'parked'");
    await dropDeadLetter(db, (await letters(db))[0]?.id ?? 0);
    await eventually("goes on", async () => (await effects(neighbour)).length === 2);
  });

  test(`${driver}: old dead letters, however many, stop nobody`, async (t) => {
    const { log, work, effects, db } = await openWorkshop(t, open);
    await parkMany(db, { group: "tally", topic: "room/old", state: "dead", count: parkedMax });
    await work(
      tally(
        { onPoison: "skip", attemptsMax: 9 },
        failing(({ data }) => data === "-1"),
      ),
    );
    await log.append([newEntry("room/bad", -1)]);
    await eventually("one is parked", async () => (await waiting(db)) === 1);
    await log.append(range(100).map((i) => newEntry(`room/${i}`, i)));
    await eventually("all others are handled", async () => (await effects()).length === 100, 5_000);
  });
}

async function letters(db: Db): Promise<readonly DeadLetter[]> {
  return (await listDeadLetters(db, { limit: 10 })).deadLetters;
}

async function waiting(db: Db): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    "select count(*) from eventlog_parked where state = 'parked'",
  );
  return rows[0]?.count ?? 0;
}
