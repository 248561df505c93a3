import assert from "node:assert/strict";
import { test } from "node:test";
import { closeAccount } from "./accounts.ts";
import { expireHolds } from "./expire-holds.ts";
import { about, hold, nowMs, openLedger, transfer } from "./ledger.fixture.ts";
import { reconcile } from "./reconcile.ts";
import { wishesMax } from "./wishes.ts";

const ledger = await openLedger();
const { db, outside, open, balance } = ledger;

test("a capture in part leaves the rest to whose it was, and a reversal in parts brings back no more than there was", async () => {
  const [wallet, earnings] = [await open("wallet", { funds: 100n }), await open("earnings")];
  const held = hold({ debit: wallet, credit: earnings, amount: 80n });
  assert.deepEqual(await ledger.settle([held, transfer({ debit: wallet, credit: outside, amount: 21n })]), [
    "done",
    "insufficient_funds",
  ]);
  assert.deepEqual(
    [
      (await balance(wallet)).available,
      (await balance(earnings)).available,
      (await balance(earnings)).creditsPending,
    ],
    [20n, 0n, 80n],
  );
  const capture = about("capture", held.id.toUpperCase(), [50n]);
  assert.deepEqual(
    await ledger.settle([about("capture", held.id, [81n]), capture, about("release", held.id)]),
    ["exceeds_hold", "done", "already_resolved"],
  );
  assert.deepEqual([(await balance(wallet)).available, (await balance(earnings)).available], [50n, 50n]);
  assert.deepEqual(await ledger.settle([about("reversal", capture.id, [30n])]), ["done"]);
  assert.deepEqual(
    await ledger.settle([about("reversal", capture.id, [21n]), about("reversal", capture.id, [20n])]),
    ["exceeds_original", "done"],
  );
  assert.equal((await balance(wallet)).available, 100n);
});

test("a closed account takes nothing new, but gives back what was held", async () => {
  const [wallet, earnings] = [await open("wallet", { funds: 50n }), await open("earnings")];
  const [kept, gone] = [
    hold({ debit: wallet, credit: earnings, amount: 10n }),
    hold({ debit: wallet, credit: earnings, amount: 5n }, { expiresMs: nowMs + 10 }),
  ];
  const tip = transfer({ debit: wallet, credit: earnings, amount: 1n });
  await ledger.settle([kept, gone, tip]);
  assert.equal(await db.transaction((tx) => closeAccount(tx, wallet, nowMs)), true);
  assert.deepEqual(
    await ledger.settle([
      transfer({ debit: wallet, credit: earnings, amount: 1n }),
      transfer({ debit: outside, credit: wallet, amount: 1n }),
      hold({ debit: wallet, credit: earnings, amount: 1n }),
      about("capture", kept.id),
      about("reversal", tip.id),
      about("release", kept.id),
      tip,
    ]),
    [...Array.from({ length: 5 }, () => "account_closed"), "done", "done"],
  );
  assert.deepEqual(await db.transaction((tx) => expireHolds(tx, nowMs + 10)), [gone.id]);
  assert.deepEqual([(await balance(wallet)).available, (await balance(wallet)).debitsPending], [49n, 0n]);
});

test("a hold that is over can only expire, whether or not the timer has come by", async () => {
  const [wallet, earnings] = [await open("wallet", { funds: 50n }), await open("earnings")];
  const held = hold({ debit: wallet, credit: earnings, amount: 10n }, { expiresMs: nowMs + 10 });
  await ledger.settle([held]);
  assert.deepEqual(await db.transaction((tx) => expireHolds(tx, nowMs + 9)), []);
  assert.deepEqual(await ledger.settle([about("capture", held.id), about("release", held.id)], nowMs + 10), [
    "hold_expired",
    "hold_expired",
  ]);
  assert.deepEqual(await db.transaction((tx) => expireHolds(tx, nowMs + 10)), [held.id]);
  assert.deepEqual(await db.transaction((tx) => expireHolds(tx, nowMs + 10)), []);
  assert.deepEqual(await ledger.settle([about("capture", held.id)], nowMs + 11), ["hold_expired"]);
  assert.equal((await balance(wallet)).available, 50n);
});

