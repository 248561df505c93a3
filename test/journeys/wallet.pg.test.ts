import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, test } from "node:test";
import { LedgerHalt, Payment, PaymentAccepted, PaymentPage, Payout } from "../../protocol/wallet.ts";
import { closeAccount, findAccounts, openAccounts } from "../../src/ledger/accounts.ts";
import { settling } from "../../src/ledger/again.ts";
import { behindItsBack, somebodyWaits } from "../../src/ledger/ledger.fixture.ts";
import { settle } from "../../src/ledger/settle.ts";
import { signatures } from "./inbox.ts";
import { inLanes, openLeanClient } from "./lean-client.ts";
import { assertAddsUp, event, letEarn, openWallets, secrets } from "./wallet.ts";

const wallets = await openWallets({ after });
const {
  app,
  assign,
  halt,
  manager,
  pay,
  payments,
  payOut,
  reconcile,
  register,
  request,
  tell,
  url,
  walletOf,
} = wallets;
const { db } = app.deps;
const path = "/api/v1/payments/shop";
const byNumber = (a: number, b: number): number => a - b;

/** Makes the ledger wrong, as only somebody can who owns its tables; resolves with what makes it right again. */
async function breakLedger(): Promise<() => Promise<void>> {
  const change = (by: string) =>
    behindItsBack(
      db,
      `update ledger_account set credits_posted = credits_posted ${by} where kind = 'suspense'`,
    );
  await change("+ 7");
  return () => change("- 7");
}

async function closeAccountOf(userId: number, kind: "wallet" | "earnings"): Promise<void> {
  const [id = 0] = await findAccounts(db, [{ kind, owner: userId, currency: "USD" }]);
  assert.ok(await db.transaction((tx) => closeAccount(tx, id, Date.now())));
}

test("a wallet that nothing ever came to has nothing in it, and what is paid in comes to it once", async () => {
  const { user, access_token: token } = await register();
  const nothing = { currency: "USD", available: "0.00", held: "0.00", earned: "0.00" };
  assert.deepEqual(await walletOf(token), nothing);
  const told = event({ user_id: user.id, amount: 12.5 });
  const first = await tell(told);
  const accepted = first.as(PaymentAccepted);
  assert.deepEqual(accepted, { ...accepted, status: "credited", amount: "12.50", currency: "USD" });
  // The same amount, written otherwise, by the secret of before.
  const again = await tell({ ...told, amount: "12.500" }, { secret: secrets.old });
  assert.deepEqual([again.status, again.text], [200, first.text]);
  await pay({ login: user.username.toUpperCase(), amount: "0.01" });
  assert.deepEqual(await walletOf(token), { ...nothing, available: "12.51" });
  await assertAddsUp(wallets, db);
});

test("what is set aside, and what is spent, is not there to be spent", async () => {
  const [{ user, access_token: token }, { user: streamer, access_token: other }] = [
    await register(),
    await register(),
  ];
  await pay({ user_id: user.id, amount: "10" });
  const common = { purpose: "tip", actor: `user:${user.id}`, currency: "USD" } as const;
  const answers = await settling(db, async (tx) => {
    const [debit = 0, credit = 0] = await openAccounts(tx, [
      { kind: "wallet", owner: user.id, currency: "USD" },
      { kind: "earnings", owner: streamer.id, currency: "USD" },
    ]);
    const spent = {
      ...common,
      id: randomUUID(),
      kind: "transfer",
      legs: [{ debit, credit, amount: 300n }],
    } as const;
    const held = {
      ...common,
      id: randomUUID(),
      kind: "hold",
      legs: [{ debit, credit, amount: 250n }],
    } as const;
    return settle(tx, [spent, held], Date.now());
  });
  assert.deepEqual(answers, ["done", "done"]);
  const left = { currency: "USD", available: "4.50", held: "2.50", earned: "0.00" };
  assert.deepEqual(await walletOf(token), left);
  assert.deepEqual(await walletOf(other), { ...left, available: "0.00", held: "0.00", earned: "3.00" });
  await assertAddsUp(wallets, db);
});

