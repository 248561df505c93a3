import assert from "node:assert/strict";
import { test } from "node:test";
import { uuidv7 } from "../../protocol/ids.ts";
import { findHalt } from "./halt.ts";
import { nowMs } from "./ledger.fixture.ts";
import { laws } from "./reconcile-laws.ts";
import { reconcile } from "./reconcile.ts";
import { type UsedLedger, brokenBy, openUsed } from "./used-ledger.fixture.ts";

type Damage = {
  readonly law: keyof typeof laws;
  readonly what: string;
  readonly text: (ids: UsedLedger["ids"]) => string;
};

const renamed = uuidv7();
const row = "purpose, currency, actor, fingerprint, created_at, places";
const rest = `'tip', 'XTS', 'x', decode(repeat('00', 32), 'hex'), now()`;

const damages: readonly Damage[] = [
  ...["debits_posted", "credits_posted", "debits_pending", "credits_pending"].map((counter): Damage => {
    const text = (): string => `update ledger_account set ${counter} = ${counter} + 1 where kind = 'wallet'`;
    return { law: "account_counters", what: `${counter} too many`, text };
  }),
  {
    law: "account_counters",
    what: "a leg of what was refused has moved",
    text: ({ refused }) =>
      `update ledger_account a set debits_posted = a.debits_posted + 5 from ledger_leg l where l.transfer = '${refused}' and a.id = l.debit`,
  },
  {
    law: "currency_sums",
    what: "posted from nowhere",
    text: () => "update ledger_account set credits_posted = credits_posted + 1 where kind = 'wallet'",
  },
  {
    law: "currency_sums",
    what: "pending from nowhere",
    text: () => "update ledger_account set credits_pending = credits_pending + 1 where kind = 'earnings'",
  },
  {
    law: "no_overdraft",
    what: "more spent than there was",
    text: () =>
      "alter table ledger_account drop constraint ledger_account_no_overdraft; update ledger_account set debits_posted = 99999 where kind = 'wallet'",
  },
  {
    law: "legs",
    what: "a transfer without legs",
    text: () =>
      `insert into ledger_transfer (id, kind, ${row}) values ('${uuidv7()}', 'transfer', ${rest}, 1)`,
  },
  {
    law: "legs",
    what: "a leg that came later",
    text: ({ tip }) =>
      `insert into ledger_leg select transfer, 1, debit, credit, 1, currency from ledger_leg where transfer = '${tip}'`,
  },
  {
    law: "legs",
    what: "a leg at another place",
    text: ({ tip }) => `update ledger_leg set n = 6 where transfer = '${tip}'`,
  },
  {
    law: "legs",
    what: "a leg that a release has",
    text: ({ released }) =>
      `insert into ledger_leg select t.id, 0, l.debit, l.credit, 1, l.currency from ledger_transfer t join ledger_leg l on l.transfer = t.target where t.target = '${released}'`,
  },
  {
    law: "leg_ends",
    what: "a currency that its legs have not",
    text: ({ tip }) => `update ledger_transfer set currency = 'XXX' where id = '${tip}'`,
  },
  {
    law: "leg_ends",
    what: "legs of a transfer that is not there",
    text: ({ refused }) => `delete from ledger_transfer where id = '${refused}'`,
  },
  {
    law: "leg_ends",
    what: "an account that is in another currency",
    text: () => "update ledger_account set currency = 'XXX' where kind = 'wallet'",
  },
  ...["debit", "credit"].map((side): Damage => {
    const text = ({ refused }: UsedLedger["ids"]): string =>
      `update ledger_leg set ${side} = 9999 where transfer = '${refused}'`;
    return { law: "leg_ends", what: `a ${side} that is not there`, text };
  }),
  {
    law: "account_currencies",
    what: "a currency that is not there",
    text: () => "delete from ledger_currency",
  },
  {
    law: "account_counters",
    what: "an account that has spent everything is not there",
    text: () => "delete from ledger_account where kind = 'fees'",
  },
  {
    law: "targets",
    what: "a release of a transfer",
    text: ({ tip }) =>
      `insert into ledger_transfer (id, kind, target, ${row}) values ('${uuidv7()}', 'release', '${tip}', ${rest}, 0)`,
  },
  {
    law: "targets",
    what: "a release in another currency",
    text: ({ released }) => `update ledger_transfer set currency = 'XXX' where target = '${released}'`,
  },
  {
    law: "targets",
    what: "a hold that is not there any more",
    text: ({ released }) => `delete from ledger_transfer where id = '${released}'`,
  },
  {
    law: "targets",
    what: "what was refused, of something that is not there",
    text: ({ tip }) =>
      `update ledger_transfer set target = '${uuidv7()}', refused = 'exceeds_original' where target = '${tip}'`,
  },
  {
    law: "targets",
    what: "a reversal of a hold",
    text: ({ open }) =>
      `insert into ledger_transfer (id, kind, target, ${row}) values ('${uuidv7()}', 'reversal', '${open}', ${rest}, 1)`,
  },
  {
    law: "targets",
    what: "a target that was refused",
    text: ({ tip }) => `update ledger_transfer set refused = 'insufficient_funds' where id = '${tip}'`,
  },
  {
    law: "captures",
    what: "more than was held",
    text: ({ capture }) => `update ledger_leg set amount = 11 where transfer = '${capture}'`,
  },
  {
    law: "captures",
    what: "to somebody else",
    text: ({ capture }) =>
      `update ledger_leg set credit = debit, debit = credit where transfer = '${capture}'`,
  },
  {
    law: "captures",
    what: "a leg that was not held",
    text: ({ capture }) => `update ledger_leg set n = 6 where transfer = '${capture}'`,
  },
  {
    law: "reversals",
    what: "a leg that there was not",
    text: ({ tip }) =>
      `update ledger_leg set n = 6 where transfer in (select id from ledger_transfer where target = '${tip}')`,
  },
  {
    law: "reversals",
    what: "more than there was",
    text: ({ tip }) =>
      `update ledger_leg set amount = 11 where transfer in (select id from ledger_transfer where target = '${tip}')`,
  },
  {
    law: "reversals",
    what: "the same way again",
    text: ({ tip }) =>
      `update ledger_leg set credit = debit, debit = credit where transfer in (select id from ledger_transfer where target = '${tip}')`,
  },
  ...["purpose = 'payout'", "fingerprint = decode(repeat('00', 32), 'hex')"].flatMap((set): Damage[] => [
    { law: "contents", what: set, text: ({ two }) => change(two, set) },
    { law: "follow_ups", what: set, text: ({ two }) => change(two, set, "target") },
  ]),
  {
    law: "contents",
    what: "another currency",
    text: ({ two }) => change(two, "currency = 'XXX'"),
  },
  {
    law: "contents",
    what: "of another name, and its legs with it",
    text: ({ two }) =>
      `with own as (update ledger_leg set transfer = '${renamed}' where transfer = '${two}') ${change(two, `id = '${renamed}'`)}`,
  },
  {
    law: "contents",
    what: "what was refused, for something else",
    text: ({ refused }) => change(refused, "purpose = 'payout'"),
  },
  {
    law: "contents",
    what: "another end",
    text: ({ open }) => change(open, "expires_at = '2030-01-01'"),
  },
  {
    law: "contents",
    what: "legs that have changed places",
    text: ({ two }) =>
      `update ledger_leg l set credit = o.credit from ledger_leg o where l.transfer = '${two}' and o.transfer = l.transfer and o.n <> l.n`,
  },
  {
    law: "follow_ups",
    what: "a reversal of another one",
    text: ({ tip, two }) => change(tip, `target = '${two}'`, "target"),
  },
  {
    law: "follow_ups",
    what: "all was asked for, and so much was moved",
    text: ({ whole }) => `update ledger_leg set amount = 9 where transfer = '${whole}'`,
  },
  {
    law: "open_holds",
    what: "forgotten",
    text: ({ open }) => `delete from ledger_open_hold where hold = '${open}'`,
  },
  {
    law: "open_holds",
    what: "resolved and still waiting",
    text: ({ captured }) => `insert into ledger_open_hold values ('${captured}', null)`,
  },
  {
    law: "open_holds",
    what: "with another end",
    text: ({ open }) => `update ledger_open_hold set expires_at = now() where hold = '${open}'`,
  },
];

function change(id: string | undefined, set: string, column = "id"): string {
  return `update ledger_transfer set ${set} where ${column} = '${id}'`;
}

test("whatever somebody does to the tables behind the code's back is found, and halts payouts", async (t) => {
  const { db, ids } = await openUsed(t);
  assert.deepEqual(await brokenBy(db, "select"), []);
  const laid = new Set<string>();
  for (const { law, what, text } of damages) {
    const found = await brokenBy(db, text(ids));
    assert.ok(
      found.some((name) => name === law),
      `${law}: ${what}, found ${found.join()}`,
    );
    laid.add(law);
  }
  assert.deepEqual([...laid].sort(), Object.keys(laws).sort(), "every law is broken by something");
  await db.query("delete from ledger_open_hold");
  const { mismatchCount, mismatches } = await reconcile(db, nowMs);
  assert.deepEqual([mismatchCount, mismatches[0]?.place], [1, ids["open"]]);
  assert.match((await findHalt(db))?.why ?? "", /1 mismatches, the first of open_holds at/);
});
