import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { openTestDatabase } from "../../../test/harness.ts";
import { balancesOf, findAccounts, openAccounts } from "../../ledger/accounts.ts";
import { behindItsBack, nowMs, openPool, somebodyWaits } from "../../ledger/ledger.fixture.ts";
import { reconcile } from "../../ledger/reconcile.ts";
import type { Db, Tx } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";
import { createLogger } from "../../lib/logger.ts";
import { earningsOf, outsideIn, walletOf } from "./account-names.ts";
import { assignPayment } from "./assign.ts";
import { type Arrival, creditArrivals, paymentIdOf } from "./credit.ts";
import { demoTopUp } from "./demo-top-up.ts";
import { OwnCurrency } from "./own-currency.ts";
import { payOut } from "./pay-out.ts";
import type { PaymentRow } from "./payment-rows.ts";
import { creditBatchMax, creditQueueMax, createCredit } from "./routes-payments.ts";

/** What several servers, and a database that fails, make of events: one process alone credits one batch after the other. */

const db = await openTestDatabase();
await new OwnCurrency({ code: "USD", scale: 2 }).open(db);
const clock = { now: () => nowMs };
const lines: string[] = [];
const log = createLogger("warn", { write: (line) => void lines.push(line) });
const creditBy = (own: Db) => (arrivals: readonly Arrival[]) =>
  creditArrivals({ db: own, clock, log }, arrivals);
const credit = creditBy(db);

let people = 0;
async function person(): Promise<number> {
  const { rows } = await db.query<{ id: number }>(
    "insert into account_user (username, name) values ($1, $1) returning id",
    [`person-${++people}`],
  );
  return rows[0]?.id ?? 0;
}

function arrival(userId: number, amount: bigint, change: Partial<Arrival> = {}): Arrival {
  const named = { provider: "shop", eventId: `evt_${randomUUID()}`, userId, login: null };
  return { ...named, amount, currency: "USD", ...change };
}

async function has(userId: number): Promise<bigint> {
  const [id] = await findAccounts(db, [walletOf(userId, "USD")]);
  return id === undefined ? 0n : ((await balancesOf(db, [id])).get(id)?.available ?? -1n);
}

/** Keeps everybody from crediting anything until `work` has ended. */
async function whileOutsideIsLocked<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
  const [outside] = await findAccounts(db, [outsideIn("USD")]);
  return db.transaction(async (tx) => {
    await tx.query("select from ledger_account where id = $1 for update", [outside]);
    return work(tx);
  });
}

const isConflict = (one: PaymentRow | AppError): boolean =>
  one instanceof AppError && one.code === "conflict";

test("several servers that are told the same events at once, in any order and with other contents, credit each once", async (t) => {
  const servers = Array.from({ length: 6 }, () => openPool(db, 2));
  t.after(async () => {
    for (const server of servers) await server.close();
  });
  for (let round = 0; round < 20; round++) {
    // Of new people the wallets are made at the same moment too; where they are there, nothing has put the servers in a line.
    const owners = await Promise.all([person(), person(), person()]);
    if (round % 2 === 0) await credit(owners.map((owner) => arrival(owner, 1n)));
    const before = await Promise.all(owners.map(has));
    const events = Array.from({ length: 30 }, (_, i) => arrival(owners[i % 3] ?? 0, 100n));
    const answers = await Promise.all(
      servers.map((server, i) => {
        const told = events.map((one) => (i % 2 === 0 ? one : { ...one, amount: 101n }));
        return creditBy(server)(i % 3 === 0 ? told : told.toReversed());
      }),
    );
    const sums = await Promise.all(owners.map(has));
    for (const [n, { eventId }] of events.entries()) {
      const ofThis = answers.map((some, i) => some[i % 3 === 0 ? n : events.length - 1 - n]);
      const taken = ofThis.filter((one) => one !== undefined && !isConflict(one)) as readonly PaymentRow[];
      assert.equal(taken.length, 3, `${eventId}: those who said what counts, and no others`);
      assert.equal(new Set(taken.map(({ amount }) => amount)).size, 1);
      const owner = n % 3;
      sums[owner] = (sums[owner] ?? 0n) - BigInt(taken[0]?.amount ?? 0);
    }
    assert.deepEqual(sums, before);
  }
  assert.deepEqual((await reconcile(db, nowMs)).mismatches, []);
});

test("of an event that is in one batch twice, the first counts", async () => {
  const owner = await person();
  const told = arrival(owner, 5n);
  const [first, other, again] = await credit([told, { ...told, amount: 6n }, told]);
  assert.ok(!(first instanceof AppError));
  assert.deepEqual([first, first?.amount, await has(owner)], [again, "5", 5n]);
  assert.ok(other !== undefined && isConflict(other));
});

