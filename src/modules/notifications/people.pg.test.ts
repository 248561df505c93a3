import assert from "node:assert/strict";
import { test } from "node:test";
import { openTestDatabase } from "../../../test/harness.ts";
import { nobodyYet } from "./decide-notify.ts";
import { savePeople } from "./people.ts";

test("a statement that was prepared while nobody was counted reads no others when the counts are saved later", async () => {
  const db = await openTestDatabase();
  await db.query(
    "insert into account_user (username, name) select 'p' || n, 'p' from generate_series(1, 50) n",
  );
  const { rows: users } = await db.query<{ id: number }>("select id from account_user order by id");
  const ids = users.map(({ id }) => id);
  // What is read in a transaction is known in it at once; a prepared statement lives as long as its connection.
  const seqScans = await db.transaction(async (tx) => {
    await tx.query("insert into notification_person (user_id) select id from account_user");
    // From the sixth on, PostgreSQL may keep the plan.
    for (let i = 0; i < 20; i++) {
      await savePeople(tx, new Map(ids.slice(i, i + 2).map((id) => [id, { ...nobodyYet, version: i }])));
    }
    const { rows } = await tx.query<{ count: number }>(
      "select seq_scan::int as count from pg_stat_xact_user_tables where relname = 'notification_person'",
    );
    return rows[0]?.count;
  });
  assert.equal(seqScans, 0);
});
