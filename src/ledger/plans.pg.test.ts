import assert from "node:assert/strict";
import { test } from "node:test";
import { expireHolds } from "./expire-holds.ts";
import { findTransfers } from "./find-transfers.ts";
import { about, hold, nowMs, openLedger, openPool, transfer } from "./ledger.fixture.ts";
import { settle } from "./settle.ts";

test("whenever a connection has made its plans while the ledger is young, none reads all transfers, legs or holds", async () => {
  const { db, open } = await openLedger();
  const wallets = await Promise.all(Array.from({ length: 20 }, () => open("wallet", { funds: 10_000n })));
  const credit = await open("earnings");
  const seen: Record<string, number> = {};
  // A prepared statement lives as long as its connection, and what was read in a transaction is known in it at once.
  for (let age = 0; age < 8; age++) {
    const pool = openPool(db, 1);
    await pool.transaction(async (tx) => {
      // From the sixth on, PostgreSQL may keep the plan. A transaction settles once: to the ledger these are others.
      for (let i = 0; i < 8; i++) {
        const legs = wallets.map((debit) => ({ debit, credit, amount: 1n }));
        const [tips, holds] = [legs.map((leg) => transfer(leg)), legs.map((leg) => hold(leg))];
        await settle(
          { ...tx },
          [...tips, ...holds, ...legs.map((leg) => hold(leg, { expiresMs: nowMs + 1 }))],
          nowMs,
        );
        const resolving = holds.map(({ id }, n) => about(n % 2 === 0 ? "capture" : "release", id));
        await settle({ ...tx }, [...resolving, ...tips.map(({ id }) => about("reversal", id))], nowMs);
        const ids = await expireHolds({ ...tx }, nowMs + 1);
        await findTransfers(tx, [...ids, ...tips.map(({ id }) => id)]);
      }
      const { rows } = await tx.query<{ relname: string; seq_scan: number }>(
        `select relname, seq_scan from pg_stat_xact_user_tables
          where relname in ('ledger_transfer', 'ledger_leg', 'ledger_open_hold')`,
      );
      assert.equal(rows.length, 3);
      for (const { relname, seq_scan } of rows) seen[relname] = (seen[relname] ?? 0) + seq_scan;
    });
    await pool.close();
  }
  assert.deepEqual(seen, { ledger_transfer: 0, ledger_leg: 0, ledger_open_hold: 0 });
});

test("nothing tells PostgreSQL that the tables are tiny before they have grown", async () => {
  const { db } = await openLedger();
  const { rows } = await db.query<{ relname: string }>(
    `select relname from pg_class, unnest(reloptions) option
      where option in ('autovacuum_analyze_threshold=5000', 'autovacuum_vacuum_insert_threshold=5000')
      group by relname having count(*) = 2 order by relname`,
  );
  assert.deepEqual(
    rows.map(({ relname }) => relname),
    ["ledger_leg", "ledger_open_hold", "ledger_transfer"],
  );
});
