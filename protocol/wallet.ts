import { Type } from "typebox";
import { limits } from "./limits.ts";

/** Money as people and programs meet it: wallets, what payment providers tell, payouts, and whether the ledger adds up. */

const strict = { additionalProperties: false } as const;
const id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const time = Type.String({ format: "date-time" });
const uuid = Type.String({
  format: "uuid",
  pattern: "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
  "x-detail": "a UUID in lower case",
});

/** An amount as it is sent: in units of the currency, as a decimal text or a number. What it comes to, the module decides. */
export const SentAmount = Type.Union([Type.String(), Type.Number()], {
  "x-detail": 'an amount: a decimal text such as "12.50", or a number',
  description:
    'in units of the currency, more than nothing, with no more decimals than it has: `"12.50"` and `12.5` are the same',
});
export type SentAmount = string | number;
/** An amount as it is answered: a decimal text with all decimals that the currency has. */
export const Amount = Type.String({ description: 'in units of the currency, such as `"12.50"`' });
const currencyPattern = "^[A-Z]{3}$";
const Currency = Type.String({
  pattern: currencyPattern,
  "x-detail": "a currency as ISO 4217 has it, such as USD",
});

/** What somebody has. An account that nothing ever came to is one with nothing on it. */
export const Wallet = Type.Object(
  {
    currency: Currency,
    available: Type.String({ description: "what they can spend" }),
    held: Type.String({ description: "what is set aside of it until somebody accepts or declines" }),
    earned: Type.String({ description: "what they were given and has not been paid out" }),
  },
  strict,
);
export type Wallet = { currency: string; available: string; held: string; earned: string };

/** Body of `POST /api/v1/wallet/demo`. With a `top_up_id`, however often it is sent, it is one top-up. */
export const DemoTopUp = Type.Object({ amount: SentAmount, top_up_id: Type.Optional(uuid) }, strict);
export type DemoTopUp = { amount: SentAmount; top_up_id?: string };

export const providerPattern = "^[a-z0-9][a-z0-9_-]{0,31}$";
export const providerRule =
  "1 to 32 lower-case letters, digits, dashes or underscores, beginning with a letter or digit";
export const ProviderParams = Type.Object(
  { provider: Type.String({ pattern: providerPattern, "x-detail": providerRule }) },
  strict,
);

/** Longest id of an event, and longest login of whom it names, in characters. */
export const eventIdLength = 255;
export const loginLength = 254;

export const eventIdPattern = `^[!-~]{1,${eventIdLength}}$`;

/** Body of `POST /api/v1/payments/:provider`: money has come for somebody. */
export const PaymentEvent = Type.Object(
  {
    event_id: Type.String({
      pattern: eventIdPattern,
      "x-detail": `1 to ${eventIdLength} visible ASCII characters`,
      description: "the provider's own, the same for every attempt at telling of it",
    }),
    user_id: Type.Optional(id),
    login: Type.Optional(
      Type.String({
        maxLength: loginLength,
        "x-text": { min: 1, max: loginLength },
        description: "a username; one that nobody has is no fault of the request",
      }),
    ),
    amount: SentAmount,
    currency: Currency,
  },
  {
    ...strict,
    // One form with a rule, not two forms: so a refusal names the field that is wrong.
    oneOf: [{ required: ["user_id"] }, { required: ["login"] }],
    "x-detail": "an object of `event_id`, `amount`, `currency` and either `user_id` or `login`, and not both",
    examples: [{ event_id: "evt_1", user_id: 7, amount: "12.50", currency: "USD" }],
  },
);
export type PaymentEvent = {
  event_id: string;
  user_id?: number;
  login?: string;
  amount: SentAmount;
  currency: string;
};

export const suspenseReasons = ["unknown_person", "person_disabled", "account_closed"] as const;
/** Why money went to nobody's wallet when it came. */
export type SuspenseReason = (typeof suspenseReasons)[number];
const Reason = Type.Union(suspenseReasons.map((reason) => Type.Literal(reason)));
const paymentStates = ["credited", "suspense"] as const;
export type PaymentState = (typeof paymentStates)[number];
const State = Type.Union(paymentStates.map((state) => Type.Literal(state)));

