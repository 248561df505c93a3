import assert from "node:assert/strict";
import { test } from "node:test";
import { uuidv7 } from "../../protocol/ids.ts";
import { counterMax } from "./account-state.ts";
import { openAccounts } from "./accounts.ts";
import { whyLength } from "./halt.ts";
import { about, hold, nowMs, openLedger, transfer } from "./ledger.fixture.ts";
import { amountMax } from "./money.ts";

const ledger = await openLedger();
const { db } = ledger;

const [wallet, earnings] = [await ledger.open("wallet", { funds: 100n }), await ledger.open("earnings")];
await db.query("insert into ledger_currency (code, scale) values ('XXX', 0)");
const tip = transfer({ debit: wallet, credit: earnings, amount: 10n });
const held = hold({ debit: wallet, credit: earnings, amount: 10n });
const spare = hold({ debit: wallet, credit: earnings, amount: 1n });
await ledger.settle([tip, held, spare, about("capture", held.id)]);

type Rule = { readonly code?: string; readonly constraint?: string; readonly message: string };

/** What the database says to a statement, perhaps after another one; nothing when it has let it pass. */
async function verdict(
  text: string,
  values: readonly unknown[] = [],
  before?: string,
): Promise<string | undefined> {
  try {
    await db.transaction(async (tx) => {
      if (before !== undefined) await tx.query(before);
      await tx.query(text, values);
      throw new Error("passed");
    });
  } catch (error) {
    const { code, constraint, message } = error as Rule;
    if (message === "passed") return undefined;
    // Triggers have no constraint to name.
    return code === "23001" ? "refused" : (constraint ?? code);
  }
  return undefined;
}

/** Puts the triggers out of action, and leaves constraints as they are. */
const asOwner = "set local session_replication_role = replica";
const counters = ["debits_posted", "credits_posted", "debits_pending", "credits_pending"] as const;

test("no statement overdraws an account, nor takes back what was posted", async () => {
  const update = (set: string, before?: string): Promise<string | undefined> =>
    verdict(`update ledger_account set ${set} where id = $1`, [wallet], before);
  assert.equal(await update("debits_posted = debits_posted + 80"), "ledger_account_no_overdraft");
  assert.equal(await update("debits_pending = debits_pending + 80"), "ledger_account_no_overdraft");
  assert.equal(await update("debits_posted = debits_posted + 79", asOwner), undefined);
  assert.equal(await update("may_overdraw = true", asOwner), "ledger_account_wallet");
  const outside = "update ledger_account set may_overdraw = false where kind = 'outside'";
  assert.equal(await verdict(outside, [], asOwner), "ledger_account_no_overdraft");
  assert.equal(await update("debits_posted = debits_posted - 1"), "refused");
  assert.equal(await update("credits_posted = credits_posted - 1"), "refused");
  for (const counter of counters) {
    const says = await update(`${counter} = -1`);
    assert.ok(says === `ledger_account_${counter}_check` || says === "refused", says);
  }
});

test("no counter grows beyond what sums can hold", async () => {
  const update = (set: string, value: bigint): Promise<string | undefined> =>
    verdict(`update ledger_account set ${set} where id = $1`, [ledger.outside, String(value)], asOwner);
  for (const side of ["debits", "credits"]) {
    const both = `${side}_posted = $2, ${side}_pending = 0`;
    assert.equal(await update(both, counterMax), undefined);
    assert.equal(await update(both, counterMax + 1n), "ledger_account_bounds");
    assert.equal(
      await update(`${side}_posted = $2, ${side}_pending = 1`, counterMax),
      "ledger_account_bounds",
    );
    assert.equal(await update(`${side}_pending = $2`, 2n ** 63n - 1n), "ledger_account_bounds");
  }
});

test("accounts, currencies and transfers stay what they are, and stay", async () => {
  for (const statement of [
    "update ledger_account set kind = 'earnings' where kind = 'wallet'",
    "update ledger_account set owner = null",
    "update ledger_account set currency = 'XXX'",
    "update ledger_account set may_overdraw = true where kind = 'earnings'",
    "delete from ledger_account",
    "truncate ledger_account cascade",
    "update ledger_currency set scale = 3",
    "delete from ledger_currency",
    "update ledger_transfer set actor = 'x'",
    "update ledger_transfer set refused = 'insufficient_funds'",
    "delete from ledger_transfer",
    "truncate ledger_transfer cascade",
    "update ledger_leg set amount = amount + 1",
    "delete from ledger_leg",
    "truncate ledger_leg",
  ])
    assert.equal(await verdict(statement), "refused", statement);
});

