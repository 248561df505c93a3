import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { eventually } from "../../test/harness.ts";
import { replayGroup } from "./consumer-admin.ts";
import { type ConsumersUnderTest, openWorkshop, range, recordingLog, tally } from "./consumer.fixture.ts";
import { newEntry } from "./eventlog.contract.ts";

/** The consumer runtime's promises (points 6 and 9 of the contract), for every log that a driver offers. */
export function testConsumerContract(driver: string, open: () => Promise<ConsumersUnderTest>): void {
  test(`${driver}: a group gets every entry of its types once and in order per topic, from the first one on`, async (t) => {
    const { log, work, effects, db } = await openWorkshop(t, open);
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
    const { log, work, effects } = await openWorkshop(t, open);
    await log.append([newEntry("room/1", "old")]);
    await work(tally({ start: "head" }));
    await log.append([newEntry("room/1", "new")]);
    await eventually("handled", async () => (await effects()).length > 0);
    assert.deepEqual(await effects(), ["new"]);
  });

  test(`${driver}: a stale owner's effects roll back`, async (t) => {
    const { log, workWith, effects, db } = await openWorkshop(t, open);
    const recorded = recordingLog("info");
    let stolen = false;
    await workWith(
      { log: recorded.log },
      tally({}, async () => {
        if (stolen) return;
        stolen = true;
        await db.query(
          "update eventlog_group set epoch = epoch + 1, owner = 'thief', lease_until = now() + interval '1 hour'",
        );
      }),
    );
    await log.append([newEntry("room/1", 1)]);
    await eventually("the batch was refused", () =>
      recorded.lines.some((line) => line.includes("taken over by another process")),
    );
    await log.append([newEntry("room/1", 2)]);
    assert.deepEqual(await effects(), []);
    const { rows } = await db.query<{ moved: number }>(
      "select count(*) as moved from eventlog_group where checkpoint > 0",
    );
    assert.equal(rows[0]?.moved, 0);
  });

  test(`${driver}: two workers share the partitions, and one takes over at once when the other leaves`, async (t) => {
    const { log, work, effects, db } = await openWorkshop(t, open);
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
    const { log, work, effects, db } = await openWorkshop(t, open);
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
    const { log, work, effects, db } = await openWorkshop(t, open);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom("join", "leave", "steal", "append"), { maxLength: 12, size: "max" }),
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
    const { log, work, effects, db } = await openWorkshop(t, open);
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
    const { log, workWith, effects, db, expireAll } = await openWorkshop(t, open);
    await log.append([newEntry("room/1", "old")]);
    await db.query(
      "insert into eventlog_group (group_name, part, checkpoint) select 'tally', generate_series(0, 15), 0",
    );
    await expireAll();
    await log.append([newEntry("room/1", "new")]);
    const recorded = recordingLog("error");
    const consumer = tally();
    await workWith({ log: recorded.log }, consumer);
    await eventually("an error", () => recorded.lines.some((line) => line.includes("retention has removed")));
    assert.deepEqual(await effects(), []);
    await replayGroup({ db, eventlog: log }, [consumer], { group: "tally", from: "first" });
    await eventually("handled", async () => (await effects()).length === 1);
    assert.deepEqual(await effects(), ["new"]);
  });
}
