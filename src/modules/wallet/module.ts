import type { Deps, Module } from "../../deps.ts";
import { boundTo } from "../../lib/db.ts";
import { countDemoTopUps } from "./demo-top-up.ts";
import { exposeFigures } from "./figures.ts";
import { type LedgerCare, createLedgerCare } from "./ledger-care.ts";
import { OwnCurrency } from "./own-currency.ts";
import { walletRoutes } from "./routes.ts";

/** How long reconciling may take, milliseconds. */
const reconcileMaxMs = 4 * 3_600_000;

/** What people have, how money comes in and goes out, and whether all of it adds up. */
export function createWallet(deps: Deps): Module & { readonly ledger: LedgerCare } {
  const currency = new OwnCurrency(deps.config.currency);
  const ledger = createLedgerCare(deps);
  return {
    name: "wallet",
    ledger,
    routes: walletRoutes({ ...deps, currency, ledger }),
    consumers: [],
    timers: [
      // Both beside the others: each may have very much to do.
      { name: "ledger holds", everyMs: 10_000, apart: true, run: (signal) => ledger.expireHolds(signal) },
      {
        name: "ledger reconciling",
        everyMs: 600_000,
        maxMs: reconcileMaxMs,
        apart: true,
        run: (signal) => ledger.reconcileWhenDue(signal),
      },
    ],
    prepare: async (signal) => {
      await open(deps, currency, signal);
      exposeFigures(deps);
    },
  };
}

/** Claims the ledger for the server's currency, and warns of money in it that is not what it seems. */
async function open(
  { db, config, log }: Pick<Deps, "db" | "config" | "log">,
  currency: OwnCurrency,
  signal: AbortSignal | undefined,
): Promise<void> {
  const bound = boundTo(db, signal);
  const others = await currency.open(bound);
  if (others.length > 0)
    log.warn({ currency: currency.code, others }, "there is money in other currencies, which nothing moves");
  if (config.paymentSecrets.size === 0) return;
  const topUps = await countDemoTopUps(bound);
  if (topUps > 0)
    log.warn({ topUps }, "there is money here that nobody has paid: it was made to try things out");
}
