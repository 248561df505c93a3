import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Reconciliation } from "../../protocol/wallet.ts";
import { openTestDatabase } from "../../test/harness.ts";
import { openAccounts, openCurrency } from "../ledger/accounts.ts";
import { findHalt } from "../ledger/halt.ts";
import { behindItsBack } from "../ledger/ledger.fixture.ts";
import { runCli } from "./cli.ts";
import { recordStream } from "./recording.fixture.ts";

const db = await openTestDatabase({ after });
const { user, host, database } = db.address;
const DATABASE_URL = `postgres://${user}@socket/${database}?host=${encodeURIComponent(host)}`;

async function tidings(...argv: readonly string[]) {
  return run(argv);
}

async function run(argv: readonly string[], own: Readonly<Record<string, string>> = {}) {
  const [stdout, stderr] = [recordStream(), recordStream()];
  // In another currency than the ledger's: who looks after it is not asked for one.
  const environment = { DATABASE_URL, LOG_LEVEL: "silent", CURRENCY: "JPY", ...own };
  const code = await runCli(argv, { stdout, stderr, environment, directory: "/nonexistent" });
  return { code, out: stdout.text(), err: stderr.text() };
}

await openCurrency(db, "USD", 2);
const [account = 0] = await db.transaction((tx) =>
  openAccounts(tx, [{ kind: "suspense", owner: null, currency: "USD" }]),
);

test("a ledger that adds up is said to, with exit code 0", async () => {
  const { code, out, err } = await tidings("ledger", "reconcile");
  assert.deepEqual([code, out, err], [0, "1 account and 0 transfers add up.\n", ""]);
  const json = await tidings("ledger", "reconcile", "--json");
  const found: Reconciliation = {
    mismatch_count: 0,
    mismatches: [],
    halted: false,
    accounts: 1,
    transfers: 0,
  };
  assert.deepEqual([json.code, JSON.parse(json.out)], [0, found]);
  assert.equal((await tidings("ledger", "lift")).err, "Payouts are not halted.\n");
});

test("each mismatch is said, payouts are halted, and the exit code is 3; lifting is a word of its own, which says who and what is amiss", async () => {
  await behindItsBack(db, "update ledger_account set credits_posted = 7 where id = $1", [account]);
  const { code, out, err } = await tidings("ledger", "reconcile");
  assert.equal(code, 3);
  assert.match(out, new RegExp(`^account_counters +${account} +0 7 0 0 +0 0 0 0$`, "m"));
  assert.match(out, /^currency_sums +USD +0 0 +7 0$/m);
  assert.match(err, /^The ledger has 2 mismatches: payouts are halted\. .*npx tidings ledger lift$/m);
  assert.match((await findHalt(db))?.why ?? "", /^reconciling found 2 mismatches/);
  const json = await tidings("ledger", "reconcile", "--json");
  assert.deepEqual([json.code, (JSON.parse(json.out) as Reconciliation).mismatch_count], [3, 2]);
  const lifted = await run(["ledger", "lift"], { LOG_LEVEL: "" });
  assert.equal(lifted.code, 0);
  assert.match(
    lifted.err,
    / warn +the halt of payouts is lifted +actor=command line, uid \d+ .*mismatchCount=2/,
  );
  assert.match(lifted.err, /^The last reconciling found 2 mismatches, and lifting mends nothing: /m);
  assert.match(lifted.out, /^Payouts are made again\. They were halted since .*: reconciling found 2 mism/);
  assert.equal(await findHalt(db), undefined);
});

test("of more mismatches than are named, the others are counted", async () => {
  await db.query(
    "insert into account_user (username, name) select 'p' || i, 'p' from generate_series(1, 20) i",
  );
  await behindItsBack(
    db,
    `insert into ledger_account (kind, owner, currency, may_overdraw, credits_posted)
     select 'wallet', id, 'USD', false, 1 from account_user`,
  );
  const { out, err } = await tidings("ledger", "reconcile");
  assert.equal(out.match(/^account_counters /gm)?.length, 20);
  assert.match(err, /^And 1 more\.\nThe ledger has 22 mismatches: /);
});

test("a ledger that does not add up and cannot be halted is told as that, and a database that is not there is exit code 1", async () => {
  await db.query("delete from ledger_halt");
  await db.query("alter table ledger_halt add constraint nothing_fits check (false)");
  const { code, err } = await tidings("ledger", "reconcile");
  assert.equal(code, 3);
  assert.match(
    err,
    /^The ledger has 22 mismatches, and payouts GO ON: the halt could not be written\. Try again/m,
  );
  const nowhere = await run(["ledger", "reconcile"], { DATABASE_URL: "postgres://nobody@127.0.0.1:1/none" });
  assert.equal(nowhere.code, 1);
});
