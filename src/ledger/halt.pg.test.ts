import assert from "node:assert/strict";
import { test } from "node:test";
import { findHalt, haltPayouts, liftHalt, whyLength } from "./halt.ts";
import { about, hold, nowMs, openLedger, openPool, somebodyWaits, transfer } from "./ledger.fixture.ts";
import { reconcile } from "./reconcile.ts";
import { settle } from "./settle.ts";

const ledger = await openLedger();
const { db, outside, open } = ledger;

test("payouts wait for the halt to be lifted, and what comes home does not", async () => {
  const earnings = await open("earnings", { funds: 50n });
  const payout = { debit: earnings, credit: outside, amount: 10n };
  const before = transfer(payout, { purpose: "payout" });
  await ledger.settle([before]);
  await db.transaction((tx) => haltPayouts(tx, "a test", nowMs));
  await db.transaction((tx) => haltPayouts(tx, "another one", nowMs + 1));
  assert.deepEqual(await findHalt(db), { since: new Date(nowMs), why: "a test" });
  const refused = transfer(payout, { purpose: "payout" });
  const back = { ...about("reversal", before.id), purpose: "payout" };
  assert.deepEqual(await ledger.settle([before, refused, hold(payout, { purpose: "payout" }), back]), [
    "done",
    "payouts_halted",
    "payouts_halted",
    "done",
  ]);
  assert.equal((await liftHalt(db))?.why, "a test");
  assert.deepEqual(await ledger.settle([refused, transfer(payout, { purpose: "payout" })]), [
    "payouts_halted",
    "done",
  ]);
  assert.equal(await findHalt(db), undefined);
});

test("in a halt nothing leaves the house, whatever it is called, and everything else goes on", async () => {
  const [earnings, wallet] = [await open("earnings", { funds: 99n }), await open("wallet", { funds: 99n })];
  const [out, tip] = [
    { debit: earnings, credit: outside, amount: 1n },
    { debit: wallet, credit: earnings, amount: 1n },
  ];
  const purpose = "payout";
  const [held, kept, inside] = [hold(out, { purpose }), hold(out), hold(tip)];
  const [topUp, paid] = [transfer({ debit: outside, credit: wallet, amount: 1n }), transfer(out)];
  await ledger.settle([held, kept, inside, topUp, paid]);
  await db.transaction((tx) => haltPayouts(tx, "a test", nowMs));
  const both = [tip, { ...tip, credit: outside }];
  for (const wish of [
    { ...about("capture", held.id), purpose: "capture" },
    { ...about("capture", held.id), purpose },
    about("capture", kept.id),
    { ...about("reversal", topUp.id), purpose },
    about("reversal", topUp.id),
    transfer(out, { purpose: "payouts" }),
    transfer(both),
    hold(both),
  ])
    assert.deepEqual(await ledger.settle([wish]), ["payouts_halted"], `${wish.kind} ${wish.purpose}`);
  // In one batch with what it aims at, too.
  const [brought, fresh] = [transfer({ debit: outside, credit: wallet, amount: 1n }), hold(tip)];
  const captured = about("capture", fresh.id);
  assert.deepEqual(
    await ledger.settle([
      brought,
      about("reversal", brought.id),
      fresh,
      captured,
      about("reversal", captured.id),
      about("capture", inside.id),
      about("release", held.id),
      about("reversal", paid.id),
      transfer(tip, { purpose }),
    ]),
    ["done", "payouts_halted", "done", "done", "done", "done", "done", "done", "done"],
  );
  await liftHalt(db);
});

test("a payout that queues behind a halt is halted", async (t) => {
  const pool = openPool(db, 2);
  t.after(() => pool.close());
  const earnings = await open("earnings", { funds: 50n });
  let paying: Promise<unknown> = Promise.resolve();
  await pool.transaction(async (tx) => {
    await haltPayouts(tx, "a test", nowMs);
    const payout = transfer({ debit: earnings, credit: outside, amount: 1n });
    paying = pool.transaction((other) => settle(other, [payout], nowMs));
    await somebodyWaits(db);
  });
  assert.deepEqual(await paying, ["payouts_halted"]);
  await liftHalt(db);
});

test("a reason is cut to the longest that is kept", async () => {
  const sign = "\u{1f9ee}";
  for (const [length, kept] of [
    [whyLength, whyLength],
    [whyLength + 1, whyLength],
  ] as const) {
    await db.transaction((tx) => haltPayouts(tx, sign.repeat(length), nowMs));
    assert.equal(((await liftHalt(db))?.why ?? "").length, kept * sign.length);
  }
});

test("a halt waits for payouts that are under way, so that none is made after it", async (t) => {
  const pool = openPool(db, 2);
  t.after(() => pool.close());
  const earnings = await open("earnings", { funds: 50n });
  const order: string[] = [];
  let halting: Promise<unknown> = Promise.resolve();
  await pool.transaction(async (tx) => {
    await settle(
      tx,
      [transfer({ debit: earnings, credit: outside, amount: 1n }, { purpose: "payout" })],
      nowMs,
    );
    halting = pool
      .transaction((other) => haltPayouts(other, "a test", nowMs))
      .then(() => order.push("halted"));
    await somebodyWaits(db);
    tx.afterCommit(() => order.push("paid"));
  });
  await halting;
  assert.deepEqual(order, ["paid", "halted"]);
  await liftHalt(db);
});

test("after all of this the ledger adds up", async () => {
  assert.deepEqual((await reconcile(db, nowMs)).mismatches, []);
});
