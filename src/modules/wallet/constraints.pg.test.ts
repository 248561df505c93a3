import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { openTestDatabase } from "../../../test/harness.ts";
import { behindItsBack, nowMs } from "../../ledger/ledger.fixture.ts";
import { createLogger } from "../../lib/logger.ts";
import { assignPayment } from "./assign.ts";
import { type Arrival, creditArrivals, paymentIdOf } from "./credit.ts";
import { OwnCurrency } from "./own-currency.ts";

/** What the database itself refuses of payments, whoever writes them. */

const db = await openTestDatabase();
await new OwnCurrency({ code: "USD", scale: 2 }).open(db);
const deps = { db, clock: { now: () => nowMs }, log: createLogger("silent") };
const { rows } = await db.query<{ id: number }>(
  "insert into account_user (username, name) values ('ann', 'Ann') returning id",
);
const userId = rows[0]?.id ?? 0;
const known: Arrival = {
  provider: "shop",
  eventId: "evt_1",
  userId,
  login: null,
  amount: 5n,
  currency: "USD",
};
const lost: Arrival = { ...known, eventId: "evt_2", userId: null, login: "nobody" };
await creditArrivals(deps, [known, lost]);
const [knownId, lostId] = [paymentIdOf(known), paymentIdOf(lost)];

test("no payment is there without the transfer that brought it in, and none twice", async () => {
  const copy = (id: string, eventId: string) =>
    db.query(
      `insert into wallet_payment (id, provider, event_id, user_id, amount, currency, credited_to, received_at)
       select $1, provider, $2, user_id, amount, currency, credited_to, received_at from wallet_payment where id = $3`,
      [id, eventId, knownId],
    );
  await assert.rejects(copy(randomUUID(), "evt_3"), { constraint: "wallet_payment_moved" });
  await assert.rejects(copy(randomUUID(), "evt_1"), { constraint: "wallet_payment_once" });
  await assert.rejects(copy(knownId, "evt_3"), { constraint: "wallet_payment_pkey" });
});

test("what a provider has told is changed and removed by nobody, and a payment is assigned once", async () => {
  const kept: readonly (readonly [text: string, says: RegExp])[] = [
    [
      "update wallet_payment set amount = amount + 1 where credited_to is null",
      /what a provider has told stays/,
    ],
    [
      "update wallet_payment set event_id = 'evt_9' where credited_to is null",
      /what a provider has told stays/,
    ],
    [
      "update wallet_payment set suspended = null where credited_to is null",
      /what a provider has told stays/,
    ],
    ["update wallet_payment set credited_to = null", /a payment is credited once/],
    ["delete from wallet_payment", /its event would be news again/],
    ["truncate wallet_payment", /their events would be news again/],
  ];
  for (const [text, message] of kept) await assert.rejects(db.query(text), { code: "23001", message }, text);
});

test("a payment names one person, is credited or in suspense, and is assigned with all that belongs to it", async () => {
  const refused: readonly (readonly [id: string, set: string, constraint: string])[] = [
    [knownId, "login = 'ann'", "wallet_payment_named"],
    [knownId, "user_id = null", "wallet_payment_named"],
    [knownId, "credited_to = null", "wallet_payment_credited"],
    [knownId, "credited_to = 999999999", "wallet_payment_credited_to_fkey"],
    [lostId, "suspended = 'no_reason'", "wallet_payment_suspended_check"],
    [lostId, "suspended = null", "wallet_payment_credited"],
    [lostId, `credited_to = ${userId}`, "wallet_payment_assigned"],
    [
      lostId,
      `assignment = '${lostId}', assigned_at = now(), assigned_by = 'key:1'`,
      "wallet_payment_assigned",
    ],
    [
      knownId,
      `assignment = '${lostId}', assigned_at = now(), assigned_by = 'key:1'`,
      "wallet_payment_assigned",
    ],
    [
      lostId,
      `credited_to = ${userId}, assignment = '${randomUUID()}', assigned_at = now(), assigned_by = 'key:1'`,
      "wallet_payment_assignment_fkey",
    ],
    [lostId, "amount = 0", "wallet_payment_amount_check"],
    [lostId, "amount = 1000000000000000", "wallet_payment_amount_check"],
    [lostId, "provider = 'Shop'", "wallet_payment_provider_check"],
    [lostId, "event_id = repeat('e', 256)", "wallet_payment_event_id_check"],
    [lostId, "login = repeat('e', 255)", "wallet_payment_login_check"],
    [lostId, "currency = 'EUR'", "wallet_payment_currency_fkey"],
  ];
  // Triggers would refuse first.
  for (const trigger of ["wallet_payment_same", "wallet_payment_credited_once"])
    await db.query(`alter table wallet_payment disable trigger ${trigger}`);
  for (const [id, set, constraint] of refused)
    await assert.rejects(
      db.query(`update wallet_payment set ${set} where id = $1`, [id]),
      { constraint },
      set,
    );
});

test("a suspense account that was emptied by hand assigns nothing, and nobody is told that it is their fault", async () => {
  await behindItsBack(db, "update ledger_account set debits_posted = credits_posted where kind = 'suspense'");
  const assignment = { paymentId: lostId, userId, actor: "key:1" };
  await assert.rejects(assignPayment(deps, assignment), /did not assign a payment: insufficient_funds/);
});
