import assert from "node:assert/strict";
import { test } from "node:test";
import { uuidv7 } from "../../protocol/ids.ts";
import { type UsedLedger, brokenBy, openUsed } from "./used-ledger.fixture.ts";

/** Looks whether a change of something is found. */
type Look = (what: string, of: string, text: string) => Promise<void>;

const kinds = ["transfer", "hold", "capture", "release", "expiry", "reversal"];
/** No transfer's id. */
const other = uuidv7();

test("every column of every row is what something else says it is, but for those that are written nowhere else", async () => {
  const ledger = await openUsed();
  const { db, ids } = ledger;
  await db.query("insert into ledger_currency (code, scale) values ('XXX', 0)");
  const unseen = new Map<string, Set<string>>();
  const look: Look = async (what, of, text) => {
    const broken = await brokenBy(db, text);
    if (broken.length === 0) unseen.set(what, (unseen.get(what) ?? new Set()).add(of));
  };
  for (const name of Object.keys(ids)) {
    await changeTransfer(look, ledger, name);
    await changeLegs(look, ledger, name);
  }
  for (const kind of ["wallet", "earnings", "fees", "outside"]) await changeAccount(look, kind);
  await look("currency scale", "XTS", "update ledger_currency set scale = 3 where code = 'XTS'");
  await look("currency", "XTS", "delete from ledger_currency where code = 'XTS'");
  await look("open hold", "all", "delete from ledger_open_hold");
  await look("open hold", "hold", `update ledger_open_hold set hold = '${other}'`);
  await look("open hold", "expires_at", "update ledger_open_hold set expires_at = now()");
  const [all, refused] = [Object.keys(ids), ["refused", "refusedBack"]];
  const accounts = ["wallet", "earnings", "fees", "outside"];
  assert.deepEqual(Object.fromEntries([...unseen].map(([what, of]) => [what, [...of]])), {
    // What was refused has moved nothing. What was asked for is known of it only if it was a transfer or a hold.
    "transfer refused": refused,
    "transfer kind": refused,
    "transfer and legs": refused,
    ...Object.fromEntries(
      ["purpose", "fingerprint", "target"].map((column) => [`transfer ${column}`, ["refusedBack"]]),
    ),
    ...Object.fromEntries(["debit", "credit", "amount"].map((column) => [`leg ${column}`, ["refusedBack"]])),
    "transfer actor": all,
    "transfer created_at": all,
    "account kind": accounts,
    "account owner": ["wallet", "earnings"],
    "account may_overdraw": ["earnings", "fees"],
    "account closed_at": accounts,
    "currency scale": ["XTS"],
  });
});

async function changeTransfer(look: Look, { db, ids }: UsedLedger, name: string): Promise<void> {
  const id = ids[name as keyof typeof ids];
  const change = (what: string, sets: string): Promise<void> =>
    look(`transfer ${what}`, name, `update ledger_transfer set ${sets} where id = '${id}'`);
  const { rows } = await db.query<{ kind: string; target: string | null }>(
    "select kind, target from ledger_transfer where id = $1",
    [id],
  );
  const { kind, target } = rows[0] ?? assert.fail();
  await change("id", `id = '${other}'`);
  await change("purpose", "purpose = 'payout'");
  await change("currency", "currency = 'XXX'");
  await change("fingerprint", "fingerprint = decode(repeat('00', 32), 'hex')");
  await change(
    "refused",
    "refused = case when refused is null then 'unknown_transfer' else 'account_closed' end",
  );
  await change("actor", "actor = 'somebody'");
  await change("created_at", "created_at = now()");
  await change("places", "places = 7");
  if (kind === "hold") await change("expires_at", "expires_at = '2030-01-01'");
  for (const another of kinds.filter((one) => one !== kind))
    await change("kind", `kind = '${another}', expires_at = null`);
  for (const another of [...Object.values(ids), other])
    if (target !== null && target !== another) await change("target", `target = '${another}'`);
  await look("transfer", name, `delete from ledger_transfer where id = '${id}'`);
}

async function changeLegs(look: Look, { db, ids }: UsedLedger, name: string): Promise<void> {
  const id = ids[name as keyof typeof ids];
  const { rowCount } = await db.query("select from ledger_leg where transfer = $1", [id]);
  if (rowCount === 0) return;
  const change = (column: string, value: string): Promise<void> =>
    look(`leg ${column}`, name, `update ledger_leg set ${column} = ${value} where transfer = '${id}'`);
  await change("transfer", `'${other}'`);
  await change("n", "n + 3");
  await change("debit", "credit + 100");
  await change("amount", "amount + 1");
  await change("currency", "'XXX'");
  for (const side of ["debit", "credit"])
    await change(side, "(select min(id) from ledger_account where id not in (debit, credit))");
  const gone = `delete from ledger_leg where transfer = '${id}'`;
  await look("leg", name, gone);
  const both = `with legs as (${gone}) delete from ledger_transfer where id = '${id}'`;
  await look("transfer and legs", name, both);
}

async function changeAccount(look: Look, kind: string): Promise<void> {
  const change = (column: string, value: string): Promise<void> =>
    look(`account ${column}`, kind, `update ledger_account set ${column} = ${value} where kind = '${kind}'`);
  await change("id", "default");
  await change("currency", "'XXX'");
  await change("currency", "'QQQ'");
  await change("closed_at", "now()");
  await change("may_overdraw", "not may_overdraw");
  await change("kind", kind === "wallet" ? "'earnings'" : kind === "earnings" ? "'wallet'" : "'suspense'");
  await change("owner", "7777");
  for (const counter of ["debits_posted", "credits_posted", "debits_pending", "credits_pending"])
    await change(counter, `${counter} + 1`);
  await look("account", kind, `delete from ledger_account where kind = '${kind}'`);
}
