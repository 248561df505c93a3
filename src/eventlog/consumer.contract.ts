import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Logger, createLogger } from "../lib/logger.ts";
import type { Db, Tx } from "../lib/db.ts";
import { createMetrics } from "../observe/metrics.ts";
import { eventually, testLog } from "../../test/harness.ts";
import { Worker } from "../worker/worker.ts";
import type { Consumer } from "./consumer.ts";
import { listDeadLetters, dropDeadLetter, retryDeadLetters, showDeadLetter } from "./dead-letters.ts";
import { replayGroup } from "./consumer-admin.ts";
import { newEntry } from "./eventlog.contract.ts";
import { type Entry, type EventLog, parseData, redactedData } from "./eventlog.ts";
import { partitionOf } from "./murmur2.ts";
import { parkedMax } from "./parking.ts";

type Cleanup = { after(callback: () => Promise<void>): void };
export type ConsumersUnderTest = {
  readonly log: EventLog;
  readonly db: Db;
  readonly expireAll: () => Promise<void>;
};

/** A consumer that notes what it was given in a table, in the order in which it was given it. */
export function tally(
  overrides: Partial<Consumer> = {},
  before?: (entries: readonly Entry[], tx: Tx) => Promise<void>,
): Consumer {
  return {
    group: "tally",
    kind: "projection",
    types: ["test.happened"],
    start: "first",
    onPoison: "quarantine-topic",
    batchMax: 100,
    attemptsMax: 3,
    handle: async (entries, tx) => {
      await before?.(entries, tx);
      await tx.query(
        "insert into effect (entry_id, topic, data) select * from unnest($1::uuid[], $2::text[], $3::text[])",
        [entries.map(({ id }) => id), entries.map(({ topic }) => topic), entries.map(({ data }) => data)],
      );
    },
    ...overrides,
  };
}

type Setup = ConsumersUnderTest & {
  readonly work: (...consumers: Consumer[]) => Promise<Worker>;
  readonly workLogging: (log: Logger, ...consumers: Consumer[]) => Promise<Worker>;
  readonly effects: (topic?: string) => Promise<unknown[]>;
};

