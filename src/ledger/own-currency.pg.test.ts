import assert from "node:assert/strict";
import { test } from "node:test";
import { openTestDatabase } from "../../test/harness.ts";
import type { Db, Tx } from "../lib/db.ts";
import { AppError } from "../lib/errors.ts";
import { createLogger } from "../lib/logger.ts";
import { openAccounts, openCurrency } from "./accounts.ts";
import { settling } from "./again.ts";
import { about, hold, nowMs, somebodyWaits, transfer } from "./ledger.fixture.ts";
import { claimOwnCurrency, holdOwnCurrency } from "./own-currency.ts";
import { settle } from "./settle.ts";
import type { Wish } from "./wishes.ts";

type Cleanup = Parameters<typeof openTestDatabase>[0];

/** Two servers' worth of calls on an empty ledger. */
async function setUp(t: Cleanup) {
  const db = await openTestDatabase(t);
  const lines: string[] = [];
  const log = createLogger("error", { write: (line) => void lines.push(line) });
  const claim = (code: string, own: Pick<Db, "query" | "transaction"> = db) => claimOwnCurrency(own, code, 2);
  const accountsIn = (tx: Tx, currency: string) =>
    openAccounts(tx, [
      { kind: "outside", owner: null, currency },
      { kind: "suspense", owner: null, currency },
    ]);
  /** What a server of this currency does that makes money. */
  const make = (currency: string, meanwhile: () => Promise<void> = async () => undefined) =>
    settling(db, async (tx) => {
      await holdOwnCurrency(tx, currency, log);
      const [debit = 0, credit = 0] = await accountsIn(tx, currency);
      const answers = await settle(tx, [transfer({ debit, credit, amount: 5n }, { currency })], nowMs);
      await meanwhile();
      return answers;
    });
  const claimed = async () => (await db.query("select code from ledger_own_currency")).rows;
  return { db, lines, claim, accountsIn, make, claimed };
}

const refused = (error: unknown): boolean => error instanceof AppError && error.code === "unavailable";

test("of two servers that claim an empty ledger for different currencies only one makes money, and that one starts again", async (t) => {
  for (let round = 0; round < 5; round++) {
    const { db, lines, claim, make } = await setUp(t);
    const codes = ["USD", "EUR", "USD", "EUR"];
    await Promise.allSettled(codes.map((code) => claim(code)));
    const made = await Promise.allSettled(codes.map((code) => make(code)));
    const { rows } = await db.query<{ currency: string }>("select distinct currency from ledger_account");
    assert.equal(rows.length, 1);
    const currency = rows[0]?.currency ?? "";
    for (const [i, result] of made.entries()) {
      assert.equal(result.status, codes[i] === currency ? "fulfilled" : "rejected", JSON.stringify(result));
      if (result.status === "rejected") assert.ok(refused(result.reason));
    }
    assert.equal(lines.length, 2);
    assert.match(lines[0] ?? "", /"level":"error".*"currency":"(USD|EUR)","ledger":"(USD|EUR)".*no money is/);
    assert.deepEqual(await claim(currency), { scale: 2, others: [] });
    const other = currency === "USD" ? "EUR" : "USD";
    await assert.rejects(claim(other), {
      name: "StartupError",
      message: `CURRENCY is ${other}, and the ledger holds money in ${currency} on 2 accounts: set CURRENCY=${currency}, or use another database`,
    });
  }
});

test("who claims an empty ledger waits for what is just being moved in it, and is refused when that was money", async (t) => {
  const { claim, make, db, claimed } = await setUp(t);
  await claim("USD");
  let claiming: Promise<unknown> | undefined;
  await make("USD", async () => {
    claiming = assert.rejects(claim("EUR"), { name: "StartupError", message: /money in USD on 2 accounts/ });
    await somebodyWaits(db);
  });
  await claiming;
  assert.deepEqual(await claimed(), [{ code: "USD" }]);
});

test("who would move money while the ledger is just being claimed for another currency waits, and is refused", async (t) => {
  const { claim, make, db, claimed } = await setUp(t);
  await claim("USD");
  let making: Promise<unknown> | undefined;
  const slow: Pick<Db, "query" | "transaction"> = {
    ...db,
    transaction: (work) =>
      db.transaction(async (tx) => {
        const result = await work(tx);
        making = assert.rejects(make("USD"), { message: /CURRENCY is USD, and the ledger's is EUR/ });
        await somebodyWaits(db);
        return result;
      }),
  };
  await claim("EUR", slow);
  await making;
  assert.deepEqual(await claimed(), [{ code: "EUR" }]);
  assert.deepEqual((await db.query("select from ledger_transfer")).rowCount, 0);
});

test("a ledger takes another currency while nothing is on any account, nor set aside", async (t) => {
  const { claim, db, accountsIn, claimed } = await setUp(t);
  await claim("XTS");
  const run = (wishOf: (outside: number, suspense: number) => Wish) =>
    settling(db, async (tx) => {
      const [outside = 0, suspense = 0] = await accountsIn(tx, "XTS");
      return settle(tx, [wishOf(outside, suspense)], nowMs);
    });
  const refusal = {
    name: "StartupError",
    message: /the ledger holds money in XTS on 2 accounts: set CURRENCY=XTS/,
  };
  let id = "";
  await run((outside, suspense) => {
    const held = hold({ debit: outside, credit: suspense, amount: 5n });
    id = held.id;
    return held;
  });
  await assert.rejects(claim("USD"), refusal);
  await run(() => about("capture", id));
  await assert.rejects(claim("USD"), refusal);
  await run((outside, suspense) => transfer({ debit: suspense, credit: outside, amount: 5n }));
  assert.deepEqual(await claim("USD"), { scale: 2, others: [] });
  assert.deepEqual(await claimed(), [{ code: "USD" }]);
});

test("of a currency that the ledger knows, the ledger's decimals count; of money in others its own server hears and starts", async (t) => {
  const { claim, db, accountsIn, claimed } = await setUp(t);
  await openCurrency(db, "USD", 0);
  assert.deepEqual(await claim("USD"), { scale: 0, others: [] });
  assert.deepEqual(await claim("USD"), { scale: 0, others: [] });
  await openCurrency(db, "XTS", 2);
  await settling(db, async (tx) => {
    const [debit = 0, credit = 0] = await accountsIn(tx, "XTS");
    return settle(tx, [transfer({ debit, credit, amount: 5n })], nowMs);
  });
  assert.deepEqual(await claim("USD"), { scale: 0, others: [{ currency: "XTS", accounts: 2 }] });
  await assert.rejects(claim("EUR"), { message: /in XTS on 2 accounts: set CURRENCY=USD/ });
  assert.deepEqual(await claimed(), [{ code: "USD" }]);
});

test("where there is money in two currencies and no server has claimed it, nobody is told to set one of them", async (t) => {
  const { claim, db, accountsIn, claimed } = await setUp(t);
  for (const currency of ["EUR", "XTS"]) {
    await openCurrency(db, currency, 2);
    await settling(db, async (tx) => {
      const [debit = 0, credit = 0] = await accountsIn(tx, currency);
      return settle(tx, [transfer({ debit, credit, amount: 5n }, { currency })], nowMs);
    });
  }
  for (const code of ["USD", "EUR", "XTS"])
    await assert.rejects(claim(code), {
      message: `CURRENCY is ${code}, and the ledger holds money in EUR on 2 accounts, in XTS on 2 accounts: no server starts before all of it is in one; use another database`,
    });
  assert.deepEqual(await claimed(), []);
});
