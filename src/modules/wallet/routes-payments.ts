import {
  AssignPayment,
  Payment,
  PaymentAccepted,
  PaymentEvent,
  PaymentPage,
  PaymentParams,
  PaymentQuery,
  ProviderParams,
} from "../../../protocol/wallet.ts";
import { limits } from "../../../protocol/limits.ts";
import { actorName, byWhom } from "../../access/actor.ts";
import type { Deps, Route } from "../../deps.ts";
import { Batcher } from "../../lib/batcher.ts";
import { assignPayment } from "./assign.ts";
import { authenticateProvider, signatureHeaders } from "./authenticate.ts";
import { type Arrival, type CreditDeps, creditArrivals } from "./credit.ts";
import type { OwnCurrency } from "./own-currency.ts";
import { type PaymentRow, listPayments, toPayment } from "./payment-rows.ts";
import { fieldFault } from "./refusals.ts";

const tag = "wallet";
const scope = "money:manage";

/** Events that one transaction credits, and that may wait for theirs. */
export const creditBatchMax = 100;
export const creditQueueMax = 10_000;
/** How long an event may wait for its answer, milliseconds. */
const creditTimeoutMs = 10_000;

type PaymentRouteDeps = Pick<Deps, "config" | "db" | "clock" | "log"> & { readonly currency: OwnCurrency };

export function paymentRoutes(deps: PaymentRouteDeps): readonly Route[] {
  return [eventRoute(deps), ...managedRoutes(deps)];
}

/** All of them meet in the account of the world outside: a transaction for each would keep every connection waiting there. */
export function createCredit(deps: CreditDeps): Batcher<Arrival, PaymentRow> {
  return new Batcher({
    lanes: 1,
    batchItemsMax: creditBatchMax,
    batchBytesMax: Number.MAX_SAFE_INTEGER,
    queueItemsMax: creditQueueMax,
    queueBytesMax: Number.MAX_SAFE_INTEGER,
    timeoutMs: creditTimeoutMs,
    now: () => performance.now(),
    what: "payments",
    work: (arrivals) => creditArrivals(deps, arrivals),
  });
}

function eventRoute(deps: PaymentRouteDeps): Route {
  const { currency } = deps;
  const credit = createCredit(deps);
  return {
    method: "POST",
    path: "/api/v1/payments/:provider",
    scope: "self",
    tag,
    summary: "Accept a payment provider's webhook: money has come for somebody",
    description:
      "Signed as Standard Webhooks has it. Answers when the money is on an account. The same `event_id` of the same provider is " +
      "credited once, and every repetition gets the same answer; with other contents it is refused and changes nothing. What " +
      "comes for nobody who can be credited is kept in suspense, and answered as such.",
    authenticate: (request) => authenticateProvider(deps, request),
    bodyBytesMax: limits.paymentEventBytes,
    params: ProviderParams,
    body: PaymentEvent,
    responses: { 200: PaymentAccepted },
    headers: signatureHeaders,
    errors: [
      "signature_missing",
      "signature_invalid",
      "signature_expired",
      "not_found",
      "conflict",
      "overloaded",
      "unavailable",
    ],
    handler: async (request) => {
      const provider = request.sender as string;
      const event = request.body as PaymentEvent;
      // Somebody has to set this right, there or here: until then it is refused, and the provider tells of it again.
      if (event.currency !== currency.code)
        throw fieldFault("/currency", "enum", `must be ${currency.code}, which all money is in here`);
      const row = await credit.add({
        provider,
        eventId: event.event_id,
        userId: event.user_id ?? null,
        login: event.login ?? null,
        amount: currency.amountOf(event.amount),
        currency: event.currency,
      });
      return { status: 200, body: toAccepted(row) };
    },
  };
}

/** What became of it when it came, whatever has been done since. */
function toAccepted(row: PaymentRow): PaymentAccepted {
  const { payment_id, amount, currency, reason } = toPayment(row);
  if (reason === null) return { payment_id, status: "credited", amount, currency };
  return { payment_id, status: "suspense", reason, amount, currency };
}

function managedRoutes({ db, clock, log }: PaymentRouteDeps): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/api/v1/payments",
      scope,
      tag,
      summary: "List payments that have come, the newest first",
      query: PaymentQuery,
      responses: { 200: PaymentPage },
      errors: ["invalid_cursor"],
      handler: async ({ query }) => ({ status: 200, body: await listPayments(db, query as PaymentQuery) }),
    },
    {
      method: "POST",
      path: "/api/v1/payments/:id/assign",
      scope,
      tag,
      summary: "Say whose a payment in suspense is",
      description:
        "It is moved once: a repetition with the same person gets the same answer, with another one it is refused.",
      params: PaymentParams,
      body: AssignPayment,
      responses: { 200: Payment },
      errors: ["not_found", "conflict", "account_closed", "unavailable"],
      handler: async (request) => {
        const { actor } = request;
        if (actor === undefined) throw new Error("a route with a scope has an actor");
        const { id: paymentId } = request.params as PaymentParams;
        const { user_id: userId } = request.body as AssignPayment;
        const payment = await assignPayment(
          { db, clock, log },
          { paymentId, userId, actor: actorName(actor) },
        );
        log.info({ ...byWhom(request), payment: paymentId, user: userId }, "a payment is assigned");
        return { status: 200, body: payment };
      },
    },
  ];
}
