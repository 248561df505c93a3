import { LedgerHalt, Reconciliation } from "../../../protocol/wallet.ts";
import { byWhom } from "../../access/actor.ts";
import type { Deps, Route } from "../../deps.ts";
import type { Reconciled } from "../../ledger/reconcile.ts";
import { withTimeLimit } from "../../lib/aborted.ts";
import { AppError } from "../../lib/errors.ts";
import type { LedgerCare } from "./ledger-care.ts";
import { reconciliationView, stateView } from "./views.ts";

const tag = "wallet";
const scope = "money:manage";
/** How long a request waits for reconciling, milliseconds: the command line waits for as long as it takes. */
export const reconcileWithinMs = 60_000;

/** What those need over HTTP who look after the ledger. */
export function ledgerRoutes({
  ledger,
  log,
}: Pick<Deps, "log"> & { readonly ledger: LedgerCare }): readonly Route[] {
  const reconcile = createReconcile(ledger, reconcileWithinMs);
  return [
    {
      method: "POST",
      path: "/api/v1/ledger/reconcile",
      scope,
      tag,
      summary: "Compute the ledger anew, and halt payouts when it does not add up",
      description:
        "Reads everything that was ever moved. Who asks while that is under way gets its answer. Beyond a minute it is given up: " +
        "`tidings ledger reconcile` takes the time that it needs.",
      responses: { 200: Reconciliation },
      errors: ["unavailable"],
      handler: async (request) => {
        const found = await reconcile();
        log.info({ ...byWhom(request), mismatches: found.mismatchCount }, "the ledger is reconciled");
        return { status: 200, body: reconciliationView(found) };
      },
    },
    {
      method: "GET",
      path: "/api/v1/ledger/halt",
      scope,
      tag,
      summary: "Whether payouts are made, and when the ledger was reconciled last",
      responses: { 200: LedgerHalt },
      handler: async () => ({ status: 200, body: stateView(await ledger.state()) }),
    },
    {
      method: "DELETE",
      path: "/api/v1/ledger/halt",
      scope,
      tag,
      summary: "Let payouts be made again",
      description:
        "It mends nothing: what does not add up halts them again at the next reconciling. Answers with what was lifted, and with how " +
        "much the last reconciling found: more than 0, and payouts are made of a ledger that does not add up.",
      responses: { 200: LedgerHalt },
      handler: async (request) => ({ status: 200, body: stateView(await ledger.lift(byWhom(request))) }),
    },
  ];
}

/** One at a time, whoever asks, and each for so long, milliseconds. */
export function createReconcile(
  ledger: Pick<LedgerCare, "reconcile">,
  withinMs: number,
): () => Promise<Reconciled> {
  const late = (): AppError => {
    const detail = `it takes longer than ${withinMs / 1_000} s: use tidings ledger reconcile`;
    return new AppError("unavailable", { detail });
  };
  let running: Promise<Reconciled> | undefined;
  return () => {
    running ??= withTimeLimit(withinMs, late, (signal) => ledger.reconcile(signal)).finally(() => {
      running = undefined;
    });
    return running;
  };
}