test("a second account of the same kind for the same owner is none, for the house too", async () => {
  const open = (values: string): Promise<string | undefined> =>
    verdict(`insert into ledger_account (kind, owner, currency, may_overdraw) values (${values})`);
  const owner = await ledger.person();
  assert.equal(await open("'outside', null, 'XTS', true"), "ledger_account_one");
  assert.equal(await open(`'wallet', ${owner}, 'XTS', false`), undefined);
  assert.equal(await open(`'wallet', ${owner}, 'XTS', true`), "ledger_account_wallet");
  assert.equal(await open(`'savings', ${owner}, 'XTS', false`), "ledger_account_kind_check");
  assert.equal(await open("'wallet', null, 'XTS', false"), "ledger_account_owned");
  assert.equal(await open(`'outside', ${owner}, 'XTS', true`), "ledger_account_owned");
  assert.equal(await open(`'wallet', ${owner}, 'EUR', false`), "ledger_account_currency_fkey");
  assert.equal(await verdict("insert into ledger_currency values ('EUR', 5)"), "ledger_currency_scale_check");
  assert.equal(await verdict("insert into ledger_currency values ('eur', 2)"), "ledger_currency_code_check");
});

test("an account begins with nothing, and nothing comes to one without going from another", async () => {
  for (const counter of counters) {
    const born = `insert into ledger_account (kind, currency, may_overdraw, ${counter}) values ('suspense', 'XTS', true, $1)`;
    assert.equal(await verdict(born, [1]), "refused", counter);
    assert.equal(await verdict(born, [0]), undefined, counter);
    assert.equal(await verdict(`update ledger_account set ${counter} = ${counter} + 1`), "refused", counter);
  }
  const move = (from: string, to: string, amount = 1): Promise<string | undefined> =>
    verdict(
      `update ledger_account set ${from} = ${from} + case id when $1 then 1 else 0 end,
              ${to} = ${to} + case id when $2 then $3 else 0 end`,
      [wallet, earnings, amount],
    );
  assert.equal(await move("debits_posted", "credits_posted"), undefined);
  assert.equal(await move("debits_pending", "credits_pending"), undefined);
  assert.equal(await move("debits_posted", "credits_posted", 2), "refused");
  assert.equal(await move("debits_pending", "credits_pending", 2), "refused");
  assert.equal(await move("debits_posted", "credits_pending"), "refused");
  assert.equal(await move("debits_pending", "credits_posted"), "refused");
});

test("what goes out in one currency does not come in in another", async () => {
  const owner = await ledger.person();
  const [foreign] = await db.transaction((tx) =>
    openAccounts(tx, [{ kind: "earnings", owner, currency: "XXX" }]),
  );
  const update = `update ledger_account set debits_posted = debits_posted + case id when $1 then 1 else 0 end,
    credits_posted = credits_posted + case id when $2 then 1 else 0 end`;
  assert.equal(await verdict(update, [wallet, foreign]), "refused");
  assert.equal(await verdict(update, [wallet, earnings]), undefined);
});

function insertTransfer(columns: Record<string, string | null>): Promise<string | undefined> {
  const row: Record<string, string | null> = {
    id: uuidv7(),
    kind: "transfer",
    purpose: "tip",
    currency: "XTS",
    actor: "user:1",
    fingerprint: `\\x${"00".repeat(32)}`,
    created_at: new Date(nowMs).toISOString(),
    places: columns["kind"] === "release" || columns["kind"] === "expiry" ? "0" : "1",
    ...columns,
  };
  const names = Object.keys(row);
  const places = names.map((_, i) => `$${i + 1}`);
  return verdict(
    `insert into ledger_transfer (${names.join()}) values (${places.join()})`,
    Object.values(row),
  );
}

test("a hold is resolved once, by whatever it is", async () => {
  for (const kind of ["capture", "release", "expiry"]) {
    assert.equal(await insertTransfer({ kind, target: held.id }), "ledger_transfer_resolution");
    assert.equal(await insertTransfer({ kind, target: held.id, refused: "already_resolved" }), undefined);
    assert.equal(await insertTransfer({ kind, target: spare.id }), undefined);
  }
});

test("a transfer says what it is", async () => {
  assert.equal(await insertTransfer({}), undefined);
  assert.equal(await insertTransfer({ id: tip.id }), "ledger_transfer_pkey");
  assert.equal(await insertTransfer({ kind: "gift" }), "ledger_transfer_kind_check");
  assert.equal(await insertTransfer({ currency: null }), "ledger_transfer_currency");
  assert.equal(await insertTransfer({ currency: null, refused: "unknown_transfer" }), undefined);
  assert.equal(await insertTransfer({ target: tip.id }), "ledger_transfer_target");
  assert.equal(await insertTransfer({ kind: "reversal" }), "ledger_transfer_target");
  assert.equal(await insertTransfer({ kind: "reversal", refused: "unknown_transfer" }), undefined);
  assert.equal(await insertTransfer({ kind: "reversal", target: uuidv7() }), "ledger_transfer_target_fkey");
  assert.equal(await insertTransfer({ expires_at: "2026-01-01" }), "ledger_transfer_expiry");
  assert.equal(await insertTransfer({ kind: "hold", expires_at: "2026-01-01" }), undefined);
  assert.equal(await insertTransfer({ purpose: "p".repeat(65) }), "ledger_transfer_purpose_check");
  assert.equal(await insertTransfer({ actor: "a".repeat(201) }), "ledger_transfer_actor_check");
  assert.equal(await insertTransfer({ refused: "No!" }), "ledger_transfer_refused_check");
  assert.equal(await insertTransfer({ fingerprint: "\\x00" }), "ledger_transfer_fingerprint_check");
});