test("one event told ten thousand times over twenty connections, half with another amount, is one credit", async (t) => {
  const client = openLeanClient(t, url, 20);
  const { user, access_token: token } = await register();
  const one = event({ user_id: user.id, amount: "5" });
  const bodies = [one, { ...one, amount: "6" }].map((body) => JSON.stringify(body));
  const send = async (i: number) => {
    const body = bodies[i % 2] ?? "";
    const headers = { "content-type": "application/json", ...signatures.standard(secrets.shop, body) };
    return client({ path, headers, body });
  };
  const replies = await inLanes(10_000, 20, send);
  const outcomes = [0, 1].map((which) => replies.filter((_, i) => i % 2 === which));
  const [same = [], other = []] = outcomes.map((some) => [...new Set(some.map(({ status }) => status))]);
  // Which of the two came first is chance; from then on it is that one.
  assert.deepEqual([...same, ...other].sort(byNumber), [200, 409]);
  const taken = same[0] === 200 ? 0 : 1;
  const texts = new Set(outcomes[taken]?.map(({ text }) => text));
  assert.equal(texts.size, 1);
  const codes = outcomes[1 - taken]?.map(({ text }) => (JSON.parse(text) as { code: string }).code);
  assert.deepEqual([...new Set(codes)], ["conflict"]);
  assert.equal((await walletOf(token)).available, taken === 0 ? "5.00" : "6.00");
  await assertAddsUp(wallets, db);
});

test("events in any order, in parallel and told several times come to as much as in order", async () => {
  const people = await Promise.all([register(), register(), register()]);
  const events = Array.from({ length: 120 }, (_, i) =>
    event({ user_id: people[i % 3]?.user.id ?? 0, amount: `${i + 1}.25` }),
  );
  const shuffled = [...events, ...events, ...events].sort(() => Math.random() - 0.5);
  const answers = await Promise.all(shuffled.map((one) => tell(one)));
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  // By thirds: of 120 sums of i + 1.25, every third.
  for (const [first, { access_token: token }] of people.entries()) {
    let sum = 0;
    for (let i = first; i < 120; i += 3) sum += i + 1.25;
    assert.equal((await walletOf(token)).available, sum.toFixed(2));
  }
  await assertAddsUp(wallets, db);
});

test("the same event id of two providers is two events", async () => {
  const { user, access_token: token } = await register();
  const one = event({ user_id: user.id, amount: "1" });
  const answers = [await tell(one), await tell(one, { provider: "other", secret: secrets.other })];
  const ids = answers.map((answer) => answer.as(PaymentAccepted).payment_id);
  assert.notEqual(ids[0], ids[1]);
  assert.equal((await walletOf(token)).available, "2.00");
  await assertAddsUp(wallets, db);
});

test("what comes for nobody is kept in suspense, told as such for ever, and assigned once", async () => {
  const { user, access_token: token } = await register();
  const { user: other } = await register();
  const told = event({ login: "nobody-at-all", amount: "30" });
  const first = await tell(told);
  const { payment_id: id, status, reason } = first.as(PaymentAccepted);
  assert.deepEqual([first.status, status, reason], [200, "suspense", "unknown_person"]);
  const [waiting] = await payments("?state=suspense&limit=1");
  const expected = {
    payment_id: id,
    login: "nobody-at-all",
    user_id: null,
    state: "suspense",
    credited_to: null,
  };
  assert.deepEqual(waiting, { ...waiting, ...expected, reason, amount: "30.00", provider: "shop" });

  const answers = await Promise.all([1, 2, 3, 4, 5].map(() => assign(id, user.id)));
  assert.deepEqual([...new Set(answers.map((answer) => answer.status))], [200]);
  const assigned = answers[0]?.as(Payment);
  assert.deepEqual([assigned?.state, assigned?.credited_to, assigned?.reason], ["credited", user.id, reason]);
  assert.match(assigned?.assigned_by ?? "", /^key:\d+$/);
  assert.equal((await walletOf(token)).available, "30.00");

  const elsewhere = await assign(id, other.id);
  assert.deepEqual([elsewhere.status, elsewhere.problem().code], [409, "conflict"]);
  assert.equal((await tell(told)).text, first.text, "its provider is told what it was told before");
  assert.deepEqual(
    (await payments("?state=suspense")).map(({ payment_id }) => payment_id).includes(id),
    false,
  );
  await assertAddsUp(wallets, db);
});

