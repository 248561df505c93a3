import assert from "node:assert/strict";
import type { Tx } from "../lib/db.ts";
import { expireHolds } from "./expire-holds.ts";
import { type TestLedger, about, hold, nowMs, openLedger, transfer } from "./ledger.fixture.ts";
import { laws } from "./reconcile-laws.ts";

export type UsedLedger = TestLedger & {
  readonly wallet: number;
  readonly earnings: number;
  /** What there is, by what it is. */
  readonly ids: Readonly<Record<UsedName, string>>;
};
export type UsedName =
  | ("tip" | "two" | "refused" | "open" | "captured" | "kept" | "released" | "expired")
  | ("capture" | "whole" | "release" | "expiry" | "tipBack" | "twoBack" | "refusedBack");

/** A ledger with one of everything, and an account of the house that has spent all it had. */
export async function openUsed(t?: Parameters<typeof openLedger>[0]): Promise<UsedLedger> {
  const ledger = await openLedger(t);
  const [wallet, earnings] = [await ledger.open("wallet", { funds: 1_000n }), await ledger.open("earnings")];
  const fees = await ledger.open("fees", { funds: 70n });
  const leg = { debit: wallet, credit: earnings, amount: 10n };
  const [tip, two] = [transfer(leg), transfer([leg, { ...leg, credit: fees }])];
  const refused = transfer({ ...leg, amount: 9_999n });
  const [open, captured, kept, released] = [
    hold(leg, { expiresMs: nowMs + 9_999 }),
    hold(leg),
    hold(leg),
    hold(leg),
  ];
  const expired = hold(leg, { expiresMs: nowMs + 1 });
  const [capture, whole] = [about("capture", captured.id, [4n]), about("capture", kept.id)];
  const release = about("release", released.id);
  const [tipBack, twoBack] = [about("reversal", tip.id, [3n]), about("reversal", two.id, [0n, 2n])];
  const refusedBack = about("reversal", tip.id, [99n]);
  const wishes = {
    tip,
    two,
    refused,
    open,
    captured,
    kept,
    released,
    expired,
    capture,
    whole,
    release,
    tipBack,
    twoBack,
    refusedBack,
  };
  const spend = transfer({ debit: fees, credit: earnings, amount: 78n });
  const answers = await ledger.settle([...Object.values(wishes), about("reversal", capture.id, [1n]), spend]);
  assert.deepEqual(
    answers.filter((answer) => answer !== "done"),
    ["insufficient_funds", "exceeds_original"],
  );
  await ledger.db.transaction((tx) => expireHolds(tx, nowMs + 1));
  const { rows } = await ledger.db.query<{ id: string }>(
    "select id from ledger_transfer where kind = 'expiry'",
  );
  const named = Object.fromEntries(Object.entries(wishes).map(([name, { id }]) => [name, id]));
  // One of each name, as they are written above.
  const ids = { ...named, expiry: rows[0]?.id } as UsedLedger["ids"];
  return { ...ledger, wallet, earnings, ids };
}

/**
 * The laws that a statement breaks, which is undone again; what a constraint says to it, if it does not get so far. As somebody who
 * has put the triggers out of action.
 */
export async function brokenBy(db: TestLedger["db"], text: string): Promise<readonly string[]> {
  const broken: string[] = [];
  const undone = new Error("undone");
  const work = async (tx: Tx): Promise<void> => {
    await tx.query("set local session_replication_role = replica");
    try {
      await tx.query(text);
    } catch (error) {
      const { code, constraint } = error as { readonly code?: string; readonly constraint?: string };
      if (code?.startsWith("23") !== true) throw error;
      broken.push(`${constraint}`);
      throw undone;
    }
    for (const [law, statement] of Object.entries(laws))
      if ((await tx.query(statement)).rowCount > 0) broken.push(law);
    throw undone;
  };
  await assert.rejects(db.transaction(work), undone);
  return broken;
}