test("an event with other contents is refused by the fields that differ, and says nothing of what they were", async () => {
  const [owner, other] = [await person(), await person()];
  const told = arrival(owner, 4_321n);
  await credit([told]);
  const changes: readonly (readonly [Partial<Arrival>, readonly string[]])[] = [
    [{ amount: 4_322n }, ["/amount"]],
    [{ userId: other }, ["/user_id"]],
    [{ userId: null, login: "person-1" }, ["/user_id", "/login"]],
    [{ userId: other, amount: 1n }, ["/user_id", "/amount"]],
  ];
  for (const [change, fields] of changes) {
    const [answer] = await credit([{ ...told, ...change }]);
    assert.ok(answer instanceof AppError);
    const { code, details } = answer;
    assert.deepEqual([code, details.fields?.map(({ pointer }) => pointer)], ["conflict", fields]);
    assert.doesNotMatch(JSON.stringify(details), /4321|43\.21/);
  }
  assert.deepEqual([await has(owner), await has(other)], [4_321n, 0n]);
});

test("of an event that was half credited when its server lost the database nothing is there, and it is credited when told again", async (t) => {
  const server = openPool(db, 1);
  t.after(() => server.close());
  const owner = await person();
  const told = [arrival(owner, 700n), arrival(0, 50n)];
  const ids = told.map(paymentIdOf);
  const stored = async (): Promise<number> =>
    (await db.query("select from wallet_payment where id = any($1::uuid[])", [ids])).rowCount;
  await credit([arrival(owner, 1n)]);
  await whileOutsideIsLocked(async () => {
    const lost = assert.rejects(creditBy(server)(told));
    // Its rows are written, and it waits for the account that all payments come from.
    await somebodyWaits(db);
    await db.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    await lost;
  });
  assert.deepEqual([await stored(), await has(owner)], [0, 1n]);
  const before = lines.length;
  await credit(told);
  assert.deepEqual([await stored(), await has(owner)], [2, 701n]);
  assert.equal(lines.length, before + 1, "what goes to suspense is a warning once it is there");
  assert.match(lines.at(-1) ?? "", new RegExp(`"level":"warn".*"payment":"${ids[1]}".*unknown_person`));
  assert.deepEqual((await reconcile(db, nowMs)).mismatches, []);
});

test("somebody who is disabled while their payment waits for its turn has it; who was before it, has not", async () => {
  const owner = await person();
  await credit([arrival(owner, 1n)]);
  const disable = "update account_user set disabled_at = now() where id = $1";
  const waiting = await whileOutsideIsLocked(async () => {
    const answers = credit([arrival(owner, 10n)]);
    await somebodyWaits(db);
    // It waits for nobody: a person can be disabled whatever the ledger does.
    await db.query(disable, [owner]);
    return { answers };
  });
  await waiting.answers;
  assert.equal(await has(owner), 11n);
  const [late] = await credit([arrival(owner, 100n)]);
  assert.ok(!(late instanceof AppError));
  assert.deepEqual([late?.suspended, late?.credited_to, await has(owner)], ["person_disabled", null, 11n]);
});

test("as many events wait as may, one more is told to come again, and all that waited are credited", async () => {
  const owner = await person();
  const batches: number[] = [];
  const noting: Db = {
    ...db,
    transaction: (work, signal) =>
      db.transaction(
        (tx) =>
          work({
            ...tx,
            query: (text, values, options) => {
              const [ids] = values ?? [];
              if (text.includes("insert into wallet_payment") && Array.isArray(ids)) batches.push(ids.length);
              return tx.query(text, values, options);
            },
          }),
        signal,
      ),
  };
  const queue = createCredit({ db: noting, clock, log });
  const { waiting, refused } = await whileOutsideIsLocked(async () => {
    const waiting = Array.from({ length: creditQueueMax }, () => queue.add(arrival(owner, 1n)));
    const refused = await queue.add(arrival(owner, 1n)).catch((error: unknown) => error);
    return { waiting, refused };
  });
  assert.ok(refused instanceof AppError && refused.code === "overloaded", String(refused));
  await Promise.all(waiting);
  assert.equal(await has(owner), BigInt(creditQueueMax));
  assert.equal(Math.max(...batches), creditBatchMax);
});

