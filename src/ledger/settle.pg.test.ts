import assert from "node:assert/strict";
import { test } from "node:test";
import { uuidv7 } from "../../protocol/ids.ts";
import { errorCodeOf } from "../lib/errors.ts";
import { isOfDatabase } from "../lib/db-faults.ts";
import { type Tx, isTransientDbError } from "../lib/db.ts";
import { TransferTakenError, attemptsMax, settling, throwTaken } from "./again.ts";
import { about, hold, nowMs, openLedger, openPool, somebodyWaits, transfer } from "./ledger.fixture.ts";
import { reconcile } from "./reconcile.ts";
import { settle } from "./settle.ts";
import { type Wish } from "./wishes.ts";

const ledger = await openLedger();
const { db, outside, open, balance } = ledger;

test("a tip moves both legs at once, or none", async () => {
  const [wallet, earnings, fees] = [
    await open("wallet", { funds: 1_000n }),
    await open("earnings"),
    await open("fees"),
  ];
  const tip = (amount: bigint): Wish =>
    transfer([
      { debit: wallet, credit: earnings, amount },
      { debit: earnings, credit: fees, amount: amount / 10n },
    ]);
  assert.deepEqual(await ledger.settle([tip(600n), tip(600n), tip(400n)]), [
    "done",
    "insufficient_funds",
    "done",
  ]);
  assert.deepEqual(
    [(await balance(wallet)).available, (await balance(earnings)).available, (await balance(fees)).available],
    [0n, 900n, 100n],
  );
});

test("an id that failed stays failed when the money has come, and a new one goes through", async () => {
  const [wallet, earnings] = [await open("wallet"), await open("earnings")];
  const tip = transfer({ debit: wallet, credit: earnings, amount: 5n });
  assert.deepEqual(await ledger.settle([tip]), ["insufficient_funds"]);
  await ledger.settle([transfer({ debit: outside, credit: wallet, amount: 5n })]);
  const again = { ...tip, actor: "user:2", id: tip.id.toUpperCase() };
  assert.deepEqual(await ledger.settle([tip, again, { ...tip, id: uuidv7() }]), [
    "insufficient_funds",
    "insufficient_funds",
    "done",
  ]);
});

test("the same id with other contents is refused and changes nothing", async () => {
  const [wallet, earnings, other] = [
    await open("wallet", { funds: 9n }),
    await open("earnings"),
    await open("earnings"),
  ];
  const tip = transfer({ debit: wallet, credit: earnings, amount: 5n });
  assert.deepEqual(await ledger.settle([tip, { ...tip, purpose: "gift" }]), ["done", "different_contents"]);
  assert.deepEqual(
    await ledger.settle([
      { ...tip, legs: [{ debit: wallet, credit: earnings, amount: 4n }] },
      { ...tip, legs: [{ debit: wallet, credit: other, amount: 5n }] },
      hold(tip.legs, { id: tip.id }),
      tip,
    ]),
    ["different_contents", "different_contents", "different_contents", "done"],
  );
  assert.deepEqual([(await balance(wallet)).available, (await balance(other)).available], [4n, 0n]);
});

test("of fifty tips at once from one wallet exactly as many succeed as it can pay", async (t) => {
  const pool = openPool(db, 20);
  t.after(() => pool.close());
  const wallet = await open("wallet", { funds: 175n });
  const streamers = await Promise.all([open("earnings"), open("earnings"), open("earnings")]);
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      settling(pool, async (tx) => {
        const tip = transfer({ debit: wallet, credit: streamers[i % 3] ?? 0, amount: 10n });
        return (await settle(tx, [tip], nowMs))[0];
      }),
    ),
  );
  assert.equal(answers.filter((answer) => answer === "done").length, 17);
  assert.equal(answers.filter((answer) => answer === "insufficient_funds").length, 33);
  assert.equal((await balance(wallet)).available, 5n);
});

test("one id at once from many connections moves once, and all are told the same", async (t) => {
  const pool = openPool(db, 10);
  t.after(() => pool.close());
  const [wallet, earnings] = [await open("wallet", { funds: 15n }), await open("earnings")];
  const tip = transfer({ debit: wallet, credit: earnings, amount: 10n });
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => settling(pool, (tx) => settle(tx, [tip, tip], nowMs))),
  );
  assert.deepEqual(new Set(answers.flat()), new Set(["done"]));
  assert.equal((await balance(earnings)).available, 10n);
});