test("holds expire the earliest first, and no more at once than asked for", async () => {
  const wallet = await open("wallet", { funds: 50n });
  const earnings = await open("earnings");
  const holds = [30, 10, 20].map((ms) =>
    hold({ debit: wallet, credit: earnings, amount: 10n }, { expiresMs: nowMs + ms }),
  );
  await ledger.settle([...holds, hold({ debit: wallet, credit: earnings, amount: 10n })]);
  const run = (): Promise<readonly string[]> => db.transaction((tx) => expireHolds(tx, nowMs + 99, 2));
  assert.deepEqual(
    [await run(), await run(), await run()],
    [[holds[1]?.id, holds[2]?.id], [holds[0]?.id], []],
  );
});

test("no more holds expire at once than a batch may have wishes", async () => {
  const leg = { debit: await open("wallet", { funds: 2_000n }), credit: outside, amount: 1n };
  const holds = Array.from({ length: wishesMax + 1 }, () => hold(leg, { expiresMs: nowMs + 1 }));
  await ledger.settle(holds.slice(1));
  await ledger.settle(holds.slice(0, 1));
  const run = (): Promise<readonly string[]> =>
    db.transaction((tx) => expireHolds(tx, nowMs + 1, wishesMax + 1));
  assert.deepEqual([(await run()).length, (await run()).length], [wishesMax, 1]);
});

test("what is no longer to be given back is taken off the list, and is not in the way of what is", async () => {
  const leg = { debit: await open("wallet", { funds: 50n }), credit: outside, amount: 1n };
  const [released, captured, gone] = [1, 2, 3].map(() => hold(leg, { expiresMs: nowMs + 5 }));
  const waiting = hold(leg, { expiresMs: nowMs + 6 });
  if (released === undefined || captured === undefined || gone === undefined) assert.fail();
  const ids = [released.id, captured.id, gone.id];
  await ledger.settle([released, captured, gone, waiting]);
  await ledger.settle([about("release", released.id), about("capture", captured.id)]);
  assert.deepEqual(await db.transaction((tx) => expireHolds(tx, nowMs + 5)), [gone.id]);
  await db.query(
    "insert into ledger_open_hold select id, expires_at from ledger_transfer where id = any($1)",
    [ids],
  );
  const run = (): Promise<readonly string[]> => db.transaction((tx) => expireHolds(tx, nowMs + 6, 3));
  assert.deepEqual([await run(), await run(), await run()], [[], [waiting.id], []]);
  assert.deepEqual((await reconcile(db, nowMs)).mismatches, []);
});

test("how many holds expire is a number from one on", async () => {
  for (const limit of [0, -1, 0.5, Number.NaN])
    await assert.rejects(
      db.transaction((tx) => expireHolds(tx, nowMs, limit)),
      RangeError,
    );
});

test("a hold passes nothing on of what it brings, so that nobody's own money is set aside for somebody else's", async () => {
  const [wallet, earnings, fees] = [
    await open("wallet", { funds: 200n }),
    await open("earnings", { funds: 50n }),
    await open("fees"),
  ];
  const legs = [
    { debit: wallet, credit: earnings, amount: 100n },
    { debit: earnings, credit: fees, amount: 10n },
  ];
  const split = hold([
    { debit: wallet, credit: earnings, amount: 90n },
    { debit: wallet, credit: fees, amount: 10n },
  ]);
  assert.deepEqual(await ledger.settle([hold(legs), hold(legs.toReversed()), split, transfer(legs)]), [
    "passes_through",
    "passes_through",
    "done",
    "done",
  ]);
  assert.equal((await balance(earnings)).available, 140n);
  assert.deepEqual(await ledger.settle([about("capture", split.id)]), ["done"]);
  assert.deepEqual([(await balance(earnings)).available, (await balance(fees)).available], [230n, 20n]);
});

test("after all of this the ledger adds up", async () => {
  assert.deepEqual((await reconcile(db, nowMs)).mismatches, []);
});
