import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, openTestDatabase } from "../../test/harness.ts";
import type { Db, Queryable } from "../lib/db.ts";
import { moveCheckpoints } from "./checkpoints.ts";
import type { Cleanup } from "./consumer.fixture.ts";
import { replayGroup } from "./consumer-admin.ts";
import { tally } from "./consumer.fixture.ts";
import {
  beat,
  claimLeases,
  ensureGroup,
  hasFreePartitions,
  leave,
  releaseLeases,
  renewLeases,
} from "./leases.ts";
import type { EventLog } from "./eventlog.ts";

const partitions = 16;
const zeros: readonly number[] = Array.from({ length: partitions }, () => 0);

async function held(db: Db, group: string): Promise<Readonly<Record<string, number>>> {
  const { rows } = await db.query<{ owner: string; held: number }>(
    "select owner, count(*) as held from eventlog_group where group_name = $1 and owner is not null group by owner",
    [group],
  );
  return Object.fromEntries(rows.map(({ owner, held }) => [owner, held]));
}

test("a group is shared out among the members that know it, and the others count for nothing", async (t) => {
  const db = await openTestDatabase(t);
  assert.deepEqual(await beat(db, { node: "old", groups: ["inbox"] }), [1]);
  assert.deepEqual(await beat(db, { node: "new", groups: ["inbox", "mails"] }), [2, 1]);
  assert.deepEqual(await beat(db, { node: "old", groups: ["inbox"] }), [2]);
  // A server of the version before says nothing of its groups.
  await db.query("insert into eventlog_member (node) values ('older')");
  assert.deepEqual(await beat(db, { node: "new", groups: ["mails", "inbox"] }), [1, 2]);
  await leave(db, "old");
  assert.deepEqual(await beat(db, { node: "new", groups: ["inbox"] }), [1]);
});

test("a claim takes of each group what its own share allows, and leaving gives all of it back", async (t) => {
  const db = await openTestDatabase(t);
  for (const group of ["inbox", "mails"]) await ensureGroup(db, group, zeros);
  const shares = [
    { group: "inbox", share: 8 },
    { group: "mails", share: partitions },
  ];
  assert.equal((await claimLeases(db, { node: "me", shares })).length, 8 + partitions);
  assert.deepEqual([await held(db, "inbox"), await held(db, "mails")], [{ me: 8 }, { me: 16 }]);
  assert.deepEqual(await claimLeases(db, { node: "me", shares }), []);
  assert.deepEqual(
    [await hasFreePartitions(db, ["inbox"]), await hasFreePartitions(db, ["mails"])],
    [true, false],
  );
  await leave(db, "me");
  assert.deepEqual([await held(db, "inbox"), await held(db, "mails")], [{}, {}]);
  assert.equal(await hasFreePartitions(db, ["mails"]), true);
});

/** Rows of the group that nobody has locked. */
async function unlocked(db: Queryable): Promise<readonly number[]> {
  const { rows } = await db.query<{ part: number }>(
    "select part from eventlog_group where group_name = 'tally' order by part for update skip locked",
  );
  return rows.map(({ part }) => part);
}

/** What changes several rows, each in an order of its own wish. */
const statements: Readonly<Record<string, (db: Db) => Promise<unknown>>> = {
  "moving checkpoints": (db) => {
    const moves = [9, 12, 0, 3].map((partition) => ({ partition, epoch: 1, from: 0, to: 1 }));
    return db.transaction((tx) => moveCheckpoints(tx, "tally", moves));
  },
  "renewing leases": (db) => renewLeases(db, "me"),
  "releasing leases": (db) =>
    releaseLeases(
      db,
      "me",
      [9, 12, 0, 3].map((partition) => ({ group: "tally", partition, epoch: 1 })),
    ),
  leaving: (db) => leave(db, "me"),
  "setting checkpoints": (db) => {
    const eventlog = { tails: () => Promise.resolve(zeros) } as unknown as EventLog;
    return replayGroup({ db, eventlog }, [tally()], { group: "tally", from: "first" });
  },
};

for (const [what, run] of Object.entries(statements)) {
  test(`${what} locks rows in the order of partitions, so that nothing deadlocks`, async (t: Cleanup) => {
    const db = await openTestDatabase(t);
    // Written from the last to the first: the order of the table is not the order of partitions.
    await db.query(
      `insert into eventlog_group (group_name, part, checkpoint, owner, epoch, lease_until, leased_at)
       select 'tally', 15 - n, 0, 'me', 1, now() + interval '1 hour', now() from generate_series(0, 15) n`,
    );
    let running: Promise<unknown> | undefined;
    await db.transaction(async (holder) => {
      await holder.query("select from eventlog_group where group_name = 'tally' and part = 0 for update");
      running = run(db);
      await eventually("it waits for the first row", async () => {
        const { rows } = await db.query<{ waiting: boolean }>(
          `select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock') as waiting`,
        );
        return rows[0]?.waiting === true;
      });
      assert.deepEqual(
        await unlocked(db),
        Array.from({ length: partitions - 1 }, (_, i) => i + 1),
      );
    });
    await running;
  });
}