/** What became of the money when it came: the same answer to every repetition of the event. */
export const PaymentAccepted = Type.Object(
  {
    payment_id: uuid,
    status: State,
    reason: Type.Optional(Reason),
    amount: Amount,
    currency: Currency,
  },
  strict,
);
export type PaymentAccepted = {
  payment_id: string;
  status: PaymentState;
  reason?: SuspenseReason;
  amount: string;
  currency: string;
};

/** Money that has come, as those who manage it see it. */
export const Payment = Type.Object(
  {
    payment_id: uuid,
    provider: Type.String(),
    event_id: Type.String(),
    user_id: Type.Union([id, Type.Null()], { description: "whom the provider named; null: by a login" }),
    login: Type.Union([Type.String(), Type.Null()]),
    amount: Amount,
    currency: Currency,
    received_at: time,
    state: State,
    reason: Type.Union([Reason, Type.Null()], {
      description: "why it went to suspense when it came; null: it did not",
    }),
    credited_to: Type.Union([id, Type.Null()]),
    assigned_at: Type.Union([time, Type.Null()]),
    assigned_by: Type.Union([Type.String(), Type.Null()]),
  },
  strict,
);
export type Payment = {
  payment_id: string;
  provider: string;
  event_id: string;
  user_id: number | null;
  login: string | null;
  amount: string;
  currency: string;
  received_at: string;
  state: PaymentState;
  reason: SuspenseReason | null;
  credited_to: number | null;
  assigned_at: string | null;
  assigned_by: string | null;
};

export const PaymentQuery = Type.Object(
  {
    state: Type.Optional(State),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: limits.pageRows, default: limits.pageRowsDefault }),
    ),
    cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
  },
  strict,
);
export type PaymentQuery = { state?: PaymentState; limit?: number; cursor?: string };
export const PaymentPage = Type.Object(
  { payments: Type.Array(Payment), next_cursor: Type.Union([Type.String(), Type.Null()]) },
  strict,
);
export type PaymentPage = { payments: Payment[]; next_cursor: string | null };

export const PaymentParams = Type.Object({ id: uuid }, strict);
export type PaymentParams = { id: string };
/** Body of `POST /api/v1/payments/:id/assign`: whose it is. */
export const AssignPayment = Type.Object({ user_id: id }, strict);
export type AssignPayment = { user_id: number };

/** Body of `POST /api/v1/payouts`: what somebody has earned leaves the house. */
export const NewPayout = Type.Object({ payout_id: uuid, user_id: id, amount: SentAmount }, strict);
export type NewPayout = { payout_id: string; user_id: number; amount: SentAmount };
export const Payout = Type.Object(
  { payout_id: uuid, user_id: id, amount: Amount, currency: Currency },
  strict,
);
export type Payout = { payout_id: string; user_id: number; amount: string; currency: string };

const Mismatch = Type.Object(
  {
    law: Type.String({ description: "what is not true any more" }),
    place: Type.String({ description: "an account, a transfer or a currency" }),
    stands: Type.Union([Type.String(), Type.Null()]),
    ought: Type.Union([Type.String(), Type.Null()]),
  },
  strict,
);
/** What came of computing the ledger anew. */
export const Reconciliation = Type.Object(
  {
    mismatch_count: Type.Integer({ minimum: 0 }),
    mismatches: Type.Array(Mismatch, { description: "the first 20 of each law" }),
    halted: Type.Boolean({
      description:
        "whether payouts are halted by this: with any mismatch, unless that could not be written down",
    }),
    accounts: Type.Integer({ minimum: 0 }),
    transfers: Type.Integer({ minimum: 0 }),
  },
  strict,
);
export type Reconciliation = {
  mismatch_count: number;
  mismatches: { law: string; place: string; stands: string | null; ought: string | null }[];
  halted: boolean;
  accounts: number;
  transfers: number;
};

/** Whether payouts are made, or, where that was just lifted, were; and what the last reconciling found. */
export const LedgerHalt = Type.Object(
  {
    halt: Type.Union([Type.Object({ since: time, why: Type.String() }, strict), Type.Null()], {
      description: "null: they are made; answered by `DELETE`: there was nothing to lift",
    }),
    reconciled_at: Type.Union([time, Type.Null()], { description: "null: never" }),
    mismatch_count: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], {
      description: "what was found then; null: it never was reconciled",
    }),
  },
  strict,
);
export type LedgerHalt = {
  halt: { since: string; why: string } | null;
  reconciled_at: string | null;
  mismatch_count: number | null;
};
