import assert from "node:assert/strict";
import { test } from "node:test";
import { closeAccount, openAccounts } from "./accounts.ts";
import { about, hold, noting, nowMs, openLedger, transfer } from "./ledger.fixture.ts";
import { amountMax } from "./money.ts";
import { reconcile } from "./reconcile.ts";
import { settle } from "./settle.ts";
import { type Wish, actorLength, legsMax, momentMaxMs, wishesMax } from "./wishes.ts";

const ledger = await openLedger();
const { db, outside, open, balance } = ledger;

test("a batch takes the same few statements whatever its size", async () => {
  const [wallet, earnings] = [await open("wallet", { funds: 1_000_000n }), await open("earnings")];
  const count = async (wishes: readonly Wish[]): Promise<number> => {
    const statements: string[] = [];
    await db.transaction((tx) => settle(noting(tx, statements), wishes, nowMs));
    return statements.length;
  };
  const leg = { debit: wallet, credit: earnings, amount: 1n };
  const tips = (n: number): Wish[] => Array.from({ length: n }, () => transfer(leg));
  assert.deepEqual([await count(tips(1)), await count(tips(wishesMax))], [5, 5]);
  const mixed = (n: number): Wish[] =>
    Array.from({ length: n }, () => {
      const [held, given, tip] = [hold(leg), hold(leg), transfer({ ...leg, credit: outside })];
      return [
        held,
        given,
        tip,
        about("capture", held.id),
        about("release", given.id),
        about("reversal", tip.id),
      ];
    }).flat();
  const most = Math.floor(wishesMax / 6);
  // Targets, accounts, the lock of payouts, the halt, ids; transfers, legs, holds twice, counters.
  assert.deepEqual([await count(mixed(1)), await count(mixed(most))], [10, 10]);
  const earlier = tips(wishesMax);
  await ledger.settle(earlier);
  const [one, ...others] = earlier.map(({ id }) => about("reversal", id));
  // Instead of what is for payouts and holds, what has become of the targets.
  assert.deepEqual([await count(one === undefined ? [] : [one]), await count(others)], [7, 7]);
  assert.equal(await count([]), 0);
});

test("what is beyond a bound is a fault of the program, and at the bound it is not", async () => {
  const [wallet, earnings] = [await open("wallet", { funds: 100n }), await open("earnings")];
  const leg = { debit: wallet, credit: earnings, amount: 1n };
  const legs = Array.from({ length: legsMax }, () => leg);
  const held = hold(legs);
  const name = "a".repeat(actorLength);
  const purpose = "p".repeat(64);
  const fits = [
    transfer(legs, { actor: name, purpose }),
    held,
    about(
      "capture",
      held.id,
      legs.map(() => 1n),
    ),
    hold(leg, { expiresMs: momentMaxMs }),
    transfer({ ...leg, debit: outside, amount: amountMax }),
  ];
  assert.deepEqual(new Set(await ledger.settle(fits)), new Set(["done"]));
  assert.deepEqual(await ledger.settle([transfer({ ...leg, debit: outside, amount: amountMax + 1n })]), [
    "amount_out_of_range",
  ]);
  const faults: Wish[] = [
    transfer([...legs, leg]),
    transfer([]),
    about(
      "capture",
      held.id,
      [...legs, leg].map(() => 1n),
    ),
    about("capture", held.id, []),
    transfer(leg, { actor: `${name}a` }),
    transfer(leg, { actor: "" }),
    transfer(leg, { actor: "user:\0" }),
    transfer(leg, { actor: "user:\ud800" }),
    transfer(leg, { purpose: `${purpose}p` }),
    transfer(leg, { purpose: "Tip!" }),
    transfer(leg, { currency: "XT'S" }),
    transfer(leg, { id: "1" }),
    about("release", "1"),
    hold(leg, { expiresMs: momentMaxMs + 1 }),
    hold(leg, { expiresMs: -1 }),
    hold(leg, { expiresMs: Number.NaN }),
  ];
  for (const fault of faults) await assert.rejects(ledger.settle([fault]), RangeError);
  for (const atMs of [Number.NaN, -1, momentMaxMs + 1, 0.5])
    await assert.rejects(ledger.settle([transfer(leg)], atMs), RangeError, String(atMs));
  assert.deepEqual(await ledger.settle([transfer(leg)], momentMaxMs), ["done"]);
  assert.deepEqual(await ledger.settle([transfer(leg)], 0), ["done"]);
  const many = Array.from({ length: wishesMax + 1 }, () => transfer(leg));
  await assert.rejects(ledger.settle(many), RangeError);
});

test("accounts that nobody can have are unknown, and other currencies do not mix", async () => {
  const [wallet, earnings] = [await open("wallet", { funds: 100n }), await open("earnings")];
  const leg = { debit: wallet, credit: earnings, amount: 1n };
  const odd = [0, -1, 1.5, Number.NaN, Number.MAX_SAFE_INTEGER, 2 ** 53].map((debit) =>
    transfer({ ...leg, debit }),
  );
  assert.deepEqual(new Set(await ledger.settle(odd)), new Set(["unknown_account"]));
  assert.deepEqual(
    await ledger.settle([transfer(leg, { currency: "XXX" }), transfer({ ...leg, credit: wallet })]),
    ["currency_mismatch", "same_account"],
  );
});

test("a transaction that would lock accounts in two goes is told so", async () => {
  const leg = { debit: await open("wallet", { funds: 9n }), credit: outside, amount: 1n };
  const name = { kind: "wallet", owner: null, currency: "XTS" } as const;
  await assert.rejects(
    db.transaction(async (tx) => {
      await settle(tx, [transfer(leg)], nowMs);
      await settle(tx, [transfer(leg)], nowMs);
    }),
    /cannot get to/,
  );
  await assert.rejects(
    db.transaction(async (tx) => {
      await settle(tx, [transfer(leg)], nowMs);
      await openAccounts(tx, [name]);
    }),
    /cannot get to/,
  );
  await assert.rejects(
    db.transaction(async (tx) => {
      await closeAccount(tx, leg.debit, nowMs);
      await settle(tx, [transfer(leg)], nowMs);
    }),
    /cannot get to/,
  );
  assert.equal((await balance(leg.debit)).available, 9n);
});

test("after all of this the ledger adds up", async () => {
  assert.deepEqual((await reconcile(db, nowMs)).mismatches, []);
});
