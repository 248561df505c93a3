import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import {
  LedgerHalt,
  type Payment,
  PaymentAccepted,
  type PaymentEvent,
  PaymentPage,
  Reconciliation,
  Wallet,
} from "../../protocol/wallet.ts";
import { openAccounts as openLedgerAccounts } from "../../src/ledger/accounts.ts";
import { settling } from "../../src/ledger/again.ts";
import { settle } from "../../src/ledger/settle.ts";
import type { Db } from "../../src/lib/db.ts";
import type { Answer } from "../app.ts";
import { type Accounts, openAccounts } from "./accounts.ts";
import { signatures } from "./inbox.ts";

/** Money as people, payment providers and those who manage it meet it: over HTTP only. */
export type Wallets = Accounts & {
  /** A key with the scope `money:manage` alone. */
  readonly manager: string;
  /** Sends an event, signed by the provider `shop` unless another one is named. */
  readonly tell: (
    event: object | string,
    options?: { provider?: string; secret?: string },
  ) => Promise<Answer>;
  /** The same of an event that must be taken. */
  readonly pay: (event: Partial<PaymentEvent>) => Promise<PaymentAccepted>;
  readonly walletOf: (token: string) => Promise<Wallet>;
  readonly payments: (query?: string) => Promise<readonly Payment[]>;
  readonly assign: (paymentId: string, userId: number) => Promise<Answer>;
  readonly payOut: (wish: object) => Promise<Answer>;
  readonly reconcile: () => Promise<Reconciliation>;
  readonly halt: () => Promise<LedgerHalt>;
};

const secretOf = (letter: string): string => `whsec_${Buffer.from(letter.repeat(32)).toString("base64")}`;
/** `shop` is just changing its secret. */
export const secrets = { old: secretOf("o"), shop: secretOf("s"), other: secretOf("t") } as const;
export const providers = {
  PAYMENT_SECRETS: `shop:${secrets.old},shop:${secrets.shop},other:${secrets.other}`,
};

export function event(parts: Partial<PaymentEvent> = {}): PaymentEvent {
  return { event_id: `evt_${randomUUID()}`, amount: "12.50", currency: "USD", ...parts };
}

type Cleanup = { after(callback: () => Promise<void>): void };

export async function openWallets(
  t: Cleanup,
  settings: Readonly<Record<string, string>> = providers,
): Promise<Wallets> {
  const accounts = await openAccounts(t, settings);
  return { ...accounts, ...(await callsOf(accounts)) };
}

/** The same for a server that is there. */
export async function callsOf({ request, key }: Pick<Accounts, "request" | "key">) {
  const manager = await key(["money:manage"]);
  const manage = (method: string, path: string, json?: unknown): Promise<Answer> =>
    request(method, `/api/v1${path}`, { key: manager, ...(json === undefined ? {} : { json }) });
  const tell: Wallets["tell"] = (sent, { provider = "shop", secret = secrets.shop } = {}) => {
    const body = typeof sent === "string" ? sent : JSON.stringify(sent);
    const headers = signatures.standard(secret, body);
    return request("POST", `/api/v1/payments/${provider}`, { body, headers });
  };
  return {
    manager,
    tell,
    pay: async (parts: Partial<PaymentEvent>) => {
      const answer = await tell(event(parts));
      assert.equal(answer.status, 200, answer.text);
      return answer.as(PaymentAccepted) as PaymentAccepted;
    },
    walletOf: async (token: string): Promise<Wallet> =>
      (await request("GET", "/api/v1/wallet", { key: token })).as(Wallet),
    payments: async (query = "") =>
      ((await manage("GET", `/payments${query}`)).as(PaymentPage) as PaymentPage).payments,
    assign: (paymentId: string, userId: number) =>
      manage("POST", `/payments/${paymentId}/assign`, { user_id: userId }),
    payOut: (wish: object) => manage("POST", "/payouts", wish),
    reconcile: async (): Promise<Reconciliation> =>
      (await manage("POST", "/ledger/reconcile")).as(Reconciliation),
    halt: async (): Promise<LedgerHalt> => (await manage("GET", "/ledger/halt")).as(LedgerHalt),
  };
}

/**
 * Everything adds up, and so says the server; what has come in as payments is what providers have told, what is in suspense is what
 * nobody was credited with.
 */
export async function assertAddsUp({ reconcile }: Pick<Wallets, "reconcile">, db: Db): Promise<void> {
  assert.deepEqual((await reconcile()).mismatches, []);
  const { rows } = await db.query<Record<string, number>>(
    `select (select coalesce(sum(credits_posted - debits_posted), 0)::bigint from ledger_account) as all_accounts,
            (select coalesce(sum(l.amount), 0)::bigint from ledger_leg l
               join ledger_transfer t on t.id = l.transfer and t.purpose = 'top-up' and t.refused is null
               join ledger_account a on a.id = l.debit and a.kind = 'outside') as came_in,
            (select coalesce(sum(amount), 0)::bigint from wallet_payment) as told,
            (select coalesce(sum(credits_posted - debits_posted), 0)::bigint from ledger_account
              where kind = 'suspense') as suspense,
            (select coalesce(sum(amount), 0)::bigint from wallet_payment where credited_to is null) as waiting`,
  );
  const { all_accounts, came_in, told, suspense, waiting } = rows[0] ?? {};
  assert.deepEqual(
    { all_accounts, came_in, suspense },
    { all_accounts: 0, came_in: told, suspense: waiting },
  );
}

/** Lets somebody have been given something, as a tip would. */
export async function letEarn(db: Db, userId: number, amount: bigint): Promise<void> {
  const answers = await settling(db, async (tx) => {
    const [outside = 0, earnings = 0] = await openLedgerAccounts(tx, [
      { kind: "outside", owner: null, currency: "USD" },
      { kind: "earnings", owner: userId, currency: "USD" },
    ]);
    const legs = [{ debit: outside, credit: earnings, amount }];
    const common = { id: randomUUID(), purpose: "tip", actor: "user:1" } as const;
    return settle(tx, [{ ...common, kind: "transfer", currency: "USD", legs }], Date.now());
  });
  assert.deepEqual(answers, ["done"]);
}