test("a transfer moves something if it is of a kind that does, and numbers its own legs without a gap", async () => {
  const places = async (kind: string, places: number, more: Record<string, string> = {}) =>
    insertTransfer({ kind, places: String(places), ...more });
  const [target, refused] = [tip.id, "insufficient_funds"];
  for (const kind of ["transfer", "hold"]) {
    assert.equal(await places(kind, 0), "ledger_transfer_moves");
    assert.equal(await places(kind, 0, { refused }), undefined);
    assert.equal(await places(kind, 0b111), undefined);
    assert.equal(await places(kind, 0b101), "ledger_transfer_dense");
  }
  for (const kind of ["capture", "reversal"]) {
    assert.equal(await places(kind, 0, { target }), "ledger_transfer_moves");
    assert.equal(await places(kind, 0b101, { target }), undefined);
  }
  for (const kind of ["release", "expiry"])
    assert.equal(await places(kind, 1, { target }), "ledger_transfer_moves");
  assert.equal(await places("transfer", 255), undefined);
  assert.equal(await places("transfer", 511), "ledger_transfer_places_check");
});

const legColumns = "transfer, n, debit, credit, amount, currency";

test("what was settled gets no further legs, whatever the accounts count for them", async () => {
  const refused = transfer({ debit: wallet, credit: earnings, amount: 9_999n });
  const more = about("reversal", tip.id, [1n]);
  await ledger.settle([refused, more]);
  for (const { id } of [tip, held, refused, more]) {
    for (const n of [1, 7]) {
      const leg = `insert into ledger_leg (${legColumns}) values ('${id}', ${n}, ${earnings}, ${wallet}, 5, 'XTS')`;
      assert.equal(await verdict(leg), "refused", `${id} ${n}`);
    }
    const again = `insert into ledger_leg (${legColumns}) values ('${id}', 0, ${earnings}, ${wallet}, 5, 'XTS')`;
    assert.equal(await verdict(again), "ledger_leg_pkey");
  }
});

test("a leg goes from one account to another one of its currency, and is an amount", async () => {
  const id = uuidv7();
  // One that all of these would belong to.
  const whole = `insert into ledger_transfer (id, kind, purpose, currency, actor, fingerprint, places, created_at)
    values ('${id}', 'transfer', 'tip', 'XTS', 'user:1', '\\x${"00".repeat(32)}', 255, now())`;
  const insert = (columns: Record<string, unknown>): Promise<string | undefined> => {
    const row = { n: 1, debit: wallet, credit: earnings, amount: "1", currency: "XTS", ...columns };
    const values = [id, row.n, row.debit, row.credit, row.amount, row.currency];
    return verdict(`insert into ledger_leg (${legColumns}) values ($1, $2, $3, $4, $5, $6)`, values, whole);
  };
  assert.equal(await insert({}), undefined);
  assert.equal(await insert({ n: 7 }), undefined);
  assert.equal(await insert({ n: 8 }), "ledger_leg_n_check");
  assert.equal(await insert({ credit: wallet }), "ledger_leg_two_accounts");
  assert.equal(await insert({ credit: 999_999 }), "ledger_leg_credit");
  assert.equal(await insert({ debit: 999_999 }), "ledger_leg_debit");
  assert.equal(await insert({ currency: "XXX" }), "ledger_leg_debit");
  assert.equal(await insert({ amount: "0" }), "ledger_leg_amount_check");
  assert.equal(await insert({ amount: "-1" }), "ledger_leg_amount_check");
  assert.equal(await insert({ amount: String(amountMax) }), undefined);
  assert.equal(await insert({ amount: String(amountMax + 1n) }), "ledger_leg_amount_check");
});

test("payouts are halted once", async () => {
  const halt = "insert into ledger_halt (since, why) values (now(), 'a test')";
  assert.equal(await verdict(halt), undefined);
  assert.equal(await verdict(`${halt}, (now(), 'b')`), "ledger_halt_pkey");
  assert.equal(
    await verdict("insert into ledger_halt values (false, now(), 'a')"),
    "ledger_halt_only_one_check",
  );
  const because = (length: number): Promise<string | undefined> =>
    verdict("insert into ledger_halt values (true, now(), repeat('w', $1))", [length]);
  assert.equal(await because(0), "ledger_halt_why_check");
  assert.equal(await because(whyLength), undefined);
  assert.equal(await because(whyLength + 1), "ledger_halt_why_check");
});
