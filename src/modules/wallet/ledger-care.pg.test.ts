import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, manualClock, testLog } from "../../../test/harness.ts";
import { startTestApp } from "../../../test/app.ts";
import { createApp } from "../../app.ts";
import { balancesOf, openAccounts } from "../../ledger/accounts.ts";
import { findHalt } from "../../ledger/halt.ts";
import { behindItsBack, hold, nowMs, openLedger } from "../../ledger/ledger.fixture.ts";
import { settle } from "../../ledger/settle.ts";
import { createLogger } from "../../lib/logger.ts";
import { createLedgerCare, expireBatchMax, reconcileEveryMs } from "./ledger-care.ts";
import { createWallet } from "./module.ts";
import { createReconcile } from "./routes-ledger.ts";
import { reconciliationView } from "./views.ts";

const never = new AbortController().signal;

async function setUp(t: Parameters<typeof openLedger>[0]) {
  const ledger = await openLedger(t);
  const clock = manualClock(nowMs);
  const lines: string[] = [];
  const log = createLogger("warn", { write: (line) => void lines.push(line) });
  return { ...ledger, clock, lines, care: createLedgerCare({ db: ledger.db, clock, log }) };
}

test("holds whose end has come are given back, one more than a batch has, and others wait on", async (t) => {
  const { care, clock, open, settle, balance } = await setUp(t);
  const [from, to] = [await open("wallet", { funds: 1_000n }), await open("earnings")];
  const leg = { debit: from, credit: to, amount: 1n };
  const due = Array.from({ length: expireBatchMax + 1 }, () => hold(leg, { expiresMs: nowMs + 1_000 }));
  await settle([...due, hold(leg, { expiresMs: nowMs + 2_000 }), hold(leg)]);
  const pending = async () => (await balance(from)).debitsPending;
  assert.equal(await pending(), BigInt(expireBatchMax + 3));
  clock.advance(999);
  await care.expireHolds(never);
  assert.equal(await pending(), BigInt(expireBatchMax + 3), "not before their end");
  clock.advance(1);
  await care.expireHolds(never);
  assert.equal(await pending(), 2n);
  assert.deepEqual((await care.reconcile()).mismatches, []);
});

test("no batch of holds is given back once the timer is asked to end", async (t) => {
  const { care } = await setUp(t);
  await assert.rejects(care.expireHolds(AbortSignal.abort(new Error("enough"))), /enough/);
});

test("the ledger is reconciled once a day, whoever else has done it, and a mismatch is an error in the log", async (t) => {
  const { care, clock, db, lines, open } = await setUp(t);
  const wallet = await open("wallet", { funds: 5n });
  const at = async () => (await care.state()).reconciled?.at.getTime();
  assert.deepEqual(await care.state(), { halt: undefined, reconciled: undefined });
  await care.reconcileWhenDue(never);
  assert.equal(await at(), nowMs);
  clock.advance(reconcileEveryMs - 1);
  await care.reconcileWhenDue(never);
  assert.equal(await at(), nowMs, "not before a day has gone by");
  clock.advance(1);
  await behindItsBack(db, "update ledger_account set debits_posted = debits_posted + 1 where id = $1", [
    wallet,
  ]);
  assert.deepEqual(lines, []);
  await care.reconcileWhenDue(never);
  assert.equal(await at(), nowMs + reconcileEveryMs);
  assert.equal((await care.state()).halt?.since.getTime(), nowMs + reconcileEveryMs);
  const told = JSON.parse(lines[0] ?? "{}") as { level: string; mismatches: unknown[]; msg: string };
  assert.deepEqual(
    [told.level, told.mismatches.length, told.msg],
    ["error", 2, "the ledger does not add up: payouts are halted"],
  );
});

test("lifting a halt leaves a line in the log of who did it and what the last reconciling found; where there is none it leaves none", async (t) => {
  const { care, db, lines, open } = await setUp(t);
  const wallet = await open("wallet", { funds: 5n });
  const who = { actor: "key:7", request_id: "r-1" };
  const nothing = { halt: undefined, reconciled: undefined };
  assert.deepEqual([await care.lift(who), lines], [nothing, []]);
  await db.query("insert into ledger_halt (since, why) values (now(), 'a test')");
  assert.equal((await care.lift(who)).halt?.why, "a test");
  const { mismatchCount: never, ...told } = JSON.parse(lines.pop() ?? "{}") as Record<string, unknown>;
  assert.deepEqual(
    [told["level"], told["why"], told["actor"], never],
    ["warn", "a test", "key:7", undefined],
  );
  await behindItsBack(db, "update ledger_account set debits_posted = debits_posted + 1 where id = $1", [
    wallet,
  ]);
  await care.reconcile();
  lines.length = 0;
  const { halt, reconciled } = await care.lift(who);
  assert.match(halt?.why ?? "", /^reconciling found 2 mismatches/);
  assert.deepEqual(reconciled, { at: new Date(nowMs), mismatchCount: 2 });
  const { msg, mismatchCount, request_id } = JSON.parse(lines.join()) as Record<string, unknown>;
  assert.deepEqual([msg, mismatchCount, request_id], ["the halt of payouts is lifted", 2, "r-1"]);
  assert.equal((await care.state()).halt, undefined);
});

