import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { eventually } from "../../test/harness.ts";
import {
  type ConsumersUnderTest,
  failing,
  openWorkshop,
  range,
  tally,
  topicsIn,
} from "./consumer.fixture.ts";
import { dropDeadLetter, listDeadLetters, retryDeadLetters, showDeadLetter } from "./dead-letters.ts";
import { newEntry } from "./eventlog.contract.ts";
import { jsonText, parseData, redactedData, redactedType } from "./eventlog.ts";

/** What becomes of entries that fail (point 7 of the contract), for every log that a driver offers. */
export function testFailuresContract(driver: string, open: () => Promise<ConsumersUnderTest>): void {
  test(`${driver}: a failing entry holds up its own topic only, becomes a dead letter, and retry heals in order`, async (t) => {
    const { log, work, effects, db } = await openWorkshop(t, open);
    let broken = true;
    await work(
      tally(
        {},
        failing(({ data }) => broken && data === "13"),
      ),
    );
    await log.append(range(40).map((i) => newEntry(`room/${i % 4}`, i)));
    await eventually(
      "a dead letter",
      async () => (await listDeadLetters(db, { limit: 10 })).deadLetters.length === 1,
    );
    await log.append(range(8, 40).map((i) => newEntry(`room/${i % 4}`, i)));
    await eventually("the others go on", async () => (await effects()).length === 36 + 3);
    for (const topic of [0, 2, 3])
      assert.deepEqual(
        await effects(`room/${topic}`),
        range(48).filter((i) => i % 4 === topic),
      );
    assert.deepEqual(await effects("room/1"), [1, 5, 9]);

    const [letter] = (await listDeadLetters(db, { group: "tally", limit: 10 })).deadLetters;
    assert.ok(letter !== undefined);
    assert.deepEqual(
      {
        topic: letter.topic,
        attempts: letter.attempts,
        error: letter.error,
        waitingBehind: letter.waitingBehind,
      },
      { topic: "room/1", attempts: 3, error: "cannot take 13", waitingBehind: 8 },
    );
    assert.equal((await showDeadLetter(db, letter.id)).data, "13");
    broken = false;
    assert.equal(await retryDeadLetters(db, { id: letter.id }), 1);
    await eventually("healed", async () => (await effects()).length === 48);
    assert.deepEqual(
      await effects("room/1"),
      range(48).filter((i) => i % 4 === 1),
    );
  });

  test(`${driver}: a dropped dead letter lets those behind it go on`, async (t) => {
    const { log, work, effects, db } = await openWorkshop(t, open);
    await work(
      tally(
        { attemptsMax: 1 },
        failing(({ data }) => data === "0"),
      ),
    );
    await log.append(range(3).map((i) => newEntry("room/1", i)));
    await eventually(
      "a dead letter",
      async () => (await listDeadLetters(db, { limit: 10 })).deadLetters.length === 1,
    );
    const [letter] = (await listDeadLetters(db, { limit: 10 })).deadLetters;
    await dropDeadLetter(db, letter?.id ?? 0);
    await eventually("the rest", async () => (await effects()).length === 2);
    assert.deepEqual(await effects(), [1, 2]);
  });

  test(`${driver}: a group that skips dead letters goes on without the failed entry`, async (t) => {
    const { log, work, effects, db } = await openWorkshop(t, open);
    await work(
      tally(
        { onPoison: "skip", attemptsMax: 2 },
        failing(({ data }) => data === "1"),
      ),
    );
    await log.append(range(4).map((i) => newEntry("room/1", i)));
    await eventually("the rest", async () => (await effects()).length === 3);
    assert.deepEqual(await effects(), [0, 2, 3]);
    const { deadLetters } = await listDeadLetters(db, { limit: 10 });
    assert.deepEqual(
      deadLetters.map(({ attempts, waitingBehind }) => ({ attempts, waitingBehind })),
      [{ attempts: 2, waitingBehind: 0 }],
    );
  });

  test(`${driver}: many failing entries among many are found, and nothing else is lost or doubled`, async (t) => {
    const { log, work, effects, db } = await openWorkshop(t, open);
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat(199), { maxLength: 12 }), async (bad) => {
        await db.query("truncate effect, eventlog_parked");
        const run = String(Math.random());
        const poison = new Set(bad);
        const worker = await work(
          tally(
            { attemptsMax: 1, onPoison: "skip" },
            failing((entry) => {
              const { i, run: of } = parseData<{ i: number; run: string }>(entry);
              return of === run && poison.has(i);
            }),
          ),
        );
        await log.append(range(200).map((i) => newEntry(`room/${i % 30}`, { i, run })));
        await eventually("all are somewhere", async () => {
          const { deadLetters } = await listDeadLetters(db, { limit: 200 });
          return deadLetters.length + (await effects()).length >= 200;
        });
        await worker.stop();
        const handled = (await effects()).map((data) => (data as { i: number }).i);
        assert.deepEqual(
          handled.toSorted((a, b) => a - b),
          range(200).filter((i) => !poison.has(i)),
        );
      }),
      { numRuns: 8 },
    );
  });

  test(`${driver}: a database error that may pass is retried without limit and never makes a dead letter`, async (t) => {
    const { log, work, effects, db } = await openWorkshop(t, open);
    let failures = 0;
    await work(
      tally({ attemptsMax: 1 }, async (_entries, tx) => {
        if (++failures > 4) return;
        await tx.query("do $$ begin raise exception 'serialization' using errcode = '40001'; end $$");
      }),
    );
    await log.append([newEntry("room/1", 1), newEntry("room/2", 2)]);
    await eventually("handled", async () => (await effects()).length === 2);
    assert.equal((await listDeadLetters(db, { limit: 10 })).deadLetters.length, 0);
  });

  test(`${driver}: redacted entries are not handed to consumers, parked copies included`, async (t) => {
    const { log, work, effects, db } = await openWorkshop(t, open);
    let broken = true;
    const [poison, secret, plain] = [
      newEntry("room/1", "poison"),
      newEntry("room/1", "secret"),
      newEntry("room/1", "plain"),
    ];
    await work(
      tally(
        { attemptsMax: 1 },
        failing(({ data }) => broken && data === '"poison"'),
      ),
    );
    await log.append([poison, secret, plain]);
    await eventually(
      "parked",
      async () => (await listDeadLetters(db, { limit: 10 })).deadLetters[0]?.waitingBehind === 2,
    );
    await log.redact([secret.id], "erasure");
    await eventually("the parked copy is redacted", async () => {
      const { rows } = await db.query<{ data: string }>(
        "select data from eventlog_parked where entry_id = $1",
        [secret.id],
      );
      return rows[0]?.data === redactedData;
    });
    const [letter] = (await listDeadLetters(db, { limit: 10 })).deadLetters;
    broken = false;
    await retryDeadLetters(db, { id: letter?.id ?? 0 });
    await eventually("healed", async () => (await effects()).length === 2);
    assert.deepEqual(await effects(), ["poison", "plain"]);
  });

  test(`${driver}: redaction reaches what was noted of a dead letter, also where the database has quoted the entry`, async (t) => {
    const { log, work, db } = await openWorkshop(t, open);
    await work(
      tally({ attemptsMax: 1 }, async ([entry], tx) => {
        if (entry?.data === '"by hand"') throw new Error(`cannot take ${entry.data}`);
        await tx.query("select $1::text::int", [entry?.data]);
      }),
    );
    const entries = [newEntry("room/1", "by hand"), newEntry("room/2", "by the database")];
    await log.append(entries);
    const errors = async () => {
      const { rows } = await db.query<{ error: string | null }>(
        "select error from eventlog_parked where state = 'dead' order by topic",
      );
      return rows.map(({ error }) => error);
    };
    await eventually("dead letters", async () => (await errors()).length === 2);
    assert.deepEqual(await errors(), [
      'cannot take "by hand"',
      'invalid input syntax for type integer: ""by the database""',
    ]);
    await log.redact(
      entries.map(({ id }) => id),
      "erasure",
    );
    await eventually("redacted", async () => (await errors()).every((error) => error === null));
  });

  test(`${driver}: a redaction notice is heeded although a later half of its batch must be tried again`, async (t) => {
    const { log, work, db } = await openWorkshop(t, open);
    const [topic = "", ...others] = topicsIn(5, 5);
    const secret = newEntry(topic, "secret");
    let armed = false;
    await work(
      tally({ attemptsMax: 1 }, async (entries, tx) => {
        if (!entries.some(({ data }) => data.includes("poison"))) return;
        if (!armed || entries.length !== 2) throw new Error("no");
        armed = false;
        await tx.query("do $$ begin raise exception 'connection lost' using errcode = '08006'; end $$");
      }),
    );
    await log.append([newEntry(topic, "poison"), secret]);
    const parked = async () =>
      (await db.query<{ data: string }>("select data from eventlog_parked order by entry_offset")).rows;
    await eventually("parked", async () => (await parked()).length === 2);
    armed = true;
    const [first = "", second = "", third = "", fourth = ""] = others;
    const data = jsonText({ entry_ids: [secret.id], reason: "erasure" });
    const notice = { ...newEntry(topic), type: redactedType, data };
    await log.append([
      newEntry(first),
      notice,
      newEntry(second),
      newEntry(third),
      newEntry(fourth, "poison"),
    ]);
    await eventually("the second half was tried again", async () => !armed && (await parked()).length === 3);
    assert.equal((await parked())[1]?.data, redactedData);
  });
}
