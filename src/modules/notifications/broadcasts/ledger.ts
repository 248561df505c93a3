import { broadcastCountMin } from "../../../../protocol/broadcast-rules.ts";
import type { Tx } from "../../../lib/db.ts";
import { type PersonState, nextStreamId } from "../person-state.ts";

/** The version of what everybody is told, and the last stream id that was given out for it. */
export type Ledger = Pick<PersonState, "version" | "streamMs" | "streamN">;

/** Until the transaction ends nobody else tells everybody anything, or ends it. */
export async function lockLedger(tx: Tx): Promise<Ledger> {
  const { rows } = await tx.query<Ledger>(
    `select version, stream_ms as "streamMs", stream_n as "streamN" from notification_broadcast_ledger for no key update`,
  );
  const [ledger] = rows;
  if (ledger === undefined) throw new Error("the ledger of broadcasts has no row");
  return ledger;
}

/** Later than any other broadcast, and equal to no place of a person's notification. */
export function nextPlace(ledger: Ledger, nowMs: number): Pick<Ledger, "streamMs" | "streamN"> {
  const { streamMs, streamN } = nextStreamId(ledger, nowMs);
  return { streamMs, streamN: Math.max(streamN, broadcastCountMin) };
}

export async function saveLedger(tx: Tx, { version, streamMs, streamN }: Ledger): Promise<void> {
  await tx.query("update notification_broadcast_ledger set version = $1, stream_ms = $2, stream_n = $3", [
    version,
    streamMs,
    streamN,
  ]);
}
