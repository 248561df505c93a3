import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Consumer } from "../../src/eventlog/consumer.ts";
import type { DbAddress } from "../../src/lib/db.ts";
import { openDb } from "../../src/lib/db.ts";
import { createMetrics } from "../../src/observe/metrics.ts";
import { Worker } from "../../src/worker/worker.ts";
import { createTestDatabase, eventually, testLog } from "../harness.ts";
import { openEventLog, openTestLog } from "./logs.ts";
import { Tail } from "./tail.ts";
import { type Seen, type Written, noViolations, violations } from "./violations.ts";
import { Writers } from "./writers.ts";

const writers = 12;
/** Of them, how many also read, through the log that they write to. */
const tailing = 2;
const writeMs = 3_500;
const roundsMax = 3;
const controlRounds = 5;
const controlMs = 1_500;

/** Things of a test that end in the reverse order of their making, before its database goes. */
function stackFor(t: TestContext): AsyncDisposableStack {
  const stack = new AsyncDisposableStack();
  t.after(() => stack.disposeAsync());
  return stack;
}

test("12 writing processes: every reader sees each entry once and in order, and a group handles it once", async (t) => {
  const stack = stackFor(t);
  const address = await createTestDatabase(t);
  const group = await startGroup(stack, address);
  await group.join();
  const tail = new Tail(stack.use(await openTestLog("eventlog", address)));
  const processes = stack.use(
    await Writers.start({ address, kind: "eventlog", seed: 1 }, { writers, tailing }),
  );
  // A second owner joins while entries stream in: partitions change hands in the middle of everything.
  const written: Written[] = [];
  for (let round = 0; round < roundsMax && (await group.handovers()) === 0; round++) {
    const writing = processes.write(writeMs);
    if (round === 0) await group.join();
    written.push(...(await writing));
  }

  const readers: readonly (readonly Seen[])[] = [await tail.finish(), ...(await processes.finish(tailing))];
  const kept = written.filter(({ rolledBack }) => !rolledBack).length;
  t.diagnostic(
    `${kept} entries kept, ${written.length - kept} rolled back, by ${writers} processes; ${await group.handovers()} partitions changed hands`,
  );
  assert.ok(kept > 1_000 && kept < written.length && (await group.handovers()) > 0);
  for (const seen of readers) assert.deepEqual(violations(written, seen), noViolations);
  await eventually("the group has caught up", async () => (await group.effects()).length >= kept, 15_000);
  assert.deepEqual(violations(written, await group.effects()), noViolations);
});

/** A consumer group that writes down what it is given, in the order in which it is given. */
async function startGroup(
  stack: AsyncDisposableStack,
  address: DbAddress,
): Promise<{
  readonly join: () => Promise<void>;
  readonly effects: () => Promise<readonly Seen[]>;
  readonly handovers: () => Promise<number>;
}> {
  const db = openDb(address, { poolMax: 10, log: testLog });
  stack.defer(() => db.close());
  await db.query(
    `create table effect (no bigint generated always as identity, partition int, "offset" bigint, id uuid)`,
  );
  const consumer: Consumer = {
    group: "tally",
    kind: "projection",
    types: ["test.happened"],
    start: "first",
    onPoison: "quarantine-topic",
    batchMax: 500,
    attemptsMax: 3,
    handle: async (entries, tx) => {
      await tx.query(
        `insert into effect (partition, "offset", id) select * from unnest($1::int[], $2::bigint[], $3::uuid[])`,
        [
          entries.map(({ partition }) => partition),
          entries.map(({ offset }) => offset),
          entries.map(({ id }) => id),
        ],
      );
    },
  };
  return {
    join: async () => {
      const eventlog = await openEventLog(db);
      stack.defer(() => eventlog.close());
      const metrics = createMetrics({ process: false });
      const worker = new Worker({ db, eventlog, log: testLog, metrics, consumers: [consumer], timers: [] });
      stack.defer(() => worker.stop());
      await worker.start();
    },
    effects: async () => {
      const { rows } = await db.query<Seen>(`select partition, "offset", id from effect order by no`);
      return rows;
    },
    handovers: async () => {
      const { rows } = await db.query<{ count: number }>(
        "select count(*) from eventlog_group where epoch > 1",
      );
      return rows[0]?.count ?? 0;
    },
  };
}

test("control: the same writers without the counter's lock lose entries, and the test notices", async (t) => {
  const stack = stackFor(t);
  const address = await createTestDatabase(t);
  const log = stack.use(await openTestLog("unlocked", address));
  const processes = stack.use(
    await Writers.start({ address, kind: "unlocked", seed: 2 }, { writers, tailing: 0 }),
  );
  let lost = 0;
  for (let round = 1; round <= controlRounds && lost === 0; round++) {
    // Each round's tail begins anew: what earlier rounds left is complete by now, and nobody counts it again.
    const tail = new Tail(log);
    const written = await processes.write(controlMs);
    lost = violations(written, await tail.finish()).missed;
    const kept = written.filter(({ rolledBack }) => !rolledBack).length;
    t.diagnostic(`round ${round}: ${lost} of ${kept} entries lost (${((100 * lost) / kept).toFixed(1)} %)`);
  }
  assert.ok(lost > 0, "the detector detects nothing");
});
