import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../../test/harness.ts";
import type { Tx } from "../lib/db.ts";
import { errorCodeOf } from "../lib/errors.ts";
import { findHalt } from "./halt.ts";
import {
  type TestLedger,
  about,
  behindItsBack,
  hold,
  nowMs,
  openLedger,
  openPool,
  somebodyWaits,
  transfer,
} from "./ledger.fixture.ts";
import { mismatchesNamed, reconcile } from "./reconcile.ts";
import { settle } from "./settle.ts";
import { openUsed } from "./used-ledger.fixture.ts";

test("a ledger that is right is found so, and nothing is halted", async (t) => {
  const { db } = await openUsed(t);
  const found = await reconcile(db, nowMs);
  assert.deepEqual(found, { mismatchCount: 0, mismatches: [], accounts: 4, transfers: 19 });
  assert.equal(await findHalt(db), undefined);
});

test("of many mismatches some are named, and all counted", async (t) => {
  const { db, open } = await openLedger(t);
  for (let i = 0; i <= mismatchesNamed; i++) await open("earnings");
  const text = "update ledger_account set credits_posted = 1, debits_pending = 1 where kind = 'earnings'";
  await behindItsBack(db, text);
  const { mismatchCount, mismatches } = await reconcile(db, nowMs);
  assert.equal(mismatches.filter(({ law }) => law === "account_counters").length, mismatchesNamed);
  assert.equal(mismatchCount, mismatchesNamed + 1 + 1);
  assert.deepEqual(
    mismatches.find(({ law }) => law === "currency_sums"),
    { law: "currency_sums", place: "XTS", stands: "0 21", ought: "21 0" },
  );
});

test("while others move money, reconciling finds nothing wrong", async (t) => {
  const { db, wallet, earnings } = await openUsed(t);
  const pool = openPool(db, 4);
  t.after(() => pool.close());
  const going = { on: true };
  const tipping = Array.from({ length: 3 }, async () => {
    while (going.on) {
      const leg = { debit: wallet, credit: earnings, amount: 1n };
      const held = hold(leg);
      await pool.transaction((tx) => settle(tx, [transfer(leg), held], nowMs));
      await pool.transaction((tx) => settle(tx, [about("capture", held.id)], nowMs));
    }
  });
  let transfers = 0;
  try {
    for (let i = 0; i < 10; i++) {
      const found = await reconcile(db, nowMs);
      assert.deepEqual(found.mismatches, []);
      ({ transfers } = found);
    }
  } finally {
    going.on = false;
    await Promise.all(tipping);
  }
  assert.ok(transfers > 19, "others were at it");
});

test("everything is read in one snapshot: what breaks meanwhile is found the next time", async (t) => {
  const { db } = await openUsed(t);
  let isBroken = false;
  const breaking = (tx: Tx): Tx => ({
    ...tx,
    query: async (text, values, options) => {
      const result = await tx.query<never>(text, values, options);
      // After the first look at the ledger, whatever that is.
      if (!isBroken && text.includes("from ledger_")) {
        isBroken = true;
        await db.query("delete from ledger_open_hold");
      }
      return result;
    },
  });
  const unhurried: TestLedger["db"]["unhurried"] = (ms, work) =>
    db.unhurried(ms, (own) => {
      return work({ ...own, transaction: (inside) => own.transaction((tx) => inside(breaking(tx))) });
    });
  assert.deepEqual((await reconcile({ unhurried }, nowMs)).mismatches, []);
  assert.equal(isBroken, true);
  assert.equal((await reconcile(db, nowMs)).mismatchCount, 1);
});

test("reconciling can be told to end", async (t) => {
  const { db } = await openUsed(t);
  await assert.rejects(reconcile(db, nowMs, AbortSignal.abort(new Error("enough"))), /enough/);
});

const wrong = "update ledger_account set credits_posted = credits_posted + 1 where kind = 'earnings'";

test("payouts are halted at once, however long one is under way, and that one is waited for", async (t) => {
  const { db, earnings, outside } = await openUsed(t);
  await behindItsBack(db, wrong);
  const pool = openPool(db, 2);
  t.after(() => pool.close());
  const payout = (): ReturnType<typeof transfer> =>
    transfer({ debit: earnings, credit: outside, amount: 1n }, { purpose: "payout" });
  const order: string[] = [];
  let reconciling: ReturnType<typeof reconcile> | undefined;
  await pool.transaction(async (tx) => {
    await settle(tx, [payout()], nowMs);
    reconciling = reconcile(db, nowMs);
    void reconciling.then(() => order.push("reconciled"));
    await eventually("payouts are halted", async () => (await findHalt(db)) !== undefined);
    await somebodyWaits(db);
    tx.afterCommit(() => order.push("paid"));
  });
  assert.equal((await reconciling)?.mismatchCount, 2);
  assert.deepEqual(order, ["paid", "reconciled"]);
  assert.deepEqual(await pool.transaction((tx) => settle(tx, [payout()], nowMs)), ["payouts_halted"]);
});

test("who has waited enough for payouts under way is told what was found, and they stay halted", async (t) => {
  const { db, earnings, outside } = await openUsed(t);
  await behindItsBack(db, wrong);
  const pool = openPool(db, 1);
  t.after(() => pool.close());
  const enough = new AbortController();
  await pool.transaction(async (tx) => {
    await settle(tx, [transfer({ debit: earnings, credit: outside, amount: 1n })], nowMs);
    const reconciling = reconcile(db, nowMs, enough.signal);
    await somebodyWaits(db);
    enough.abort();
    assert.equal((await reconciling).mismatchCount, 2);
  });
  assert.match((await findHalt(db))?.why ?? "", /^reconciling found 2 mismatches/);
});

test("what was found is told even where payouts cannot be halted", async (t) => {
  const { db } = await openUsed(t);
  await behindItsBack(db, wrong);
  await db.query("drop table ledger_halt");
  const { mismatchCount, haltFault } = await reconcile(db, nowMs);
  assert.deepEqual([mismatchCount, errorCodeOf(haltFault)], [2, "42P01"]);
});

test("counters that no sum can hold are found like others", async (t) => {
  const { db, wallet } = await openUsed(t);
  for (const name of ["no_overdraft", "bounds"])
    await db.query(`alter table ledger_account drop constraint ledger_account_${name}`);
  const most = "9000000000000000000";
  const set = ["debits", "credits"].map((side) => `${side}_posted = ${most}, ${side}_pending = ${most}`);
  await behindItsBack(db, `update ledger_account set ${set.join()} where id = $1`, [wallet]);
  const { mismatches } = await reconcile(db, nowMs);
  const of = mismatches.filter(({ place }) => place === String(wallet)).map(({ law }) => law);
  assert.deepEqual(of, ["account_counters", "no_overdraft"]);
});