test("where the halt cannot be written, that is in the log with what was found, it is not noted as done, and the timer fails", async (t) => {
  const { care, db, lines, open } = await setUp(t);
  const wallet = await open("wallet", { funds: 5n });
  await behindItsBack(db, "update ledger_account set debits_posted = debits_posted + 1 where id = $1", [
    wallet,
  ]);
  await db.query("alter table ledger_halt add constraint nothing_fits check (false)");
  const found = await care.reconcile();
  assert.equal(found.mismatchCount, 2);
  const told = JSON.parse(lines.join()) as { level: string; mismatches: unknown[]; msg: string; err: object };
  assert.deepEqual([told.level, told.mismatches.length], ["error", 2]);
  assert.match(told.msg, /payouts GO ON/);
  assert.match(JSON.stringify(told.err), /nothing_fits/);
  assert.equal(reconciliationView(found).halted, false);
  await assert.rejects(care.reconcileWhenDue(never), { constraint: "nothing_fits" });
  assert.equal((await care.state()).reconciled, undefined);
});

test("both timers of the ledger run beside the others, and reconciling has hours", async (t) => {
  const { app } = await startTestApp(t);
  const { timers } = createWallet(app.deps);
  assert.deepEqual(
    timers.map(({ name, everyMs, maxMs, apart }) => [name, everyMs, maxMs, apart]),
    [
      ["ledger holds", 10_000, undefined, true],
      ["ledger reconciling", 600_000, 4 * 3_600_000, true],
    ],
  );
});

test("a time that lies far ahead, as a wrong clock once noted it, keeps nobody from reconciling", async (t) => {
  const { care, db } = await setUp(t);
  await care.reconcile();
  const at = async (aheadMs: number) => {
    await db.query("update wallet_reconciled set at = $1", [new Date(nowMs + aheadMs)]);
    await care.reconcileWhenDue(never);
    return (await care.state()).reconciled?.at.getTime();
  };
  assert.equal(await at(reconcileEveryMs), nowMs);
  assert.equal(await at(reconcileEveryMs - 1), nowMs + reconcileEveryMs - 1);
});

test("a mismatch is told and halts payouts even where it cannot be noted that it was looked for", async (t) => {
  const { care, db, lines, open } = await setUp(t);
  const wallet = await open("wallet", { funds: 5n });
  await behindItsBack(db, "update ledger_account set debits_posted = debits_posted + 1 where id = $1", [
    wallet,
  ]);
  await db.query("drop table wallet_reconciled");
  await assert.rejects(care.reconcile(), { code: "42P01" });
  assert.match(lines.join(), /"level":"error".*the ledger does not add up: payouts are halted/);
  assert.match((await findHalt(db))?.why ?? "", /^reconciling found 2 mismatches/);
});

test("who asks for reconciling while it is under way gets its answer; what takes too long is given up, and can be asked for again", async (t) => {
  const { care, db } = await setUp(t);
  let times = 0;
  const counted = { reconcile: (signal?: AbortSignal) => (times++, care.reconcile(signal)) };
  const reconcile = createReconcile(counted, 300);
  const [first, second] = await Promise.all([reconcile(), reconcile()]);
  assert.deepEqual([times, first === second, first?.mismatchCount], [1, true, 0]);
  await db.transaction(async (tx) => {
    await tx.query("lock table ledger_leg in access exclusive mode");
    await assert.rejects(reconcile(), {
      code: "unavailable",
      message: /^it takes longer than 0\.3 s: use tid/,
    });
  });
  assert.deepEqual([(await reconcile()).mismatchCount, times], [0, 3]);
});

test("a server reconciles by itself once it runs, and gives back what is over", async (t) => {
  const before = await startTestApp(t);
  const { config, db: own } = before.app.deps;
  // In the server's currency, and over long ago.
  const held = await own.transaction(async (tx) => {
    const [outside = 0, suspense = 0] = await openAccounts(tx, [
      { kind: "outside", owner: null, currency: "USD" },
      { kind: "suspense", owner: null, currency: "USD" },
    ]);
    const leg = { debit: outside, credit: suspense, amount: 5n };
    await settle(tx, [hold(leg, { currency: "USD", expiresMs: nowMs + 1 })], nowMs);
    return suspense;
  });
  await before.app.close();
  await using app = await createApp(config, { log: testLog });
  const { db } = app.deps;
  await eventually("it is given back", async () => {
    return (await balancesOf(db, [held])).get(held)?.creditsPending === 0n;
  });
  await eventually("it is reconciled", async () => {
    const { rows } = await db.query<{ mismatch_count: number }>(
      "select mismatch_count from wallet_reconciled",
    );
    return rows[0]?.mismatch_count === 0;
  });
});
