import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { uuidv7 } from "../../protocol/ids.ts";
import { settling } from "./again.ts";
import { about, hold, nowMs, openLedger, openPool, somebodyWaits, transfer } from "./ledger.fixture.ts";
import { reconcile } from "./reconcile.ts";
import { settle } from "./settle.ts";
import type { Wish } from "./wishes.ts";

const connections = 8;
const ledger = await openLedger();

test("batches that overlap in accounts, in any order, never wait for each other in a circle", async (t) => {
  const pool = openPool(ledger.db, connections);
  t.after(() => pool.close());
  const accounts = [
    await ledger.open("fees", { funds: 1_000_000n }),
    ...(await Promise.all(Array.from({ length: 5 }, () => ledger.open("earnings", { funds: 1_000_000n })))),
    ...(await Promise.all(Array.from({ length: 5 }, () => ledger.open("wallet", { funds: 1_000_000n })))),
  ];
  const which = fc.nat(accounts.length - 1);
  const leg = fc.record({ debit: which, credit: which, amount: fc.bigInt({ min: 1n, max: 9n }) });
  const legs = fc.array(leg, { minLength: 8, maxLength: 20, size: "max" });
  const batches = fc.array(legs, { minLength: connections, maxLength: connections });
  await fc.assert(
    fc.asyncProperty(batches, async (batches) => {
      const wishes = batches.map((batch) =>
        batch.map(({ debit, credit, amount }, i): Wish => {
          const moved = { debit: accounts[debit] ?? 0, credit: accounts[credit] ?? 0, amount };
          return i % 2 === 0 ? hold(moved) : transfer(moved);
        }),
      );
      // Without trying again: a deadlock must not be mistaken for a conflict.
      const run = (batch: readonly Wish[]): Promise<unknown> =>
        pool.transaction((tx) => settle(tx, batch, nowMs));
      await Promise.all(wishes.map(run));
      await Promise.all(
        wishes.map((batch) =>
          run(batch.flatMap(({ id, kind }) => (kind === "hold" ? about("capture", id) : []))),
        ),
      );
    }),
    { numRuns: 40, endOnFailure: true },
  );
});

test("who waits for a wallet does not keep others from the account that both pay into", async (t) => {
  const pool = openPool(ledger.db, 3);
  t.after(() => pool.close());
  // Opened first, so that by its id it would come first.
  const streamer = await ledger.open("earnings");
  const [mine, yours] = [
    await ledger.open("wallet", { funds: 9n }),
    await ledger.open("wallet", { funds: 9n }),
  ];
  const tip = (wallet: number): Promise<unknown> =>
    pool.transaction((tx) => settle(tx, [transfer({ debit: wallet, credit: streamer, amount: 1n })], nowMs));
  let waiting: Promise<unknown> = Promise.resolve();
  await pool.transaction(async (tx) => {
    await settle(tx, [transfer({ debit: mine, credit: ledger.outside, amount: 1n })], nowMs);
    waiting = tip(mine);
    await somebodyWaits(ledger.db);
    await tip(yours);
  });
  await waiting;
  assert.equal((await ledger.balance(streamer)).available, 2n);
});

test("batches that overlap in ids, in any order and over other accounts, do not either", async (t) => {
  const pool = openPool(ledger.db, connections);
  t.after(() => pool.close());
  const wallets = await Promise.all(
    Array.from({ length: connections }, () => ledger.open("wallet", { funds: 1_000n })),
  );
  const order = fc.shuffledSubarray(
    Array.from({ length: 12 }, (_, i) => i),
    { minLength: 6 },
  );
  const orders = fc.array(order, { minLength: connections, maxLength: connections });
  const credits = await Promise.all(Array.from({ length: connections }, () => ledger.open("earnings")));
  await fc.assert(
    fc.asyncProperty(orders, async (orders) => {
      const ids = Array.from({ length: 12 }, () => uuidv7());
      const answers = await Promise.all(
        orders.map((order, i) => {
          const move = { debit: wallets[i] ?? 0, credit: credits[i] ?? 0, amount: 1n };
          const wishes = order.map((n) => transfer(move, { id: ids[n] ?? "" }));
          return settling(pool, (tx) => settle(tx, wishes, nowMs));
        }),
      );
      const done = answers.flat().filter((answer) => answer === "done").length;
      assert.equal(done, new Set(orders.flat()).size, "each id was somebody's, and one person's");
    }),
    { numRuns: 40, endOnFailure: true },
  );
  assert.deepEqual((await reconcile(ledger.db, nowMs)).mismatches, []);
});
