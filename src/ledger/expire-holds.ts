import { uuidv7 } from "../../protocol/ids.ts";
import { type Tx, arrayLiteral } from "../lib/db.ts";
import { settleAll } from "./settle.ts";
import { type ExpiryWish, wishesMax } from "./wishes.ts";

/**
 * Gives back what was set aside by holds whose end has come: the earliest first, at most `limit` of them, and no more than a batch has
 * wishes. Resolves with their ids: fewer than `limit` when no more are due, others were quicker, or the list named some that
 * wait no longer. Those it takes off, lest they be in the way of the others for ever. A transaction that does this settles nothing else.
 */
export async function expireHolds(
  tx: Tx,
  nowMs: number,
  limit: number = wishesMax,
): Promise<readonly string[]> {
  if (!Number.isInteger(limit) || limit < 1) throw new RangeError(`${limit} holds are none to expire`);
  const { rows } = await tx.query<{ hold: string }>(
    "select hold from ledger_open_hold where expires_at <= $1 order by expires_at, hold limit $2",
    [new Date(nowMs), Math.min(limit, wishesMax)],
  );
  const wishes = rows.map(({ hold }): ExpiryWish => {
    return { id: uuidv7(), kind: "expiry", target: hold, purpose: "expiry", actor: "system" };
  });
  const answers = await settleAll(tx, wishes, nowMs);
  // While their accounts were waited for, or long ago.
  const resolved = rows.flatMap(({ hold }, i) => (answers[i] === "done" ? [] : [hold]));
  if (resolved.length > 0)
    await tx.query("delete from ledger_open_hold where hold = any($1::uuid[])", [arrayLiteral(resolved)]);
  return rows.flatMap(({ hold }, i) => (answers[i] === "done" ? [hold] : []));
}