test("two who assign a payment to different people at the same moment: one of them does", async () => {
  const people = await Promise.all([register(), register()]);
  const { payment_id: id } = await pay({ user_id: 999_999_999, amount: "4" });
  const answers = await Promise.all(people.map(({ user }) => assign(id, user.id)));
  assert.deepEqual(answers.map(({ status }) => status).sort(byNumber), [200, 409]);
  const has = await Promise.all(people.map(({ access_token: token }) => walletOf(token)));
  assert.deepEqual(has.map(({ available }) => available).sort(), ["0.00", "4.00"]);
  await assertAddsUp(wallets, db);
});

test("somebody disabled, or whose account is closed, gets nothing by itself; who may manages it", async () => {
  const { user: disabled } = await register();
  const { user: closed, access_token: token } = await register();
  await pay({ user_id: closed.id, amount: "1" });
  const key = await wallets.key(["users:manage"]);
  assert.equal((await request("POST", `/api/v1/users/${disabled.id}/disable`, { key })).status, 204);
  await closeAccountOf(closed.id, "wallet");
  const forDisabled = await pay({ user_id: disabled.id, amount: "2" });
  const forClosed = await pay({ login: closed.username, amount: "3" });
  assert.deepEqual([forDisabled.reason, forClosed.reason], ["person_disabled", "account_closed"]);
  const nobody = await assign(forClosed.payment_id, 999_999_999);
  assert.deepEqual([nobody.status, nobody.problem().errors?.[0]?.pointer], [400, "/user_id"]);
  const refused = await assign(forClosed.payment_id, closed.id);
  assert.deepEqual([refused.status, refused.problem().code], [409, "account_closed"]);
  assert.equal((await walletOf(token)).available, "1.00");
  // What could not be assigned to one can still be to another, and to somebody disabled if a person says so.
  for (const { payment_id: id } of [forDisabled, forClosed])
    assert.equal((await assign(id, disabled.id)).status, 200);
  await assertAddsUp(wallets, db);
});

test("a wallet that is closed while a payment waits for it: the payment goes to suspense", async () => {
  const { user } = await register();
  await pay({ user_id: user.id, amount: "1" });
  const [id = 0] = await findAccounts(db, [{ kind: "wallet", owner: user.id, currency: "USD" }]);
  const paying = await db.transaction(async (tx) => {
    await closeAccount(tx, id, Date.now());
    const telling = pay({ user_id: user.id, amount: "9" });
    await somebodyWaits(db);
    return { telling };
  });
  const { status, reason } = await paying.telling;
  assert.deepEqual([status, reason], ["suspense", "account_closed"]);
  await assertAddsUp(wallets, db);
});

test("payments are listed page by page, all, those in suspense and those that are credited", async () => {
  const { user } = await register();
  for (const amount of ["1", "2", "3"]) await pay({ user_id: user.id, amount });
  for (const amount of ["4", "5"]) await pay({ login: "not-there", amount });
  const all = await payments("?limit=200");
  assert.deepEqual(
    all.slice(0, 5).map(({ amount }) => amount),
    ["5.00", "4.00", "3.00", "2.00", "1.00"],
  );
  for (const [wrong, pointer] of [
    ["limit=201", "limit"],
    ["limit=0", "limit"],
    ["state=lost", "state"],
    ["more=1", "more"],
  ] as const) {
    const answer = await request("GET", `/api/v1/payments?${wrong}`, { key: manager });
    assert.deepEqual([answer.status, answer.problem().errors?.[0]?.pointer], [400, pointer], wrong);
  }
  for (const state of ["suspense", "credited"] as const) {
    const listed: string[] = [];
    let cursor = "";
    do {
      const query = `?limit=2&state=${state}${cursor}`;
      const page = (await request("GET", `/api/v1/payments${query}`, { key: manager })).as(PaymentPage);
      listed.push(...page.payments.map(({ payment_id: id }) => id));
      cursor = page.next_cursor === null ? "" : `&cursor=${page.next_cursor}`;
      const other = await request("GET", `/api/v1/payments?limit=2${cursor}`, { key: manager });
      if (cursor !== "") assert.equal(other.problem().code, "invalid_cursor", "of another list");
    } while (cursor !== "");
    assert.deepEqual(
      listed,
      all.filter((one) => one.state === state).map(({ payment_id: id }) => id),
    );
  }
});

