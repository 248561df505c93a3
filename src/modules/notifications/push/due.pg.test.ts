import assert from "node:assert/strict";
import { test } from "node:test";
import { settlePushes, takeDue } from "./due.ts";
import { openPushStage } from "./push.fixture.ts";

test("statements that were prepared while little was due read only what they are about when much is", async (t) => {
  const stage = await openPushStage(t);
  const { db, clock } = stage;
  const userId = await stage.person();
  const { id } = await stage.subscribe(userId);
  const dueAt = new Date(clock.now() - 1_000);
  // What is read in a transaction is known in it at once; a prepared statement lives as long as its connection.
  const read = await db.transaction(async (tx) => {
    const add = (count: number, at: Date) =>
      tx.query(
        `insert into notification_push_due (subscription_id, notification_id, user_id, told_at, due_at)
         select $1, gen_random_uuid(), $2, $3, $3 from generate_series(1, $4::int)`,
        [id, userId, at, count],
      );
    const work = async (): Promise<void> => {
      await add(20, dueAt);
      const taken = await takeDue(tx, { rowsMax: 100, leaseMs: 60_000 }, clock.now());
      assert.equal(taken.length, 20);
      const again = taken.slice(10).map((push) => ({ push, atMs: clock.now() + 60_000, failures: 1 }));
      const settled = { done: taken.slice(0, 10), sent: [], gone: [], again };
      await settlePushes({ transaction: (settle) => settle(tx) }, settled, clock.now());
    };
    const rowsRead = async (): Promise<number> => {
      const { rows } = await tx.query<{ count: number }>(
        "select seq_tup_read::int as count from pg_stat_xact_user_tables where relname = 'notification_push_due'",
      );
      return rows[0]?.count ?? 0;
    };
    // From the sixth on, PostgreSQL may keep the plan.
    for (let n = 0; n < 12; n++) await work();
    await add(20_000, new Date(clock.now() + 3_600_000));
    const before = await rowsRead();
    for (let n = 0; n < 3; n++) await work();
    return (await rowsRead()) - before;
  });
  assert.equal(read, 0);
});