/** The consumer runtime's promises (points 6, 7 and 9 of the contract), for every log that a driver offers. */
export function testConsumerContract(driver: string, open: () => Promise<ConsumersUnderTest>): void {
  const setUp = async (t: Cleanup): Promise<Setup> => {
    const workers: Worker[] = [];
    const logs: EventLog[] = [];
    // Hooks run in the order in which they were made: workers stop before their database goes.
    t.after(async () => {
      for (const worker of workers) await worker.stop();
      for (const log of logs) await log.close();
    });
    const under = await open();
    const { db } = under;
    logs.push(under.log);
    await db.query(
      "create table effect (no bigint generated always as identity, entry_id uuid, topic text, data text)",
    );
    const workLogging = async (log: Logger, ...consumers: Consumer[]): Promise<Worker> => {
      const metrics = createMetrics({ process: false });
      const worker = new Worker({ db, eventlog: under.log, log, metrics, consumers, timers: [] });
      workers.push(worker);
      await worker.start();
      return worker;
    };
    return {
      ...under,
      workLogging,
      work: (...consumers) => workLogging(testLog, ...consumers),
      effects: async (topic) => {
        const { rows } = await db.query<{ data: string }>(
          "select data from effect where $1::text is null or topic = $1 order by no",
          [topic ?? null],
        );
        return rows.map(({ data }) => JSON.parse(data) as unknown);
      },
    };
  };
  const range = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => i + from);
  const failing =
    (bad: (entry: Entry) => boolean) =>
    (entries: readonly Entry[]): Promise<void> =>
      entries.some(bad)
        ? Promise.reject(new Error(`cannot take ${entries.find(bad)?.data ?? ""}`))
        : Promise.resolve();

  test(`${driver}: a group gets every entry of its types once and in order per topic, from the first one on`, async (t) => {
    const { log, work, effects, db } = await setUp(t);
    await log.append(range(500).map((i) => newEntry(`room/${i % 7}`, i)));
    await log.append([{ ...newEntry("room/1"), type: "test.other" }]);
    await work(tally());
    await Promise.all(range(500, 500).map((i) => log.append([newEntry(`room/${i % 7}`, i)])));
    await eventually("all handled", async () => (await effects()).length >= 1000);
    for (const topic of range(7)) {
      assert.deepEqual(
        await effects(`room/${topic}`),
        range(1000).filter((i) => i % 7 === topic),
      );
    }
    await eventually("checkpoints at the log's end, also behind foreign types", async () => {
      const { rows } = await db.query<{ checkpoint: number }>(
        "select checkpoint from eventlog_group order by part",
      );
      return JSON.stringify(rows.map(({ checkpoint }) => checkpoint)) === JSON.stringify(await log.heads());
    });
  });

  test(`${driver}: a group that starts at the head gets only what comes after`, async (t) => {
    const { log, work, effects } = await setUp(t);
    await log.append([newEntry("room/1", "old")]);
    await work(tally({ start: "head" }));
    await log.append([newEntry("room/1", "new")]);
    await eventually("handled", async () => (await effects()).length > 0);
    assert.deepEqual(await effects(), ["new"]);
  });

  test(`${driver}: a stale owner's effects roll back`, async (t) => {
    const { log, work, effects, db } = await setUp(t);
    let stolen = false;
    await work(
      tally({}, async () => {
        if (stolen) return;
        stolen = true;
        await db.query(
          "update eventlog_group set epoch = epoch + 1, owner = 'thief', lease_until = now() + interval '1 hour'",
        );
      }),
    );
    await log.append([newEntry("room/1", 1)]);
    await eventually("the batch was tried", () => stolen);
    await log.append([newEntry("room/1", 2)]);
    assert.deepEqual(await effects(), []);
    const { rows } = await db.query<{ moved: number }>(
      "select count(*) as moved from eventlog_group where checkpoint > 0",
    );
    assert.equal(rows[0]?.moved, 0);
  });

  test(`${driver}: a failing entry holds up its own topic only, becomes a dead letter, and retry heals in order`, async (t) => {
    const { log, work, effects, db } = await setUp(t);
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
    const { log, work, effects, db } = await setUp(t);
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
    const { log, work, effects, db } = await setUp(t);
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
    const { log, work, effects, db } = await setUp(t);
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
    const { log, work, effects, db } = await setUp(t);
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

  test(`${driver}: two workers share the partitions, and one takes over at once when the other leaves`, async (t) => {
    const { log, work, effects, db } = await setUp(t);
    const first = await work(tally());
    const second = await work(tally());
    const owners = async (): Promise<number[]> => {
      const { rows } = await db.query<{ held: number }>(
        "select count(*) as held from eventlog_group where owner is not null group by owner order by 1",
      );
      return rows.map(({ held }) => held);
    };
    await eventually("half each", async () => JSON.stringify(await owners()) === "[8,8]");
    await log.append(range(100).map((i) => newEntry(`room/${i}`, i)));
    await eventually("all handled", async () => (await effects()).length === 100);
    await first.stop();
    await log.append(range(100, 100).map((i) => newEntry(`room/${i}`, i)));
    await eventually("all handled by the other", async () => (await effects()).length === 200);
    assert.deepEqual(await owners(), [16]);
    await second.stop();
    assert.deepEqual(await owners(), []);
  });

  test(`${driver}: nobody waits for an owner from before the database's last start`, async (t) => {
    const { log, work, effects, db } = await setUp(t);
    await db.query(
      `insert into eventlog_group (group_name, part, checkpoint, owner, leased_at, lease_until)
       select 'tally', generate_series(0, 15), 0, 'dead', pg_postmaster_start_time() - interval '1 s', now() + interval '1 hour'`,
    );
    await db.query(
      "insert into eventlog_member (node, seen_at) values ('dead', pg_postmaster_start_time() - interval '1 ms')",
    );
    await log.append(range(50).map((i) => newEntry(`room/${i}`, i)));
    await work(tally());
    await eventually("all handled at once", async () => (await effects()).length === 50, 2_000);
  });

  test(`${driver}: effects are exactly once while workers come, go, and lose their leases at random moments`, async (t) => {
    const { log, work, effects, db } = await setUp(t);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom("join", "leave", "steal", "append"), { maxLength: 12 }),
        async (steps) => {
          await db.query("truncate effect");
          const workers = [await work(tally())];
          let appended = 0;
          for (const step of [...steps, "append"]) {
            if (step === "join") workers.push(await work(tally()));
            if (step === "leave") await workers.shift()?.stop();
            if (step === "steal")
              await db.query("update eventlog_group set epoch = epoch + 1, owner = null where part % 2 = 0");
            if (step === "append") {
              const batch = range(60, appended).map((i) => newEntry(`room/${i % 11}`, i));
              appended += batch.length;
              await log.append(batch);
            }
          }
          if (workers.length === 0) workers.push(await work(tally()));
          await eventually("all handled", async () => (await effects()).length >= appended, 20_000);
          for (const worker of workers) await worker.stop();
          for (const topic of range(11)) {
            assert.deepEqual(
              await effects(`room/${topic}`),
              range(appended).filter((i) => i % 11 === topic),
            );
          }
        },
      ),
      { numRuns: 8, interruptAfterTimeLimit: 30_000 },
    );
  });

  test(`${driver}: replay gives a projection everything again, and refuses for a reaction`, async (t) => {
    const { log, work, effects, db } = await setUp(t);
    const [projection, reaction] = [tally(), tally({ group: "mails", kind: "reaction", types: [] })];
    await work(projection, reaction);
    await log.append(range(20).map((i) => newEntry(`room/${i % 3}`, i)));
    await eventually("handled", async () => (await effects()).length === 20);
    await replayGroup({ db, eventlog: log }, [projection, reaction], { group: "tally", from: "first" });
    await eventually("handled again", async () => (await effects()).length === 40);
    const refused = replayGroup({ db, eventlog: log }, [projection, reaction], {
      group: "mails",
      from: "first",
    });
    await assert.rejects(refused, { code: "conflict" });
    await assert.rejects(replayGroup({ db, eventlog: log }, [], { group: "nobody", from: "head" }), {
      code: "not_found",
    });
  });

  test(`${driver}: a group that retention has outrun stops with an error, and goes on when told where`, async (t) => {
    const { log, workLogging, effects, db, expireAll } = await setUp(t);
    await log.append([newEntry("room/1", "old")]);
    await db.query(
      "insert into eventlog_group (group_name, part, checkpoint) select 'tally', generate_series(0, 15), 0",
    );
    await expireAll();
    await log.append([newEntry("room/1", "new")]);
    const errors: string[] = [];
    const consumer = tally();
    await workLogging(createLogger("error", { write: (line) => errors.push(line) }), consumer);
    await eventually("an error", () => errors.some((line) => line.includes("retention has removed")));
    assert.deepEqual(await effects(), []);
    await replayGroup({ db, eventlog: log }, [consumer], { group: "tally", from: "first" });
    await eventually("handled", async () => (await effects()).length === 1);
    assert.deepEqual(await effects(), ["new"]);
  });

  test(`${driver}: redacted entries are not handed to consumers, parked copies included`, async (t) => {
    const { log, work, effects, db } = await setUp(t);
    let broken = true;
    const [poison, secret, open] = [
      newEntry("room/1", "poison"),
      newEntry("room/1", "secret"),
      newEntry("room/1", "open"),
    ];
    await work(
      tally(
        { attemptsMax: 1 },
        failing(({ data }) => broken && data === '"poison"'),
      ),
    );
    await log.append([poison, secret, open]);
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
    assert.deepEqual(await effects(), ["poison", "open"]);
  });

  test(`${driver}: a group that has parked all it may stops reading instead of losing`, async (t) => {
    const { log, work, effects, db } = await setUp(t);
    const topic = "room/1";
    await db.query(
      `insert into eventlog_parked (group_name, part, entry_offset, entry_id, topic, type, time, actor, data, state)
       select 'tally', $1, -n, gen_random_uuid(), 'room/stuck', 't', now(), 'system', '1', case n when $2 then 'dead' else 'parked' end
         from generate_series(1, $2) n`,
      [partitionOf(topic, log.partitions), parkedMax],
    );
    await work(tally());
    await log.append([newEntry(topic, 1)]);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.deepEqual(await effects(), []);
    await db.query("delete from eventlog_parked where entry_offset = -1");
    await eventually("goes on", async () => (await effects()).length === 1);
  });
}
