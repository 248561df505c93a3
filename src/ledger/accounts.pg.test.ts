import assert from "node:assert/strict";
import { test } from "node:test";
import { errorCodeOf } from "../lib/errors.ts";
import {
  accountsMax,
  balancesOf,
  closeAccount,
  findAccounts,
  openAccounts,
  openCurrency,
} from "./accounts.ts";
import { nowMs, openLedger, openPool, transfer } from "./ledger.fixture.ts";
import { scaleMax } from "./money.ts";
import { settle } from "./settle.ts";
import { wishesMax } from "./wishes.ts";

const ledger = await openLedger();
const { db } = ledger;

test("a currency is made known once, and with other decimals it is another one", async () => {
  await openCurrency(db, "JPY", 0);
  await openCurrency(db, "JPY", 0);
  await openCurrency(db, "CLF", scaleMax);
  await assert.rejects(openCurrency(db, "JPY", 2), /JPY has 0 decimals/);
  for (const [code, scale] of [
    ["EUR", scaleMax + 1],
    ["EUR", -1],
    ["EUR", 0.5],
    ["eur", 2],
    ["EURO", 2],
  ] as const)
    await assert.rejects(openCurrency(db, code, scale), RangeError, `${code} ${scale}`);
  const { rows } = await db.query(
    "select code, scale from ledger_currency where code <> 'XTS' order by code",
  );
  assert.deepEqual(rows, [
    { code: "CLF", scale: 4 },
    { code: "JPY", scale: 0 },
  ]);
});

test("accounts are made once, whoever asks for them in whatever order at the same moment", async (t) => {
  const pool = openPool(db, 8);
  t.after(() => pool.close());
  for (let round = 0; round < 5; round++) {
    const { rows } = await db.query<{ owner: number }>(
      `insert into account_user (username, name) select 'round-' || $1::int || '-' || i, 'x' from generate_series(1, 150) i
       returning id as owner`,
      [round],
    );
    const wanted = rows.flatMap(({ owner }) => [
      { kind: "wallet" as const, owner, currency: "XTS" },
      { kind: "earnings" as const, owner, currency: "XTS" },
    ]);
    const opened = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const asked = i % 2 === 0 ? wanted : wanted.toReversed();
        const ids = await pool.transaction((tx) => openAccounts(tx, asked));
        return i % 2 === 0 ? ids : ids.toReversed();
      }),
    );
    for (const ids of opened) assert.deepEqual(ids, opened[0]);
    assert.equal(new Set(opened[0]).size, wanted.length);
    assert.deepEqual(await findAccounts(db, wanted), opened[0]);
  }
});

test("only the world outside may be overdrawn, unless it is said of an account", async () => {
  const [wallet, host] = [await ledger.open("wallet"), await ledger.open("earnings", { mayOverdraw: true })];
  const answers = await ledger.settle([
    transfer({ debit: wallet, credit: host, amount: 1n }),
    transfer({ debit: host, credit: wallet, amount: 1n }),
    transfer({ debit: ledger.outside, credit: wallet, amount: 1n }),
  ]);
  assert.deepEqual(answers, ["insufficient_funds", "done", "done"]);
  assert.equal((await ledger.balance(host)).available, -1n);
});

test("a wallet that may be overdrawn is not to be had", async () => {
  const owner = await ledger.person();
  const name = { kind: "wallet", owner, currency: "XTS" } as const;
  await assert.rejects(
    db.transaction((tx) => openAccounts(tx, [{ ...name, mayOverdraw: true }])),
    RangeError,
  );
  assert.deepEqual(await findAccounts(db, [name]), [undefined]);
  assert.equal((await db.transaction((tx) => openAccounts(tx, [{ ...name, mayOverdraw: false }]))).length, 1);
});

test("a full batch of tips, each from a wallet and to earnings of its own and all with a fee, opens its accounts at once", async () => {
  const { rows } = await db.query<{ owner: number }>(
    `insert into account_user (username, name) select 'tip-' || i, 'x' from generate_series(1, $1::int) i
     returning id as owner`,
    [2 * wishesMax],
  );
  const house = (["outside", "fees", "suspense"] as const).map((kind) => ({
    kind,
    owner: null,
    currency: "XTS",
  }));
  const people = rows.map(({ owner }, i) => {
    return { kind: i < wishesMax ? "wallet" : "earnings", owner, currency: "XTS" } as const;
  });
  const answers = await db.transaction(async (tx) => {
    const [, fees = 0, , ...ids] = await openAccounts(tx, [...house, ...people]);
    const tips = ids.slice(0, wishesMax).map((debit, i) => {
      return transfer([
        { debit, credit: ids[wishesMax + i] ?? 0, amount: 9n },
        { debit, credit: fees, amount: 1n },
      ]);
    });
    return settle(tx, tips, nowMs);
  });
  assert.deepEqual(new Set(answers), new Set(["insufficient_funds"]));
  assert.equal(answers.length, wishesMax);
});

test("what is asked for twice in one call, for nobody, or in an unknown currency", async () => {
  const owner = await ledger.person();
  const name = { kind: "wallet", owner, currency: "XTS" } as const;
  const ids = await db.transaction((tx) => openAccounts(tx, [name, name]));
  assert.equal(ids[0], ids[1]);
  const refused = async (wanted: Parameters<typeof openAccounts>[1]): Promise<string | undefined> =>
    db.transaction((tx) => openAccounts(tx, wanted)).then(() => undefined, errorCodeOf);
  assert.equal(await refused([{ ...name, owner: 999_999 }]), "23503");
  assert.equal(await refused([{ ...name, currency: "XXX" }]), "23503");
  assert.equal(await refused([{ ...name, owner: null }]), "23514");
  assert.equal(await refused([{ kind: "fees", owner, currency: "XTS" }]), "23514");
  assert.deepEqual(await findAccounts(db, [{ ...name, currency: "XXX" }, name]), [undefined, ids[0]]);
});

test("closing is remembered from the first time, and an account that is not there is not closed", async () => {
  const wallet = await ledger.open("wallet");
  assert.equal(await db.transaction((tx) => closeAccount(tx, wallet, nowMs)), true);
  assert.equal(await db.transaction((tx) => closeAccount(tx, wallet, nowMs + 1)), true);
  assert.deepEqual((await ledger.balance(wallet)).closedAt, new Date(nowMs));
  assert.equal(await db.transaction((tx) => closeAccount(tx, 999_999, nowMs)), false);
});

test("no more accounts are opened, found or read at once than the bound", async () => {
  const name = { kind: "fees", owner: null, currency: "XTS" } as const;
  const names = Array.from({ length: accountsMax }, () => name);
  const ids = await db.transaction((tx) => openAccounts(tx, names));
  assert.equal(ids.length, accountsMax);
  assert.equal((await balancesOf(db, [...ids, 0].slice(1))).size, 1);
  await assert.rejects(
    db.transaction((tx) => openAccounts(tx, [...names, name])),
    RangeError,
  );
  await assert.rejects(findAccounts(db, [...names, name]), RangeError);
  await assert.rejects(balancesOf(db, [...ids, 0]), RangeError);
});
