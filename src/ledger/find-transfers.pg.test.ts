import assert from "node:assert/strict";
import { test } from "node:test";
import { uuidv7 } from "../../protocol/ids.ts";
import { findTransfers } from "./find-transfers.ts";
import { about, nowMs } from "./ledger.fixture.ts";
import { openUsed } from "./used-ledger.fixture.ts";
import { wishesMax } from "./wishes.ts";

const { db, ids, wallet, earnings, settle } = await openUsed();

test("a transfer is found with its legs, and what of them can still be reversed", async () => {
  const found = await findTransfers(db, [ids.tip, ids.two, ids.capture, ids.whole, uuidv7()]);
  assert.equal(found.size, 4);
  const leg = { n: 0, debit: wallet, credit: earnings };
  assert.deepEqual(found.get(ids.tip), {
    kind: "transfer",
    purpose: "tip",
    actor: "user:1",
    currency: "XTS",
    target: null,
    refused: null,
    createdAt: new Date(nowMs),
    legs: [{ ...leg, amount: 10n, left: 7n }],
  });
  const left = (id: string): unknown => found.get(id)?.legs.map((one) => [one.n, one.amount, one.left]);
  assert.deepEqual(left(ids.two), [
    [0, 10n, 10n],
    [1, 10n, 8n],
  ]);
  assert.deepEqual([left(ids.capture), left(ids.whole)], [[[0, 4n, 3n]], [[0, 10n, 10n]]]);
  assert.equal(found.get(ids.capture)?.target, ids.captured);
  assert.deepEqual(await settle([about("reversal", ids.whole, [11n]), about("reversal", ids.whole, [10n])]), [
    "exceeds_original",
    "done",
  ]);
  assert.equal((await findTransfers(db, [ids.whole])).get(ids.whole)?.legs[0]?.left, 0n);
});

test("nothing can be reversed of holds, of what brings back, and of what was refused", async () => {
  const found = await findTransfers(db, Object.values(ids));
  for (const name of ["open", "captured", "tipBack", "refused", "refusedBack"] as const)
    assert.deepEqual(
      found.get(ids[name])?.legs.map(({ left }) => left),
      [0n],
      name,
    );
  for (const name of ["release", "expiry"] as const) assert.deepEqual(found.get(ids[name])?.legs, []);
  assert.equal(found.get(ids.refused)?.refused, "insufficient_funds");
  assert.equal(found.get(ids.refusedBack)?.refused, "exceeds_original");
});

test("no more transfers are found at once than a batch has wishes", async () => {
  const many = Array.from({ length: wishesMax }, () => ids.tip);
  assert.equal((await findTransfers(db, many)).size, 1);
  await assert.rejects(findTransfers(db, [...many, ids.tip]), RangeError);
});