test("a payout is made once by its id, never beyond what was earned, and one that was refused stays so", async () => {
  const { user, access_token: token } = await register();
  await letEarn(db, user.id, 10_000n);
  const wish = { payout_id: randomUUID(), user_id: user.id, amount: "60" };
  const answers = await Promise.all([1, 2, 3, 4].map(() => payOut(wish)));
  assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
  assert.deepEqual(answers[0]?.as(Payout), { ...wish, amount: "60.00", currency: "USD" });
  assert.equal((await walletOf(token)).earned, "40.00");
  const changed = await payOut({ ...wish, amount: "1" });
  assert.deepEqual([changed.status, changed.problem().code], [422, "idempotency_mismatch"]);

  const tooMuch = { ...wish, payout_id: randomUUID(), amount: "40.01" };
  const refused = await payOut(tooMuch);
  assert.deepEqual([refused.status, refused.problem().code], [409, "insufficient_funds"]);
  await letEarn(db, user.id, 10_000n);
  assert.equal((await payOut(tooMuch)).problem().code, "insufficient_funds", "its id stays refused");
  const parallel = await Promise.all(
    Array.from({ length: 10 }, () => payOut({ ...wish, payout_id: randomUUID(), amount: "50" })),
  );
  assert.equal(parallel.filter(({ status }) => status === 200).length, 2);
  assert.equal((await walletOf(token)).earned, "40.00");
  const unknown = await payOut({ ...wish, payout_id: randomUUID(), user_id: 999_999_999 });
  assert.deepEqual(unknown.problem().errors?.[0]?.pointer, "/user_id");
  await closeAccountOf(user.id, "earnings");
  const closed = await payOut({ ...wish, payout_id: randomUUID(), amount: "1" });
  assert.deepEqual([closed.status, closed.problem().code], [409, "account_closed"]);
  assert.deepEqual((await payOut(wish)).as(Payout), { ...wish, amount: "60.00", currency: "USD" });
  await assertAddsUp(wallets, db);
});

test("a ledger that does not add up halts payouts until somebody lifts that, and money goes on coming in", async () => {
  const { user, access_token: token } = await register();
  await letEarn(db, user.id, 10_000n);
  await pay({ login: "for-nobody", amount: "1" });
  const before = { payout_id: randomUUID(), user_id: user.id, amount: "10" };
  assert.equal((await payOut(before)).status, 200);
  const mend = await breakLedger();
  const found = await reconcile();
  assert.deepEqual(found.mismatches.map(({ law }) => law).sort(), ["account_counters", "currency_sums"]);
  assert.equal(found.halted, true);
  const state = await halt();
  assert.match(state.halt?.why ?? "", /^reconciling found 2 mismatches/);
  assert.equal(state.mismatch_count, 2);
  const metrics = async () => (await fetch(`http://127.0.0.1:${app.metricsPort}/metrics`)).text();
  assert.match(await metrics(), /^tidings_ledger_halted 1$/m);

  const wish = { ...before, payout_id: randomUUID() };
  const refused = await payOut(wish);
  assert.deepEqual([refused.status, refused.problem().code], [409, "payouts_halted"]);
  assert.equal(refused.headers.get("retry-after"), "60");
  assert.equal((await payOut(before)).status, 200, "what was done is answered as it was");
  assert.equal((await pay({ user_id: user.id, amount: "3" })).status, "credited");
  await mend();
  assert.equal((await reconcile()).mismatch_count, 0);
  assert.equal((await payOut(wish)).status, 409, "that it adds up again lifts nothing");
  const lift = () => request("DELETE", "/api/v1/ledger/halt", { key: manager });
  const [lifted, again] = [(await lift()).as(LedgerHalt), (await lift()).as(LedgerHalt)];
  assert.match(lifted.halt?.why ?? "", /^reconciling found 2 mismatches/);
  assert.deepEqual([again.halt, lifted.mismatch_count, again.mismatch_count], [null, 0, 0]);
  assert.equal((await halt()).halt, null);
  assert.equal((await payOut(wish)).status, 200, "under the same id");
  assert.match(await metrics(), /^tidings_ledger_halted 0$/m);
  // Others were there, and were assigned.
  const waiting = await payments("?state=suspense&limit=200");
  assert.ok(waiting.length > 0 && (await payments("?limit=200")).some(({ assigned_at: at }) => at !== null));
  assert.match(await metrics(), new RegExp(`^tidings_payments_in_suspense ${waiting.length}$`, "m"));
  assert.deepEqual(await walletOf(token), { ...(await walletOf(token)), available: "3.00", earned: "80.00" });
  await assertAddsUp(wallets, db);
});