test("whoever was second with an id, over other accounts, is told to run again, and then what it is", async (t) => {
  const pool = openPool(db, 2);
  t.after(() => pool.close());
  const [mine, yours] = [await open("wallet", { funds: 5n }), await open("wallet", { funds: 5n })];
  const first = transfer({ debit: mine, credit: await open("earnings"), amount: 5n });
  const second = { ...first, legs: [{ debit: yours, credit: await open("earnings"), amount: 5n }] };
  const attempts: unknown[] = [];
  let loser: Promise<unknown> = Promise.resolve();
  await pool.transaction(async (tx) => {
    await settle(tx, [first], nowMs);
    loser = settling(pool, (other) =>
      settle(other, [second], nowMs).catch((error: unknown) => {
        attempts.push(error);
        throw error;
      }),
    );
    await somebodyWaits(db);
  });
  assert.deepEqual(await loser, ["different_contents"]);
  assert.equal(attempts.length, 1);
  assert.ok(attempts[0] instanceof TransferTakenError);
  assert.equal(errorCodeOf(attempts[0]), "40001");
  assert.ok(isOfDatabase(attempts[0]) && isTransientDbError(attempts[0]), "a runner tries again by itself");
  assert.equal((await balance(yours)).available, 5n);
});

test("whoever looks for a transfer that is just being made finds it when it runs again", async (t) => {
  const pool = openPool(db, 2);
  t.after(() => pool.close());
  const [wallet, earnings] = [await open("wallet", { funds: 5n }), await open("earnings")];
  const leg = { debit: wallet, credit: earnings, amount: 5n };
  const held = hold(leg);
  let capturing: Promise<unknown> = Promise.resolve();
  let attempts = 0;
  await pool.transaction(async (tx) => {
    await settle(tx, [held], nowMs);
    const wishes = [transfer({ ...leg, debit: outside, credit: wallet }), about("capture", held.id)];
    capturing = settling(pool, (other) => {
      attempts++;
      return settle(other, wishes, nowMs);
    });
    await somebodyWaits(db);
  });
  assert.deepEqual([await capturing, attempts], [["done", "done"], 2]);
});

test("who catches that an id was taken meanwhile cannot commit, and nothing of the batch is done", async (t) => {
  const pool = openPool(db, 2);
  t.after(() => pool.close());
  const [mine, yours] = [await open("wallet", { funds: 10n }), await open("wallet", { funds: 5n })];
  const own = [{ debit: yours, credit: await open("earnings"), amount: 5n }];
  const legs = [{ debit: mine, credit: await open("earnings"), amount: 5n }];
  const [paid, held] = [transfer(legs), hold(legs)];
  const inTheWay = transfer({ debit: outside, credit: mine, amount: 1n });
  // An id that somebody is just using over other accounts, and one that was just looked for in vain.
  for (const [first, second] of [
    [paid, { ...paid, legs: own }],
    [held, about("capture", held.id)],
  ] as const) {
    const batch = [transfer(own), second, inTheWay];
    let caught: unknown;
    let committing: Promise<unknown> = Promise.resolve();
    await pool.transaction(async (tx) => {
      await settle(tx, [first], nowMs);
      const catching = (other: Tx): Promise<unknown> =>
        settle(other, first === paid ? batch.slice(0, 2) : batch, nowMs).catch((error: unknown) => {
          caught = error;
        });
      committing = assert.rejects(pool.transaction(catching), { code: "40001" });
      await somebodyWaits(db);
    });
    await committing;
    assert.ok(caught instanceof TransferTakenError);
    const { rowCount } = await db.query("select from ledger_transfer where id = $1", [batch[0]?.id]);
    assert.deepEqual([rowCount, (await balance(yours)).available], [0, 5n]);
  }
});

test("who has caught it runs again all the same, within what repeats a transaction", async () => {
  let attempts = 0;
  const answer = await settling(db, async (tx) => {
    if (++attempts === 1) await throwTaken(tx).catch(() => undefined);
    return attempts;
  });
  assert.deepEqual([answer, attempts], [2, 2]);
});

test("conflicts without end are the caller's in the end", async () => {
  let attempts = 0;
  const always = settling(db, () => {
    attempts++;
    return Promise.reject(new TransferTakenError());
  });
  await assert.rejects(always, TransferTakenError);
  assert.equal(attempts, attemptsMax);
});

test("after all of this the ledger adds up", async () => {
  assert.deepEqual((await reconcile(db, nowMs)).mismatches, []);
});
