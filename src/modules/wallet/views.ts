import type { LedgerHalt, Reconciliation } from "../../../protocol/wallet.ts";
import type { Reconciled } from "../../ledger/reconcile.ts";
import type { LedgerState } from "./ledger-care.ts";

/** What HTTP answers and the command line prints. */
export function reconciliationView(found: Reconciled): Reconciliation {
  const { mismatchCount, mismatches, accounts, transfers, haltFault } = found;
  const halted = mismatchCount > 0 && haltFault === undefined;
  return { mismatch_count: mismatchCount, mismatches: [...mismatches], halted, accounts, transfers };
}

export function stateView({ halt, reconciled }: LedgerState): LedgerHalt {
  return {
    halt: halt === undefined ? null : { since: halt.since.toISOString(), why: halt.why },
    reconciled_at: reconciled?.at.toISOString() ?? null,
    mismatch_count: reconciled?.mismatchCount ?? null,
  };
}