test("a login is somebody's by its small letters as ASCII has them: what looks or sounds like one goes to suspense", async () => {
  await db.query("insert into account_user (username, name) values ('kim', 'Kim')");
  const told = (login: string) => arrival(0, 1n, { userId: null, login });
  // KELVIN SIGN, a dotted and a dotless i, full width: of some of these a database may say that their small forms are ASCII.
  const odd = ["\u212aim", "K\u0130M", "k\u0131m", "\uff4bim", "kim ", " kim", "kim\u0301"];
  const answers = await credit([told("kim"), told("KiM"), ...odd.map(told)]);
  const reasons = answers.map((one) => (one instanceof AppError ? one.code : one.suspended));
  assert.deepEqual(reasons, [null, null, ...odd.map(() => "unknown_person")]);
});

test("where an account has moved as much as can be counted nothing is taken, nobody is at fault, and the log says why", async () => {
  const [owner] = [await person()];
  await credit([arrival(owner, 1n)]);
  const [outside] = await findAccounts(db, [outsideIn("USD")]);
  const counted = "update ledger_account set debits_posted = $2 where id = $1";
  const { rows } = await db.query<{ was: string }>(
    "select debits_posted::text as was from ledger_account where id = $1",
    [outside],
  );
  await behindItsBack(db, counted, [outside, "3999999999999999999"]);
  lines.length = 0;
  await assert.rejects(credit([arrival(owner, 2n)]), {
    code: "unavailable",
    message: /as much as the ledger/,
  });
  assert.match(lines.join(), /"level":"error".*"currency":"USD".*an account has moved as much as/);
  assert.equal(await has(owner), 1n);
  const [earnings = 0] = await db.transaction((tx) => openAccounts(tx, [earningsOf(owner, "USD")]));
  const full = "update ledger_account set credits_posted = $2, debits_posted = $3 where id = $1";
  await behindItsBack(db, full, [earnings, "4000000000000000000", "3999999999999999900"]);
  const currency = new OwnCurrency({ code: "USD", scale: 2 });
  const payout = { payout_id: randomUUID(), user_id: owner, amount: "1.00" };
  await behindItsBack(db, full, [outside, "3999999999999999999", "3999999999999999999"]);
  const by = { db, clock, log, currency };
  const unavailable = { code: "unavailable", message: /as much as the ledger/ };
  await assert.rejects(payOut(by, payout, "key:1"), unavailable);
  const paid = await db.query("select from ledger_transfer where purpose = 'payout'");
  assert.equal(paid.rowCount, 0, "its id is not used up");
  await behindItsBack(db, full, [earnings, "0", "0"]);
  await behindItsBack(db, full, [outside, "0", "3999999999999999999"]);
  await credit([arrival(owner, 1n)]);
  assert.equal(await has(owner), 2n);
  await behindItsBack(db, counted, [outside, String(BigInt(rows[0]?.was ?? 0) + 1n)]);
  assert.deepEqual((await reconcile(db, nowMs)).mismatches, []);
});

test("where the ledger has become another currency's, what was told before is answered, and nothing more is taken, assigned or paid out", async (t) => {
  const own = await openTestDatabase(t);
  const deps = { db: own, clock, log, currency: new OwnCurrency({ code: "USD", scale: 2 }) };
  await deps.currency.open(own);
  await new OwnCurrency({ code: "EUR", scale: 2 }).open(own);
  const { rows } = await own.query<{ id: number }>(
    "insert into account_user (username, name) values ('ann', 'Ann') returning id",
  );
  const userId = rows[0]?.id ?? 0;
  const refused = { code: "unavailable", message: /CURRENCY is USD, and the ledger's is EUR/ };
  lines.length = 0;
  await assert.rejects(creditArrivals(deps, [arrival(userId, 5n)]), refused);
  const by = { userId, actor: "user:1" };
  await assert.rejects(demoTopUp(deps, { ...by, body: { amount: 1 } }), refused);
  const payout = { payout_id: randomUUID(), user_id: userId, amount: "1" };
  await assert.rejects(payOut(deps, payout, "key:1"), refused);
  assert.equal(lines.length, 3);
  const [paid] = await creditArrivals(deps, [arrival(0, 5n, { currency: "EUR" })]);
  assert.ok(paid !== undefined && !(paid instanceof AppError));
  // As somebody has to see to who owns the tables.
  await own.query("update ledger_own_currency set code = 'USD'");
  await assert.rejects(assignPayment(deps, { paymentId: paid.id, userId, actor: "key:1" }), {
    message: /CURRENCY is EUR, and the ledger's is USD/,
  });
  const [again] = await creditArrivals(deps, [arrival(0, 5n, { currency: "EUR", eventId: paid.event_id })]);
  assert.deepEqual(again, paid);
});
