import { DemoTopUp, NewPayout, Payout, Wallet } from "../../../protocol/wallet.ts";
import { actorName, byWhom, personOf } from "../../access/actor.ts";
import type { Deps, Route } from "../../deps.ts";
import { demoTopUp, requireDemoPlace } from "./demo-top-up.ts";
import type { LedgerCare } from "./ledger-care.ts";
import type { OwnCurrency } from "./own-currency.ts";
import { payOut } from "./pay-out.ts";
import { readWallet } from "./read-wallet.ts";
import { ledgerRoutes } from "./routes-ledger.ts";
import { paymentRoutes } from "./routes-payments.ts";

export const tag = "wallet";

export type WalletRouteDeps = Pick<Deps, "config" | "db" | "clock" | "log"> & {
  readonly currency: OwnCurrency;
  readonly ledger: LedgerCare;
};

export function walletRoutes(deps: WalletRouteDeps): readonly Route[] {
  return [...ownRoutes(deps), ...paymentRoutes(deps), payoutRoute(deps), ...ledgerRoutes(deps)];
}

function ownRoutes(deps: WalletRouteDeps): readonly Route[] {
  const { config, db, currency, log } = deps;
  return [
    {
      method: "GET",
      path: "/api/v1/wallet",
      scope: "person",
      tag,
      summary: "What you have, what is set aside of it, and what you were given",
      responses: { 200: Wallet },
      handler: async ({ actor }) => ({
        status: 200,
        body: await readWallet(db, currency, personOf(actor).id),
      }),
    },
    {
      method: "POST",
      path: "/api/v1/wallet/demo",
      scope: "person",
      tag,
      summary: "Give yourself money, to try things out",
      description:
        "Only on the server's own machine, while it listens on loopback and no payment provider is configured. Answers with " +
        "what you have then. With a `top_up_id` a repetition gives nothing more.",
      body: DemoTopUp,
      responses: { 200: Wallet },
      errors: ["forbidden", "account_closed", "idempotency_mismatch", "unavailable"],
      handler: async (request) => {
        const person = personOf(request.actor);
        requireDemoPlace(config, request);
        const wallet = await demoTopUp(deps, {
          userId: person.id,
          actor: actorName(person),
          body: request.body as DemoTopUp,
        });
        log.info(byWhom(request), "somebody made money to try things out");
        return { status: 200, body: wallet };
      },
    },
  ];
}

function payoutRoute(deps: WalletRouteDeps): Route {
  return {
    method: "POST",
    path: "/api/v1/payouts",
    scope: "money:manage",
    tag,
    summary: "Note that what somebody has earned leaves the house",
    description:
      "Once for each `payout_id`: a repetition gets the same answer. One that was refused for want of money stays refused; one " +
      "that was refused during a halt can be repeated when that is lifted.",
    body: NewPayout,
    responses: { 200: Payout },
    errors: ["insufficient_funds", "account_closed", "payouts_halted", "idempotency_mismatch", "unavailable"],
    handler: async (request) => {
      const { actor } = request;
      if (actor === undefined) throw new Error("a route with a scope has an actor");
      const payout = await payOut(deps, request.body as NewPayout, actorName(actor));
      deps.log.info({ ...byWhom(request), payout: payout.payout_id }, "a payout is made");
      return { status: 200, body: payout };
    },
  };
}
