import type { DemoTopUp, Wallet } from "../../../protocol/wallet.ts";
import { uuidv7 } from "../../../protocol/ids.ts";
import { limits } from "../../../protocol/limits.ts";
import { developmentPlaceMissing, placeOfHeaders } from "../../access/development.ts";
import type { Deps, RouteRequest } from "../../deps.ts";
import { derivedId } from "../../eventlog/derived-id.ts";
import { openAccounts } from "../../ledger/accounts.ts";
import { settling } from "../../ledger/again.ts";
import { holdOwnCurrency } from "../../ledger/own-currency.ts";
import { settle } from "../../ledger/settle.ts";
import type { Queryable, Tx } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";
import { outsideIn, walletOf } from "./account-names.ts";
import type { OwnCurrency } from "./own-currency.ts";
import { readWallet } from "./read-wallet.ts";
import { countedOutError, fieldFault, refusalError } from "./refusals.ts";

/** What a demo top-up is called wherever people see it, and found by. */
const demoPurpose = "demo-top-up";

export type DemoTopUpDeps = Pick<Deps, "db" | "clock" | "log"> & { readonly currency: OwnCurrency };

type DemoConfig = Pick<Deps["config"], "host" | "paymentSecrets" | "jwtSecret" | "jwtJwksUrl">;
type DemoRequest = Pick<RouteRequest, "headers" | "ip" | "httpVersion" | "target">;

/**
 * Refuses to make money out of nothing where it could be taken for real. It asks more than the development key does, which can be
 * revoked: nothing takes back what somebody has made.
 */
export function requireDemoPlace(config: DemoConfig, request: DemoRequest): void {
  const why = demoPlaceMissing(config, request);
  if (why !== undefined) throw new AppError("forbidden", { detail: `demo top-ups ${why}` });
}

function demoPlaceMissing(
  { host, paymentSecrets, jwtSecret, jwtJwksUrl }: DemoConfig,
  { headers, ip, httpVersion, target }: DemoRequest,
): string | undefined {
  if (paymentSecrets.size > 0) return "end where PAYMENT_SECRETS names a provider: have it sign a webhook";
  // Who sets these has others sign in than those who try things out.
  if (jwtSecret !== undefined || jwtJwksUrl !== undefined)
    return "are made only while neither JWT_SECRET nor JWT_JWKS_URL is set";
  const where = developmentPlaceMissing({ host, address: ip, ...placeOfHeaders(headers) });
  if (where !== undefined) return `are made only ${where}`;
  // A proxy that says nothing else of itself: nginx speaks HTTP/1.0 unless it is told otherwise. Who is asked for a whole URL is taken for one.
  if (httpVersion !== "1.1" || !target.startsWith("/")) return "are made only on the server's own machine";
  return undefined;
}

/** Payments that have come, whoever they were for. After the world's account is locked: those that commit later come after this. */
async function requireNoPayments(tx: Tx): Promise<void> {
  const { rows } = await tx.query<{ some: boolean }>("select exists (select from wallet_payment) as some");
  if (rows[0]?.some !== false)
    throw new AppError("forbidden", { detail: "demo top-ups end where a payment has come" });
}

/** Gives somebody money that nobody has paid. Resolves with what they have then. */
export async function demoTopUp(
  { db, clock, log, currency }: DemoTopUpDeps,
  { userId, actor, body }: { readonly userId: number; readonly actor: string; readonly body: DemoTopUp },
): Promise<Wallet> {
  const amount = currency.amountOf(body.amount);
  const most = currency.unitsOf(limits.demoTopUpUnits);
  if (amount > most) throw fieldFault("/amount", "too_large", `must be at most ${currency.textOf(most)}`);
  const id =
    body.top_up_id === undefined ? uuidv7() : derivedId("wallet.demo", `${userId} ${body.top_up_id}`);
  await settling(db, async (tx) => {
    const { code } = currency;
    await holdOwnCurrency(tx, code, log);
    const [outside = 0, wallet = 0] = await openAccounts(tx, [outsideIn(code), walletOf(userId, code)]);
    const legs = [{ debit: outside, credit: wallet, amount }];
    const wish = { id, kind: "transfer", purpose: demoPurpose, actor, currency: code, legs } as const;
    const [answer] = await settle(tx, [wish], clock.now());
    await requireNoPayments(tx);
    // It rolls back: nothing is kept of what was refused.
    if (answer === "amount_out_of_range") throw countedOutError(log, code);
    if (answer !== "done") throw refusalError(answer ?? "unknown_transfer", "top_up_id");
  });
  return readWallet(db, currency, userId);
}

/** How many of them this ledger has. */
export async function countDemoTopUps(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    `select count(*) as count from ledger_transfer where purpose = '${demoPurpose}' and refused is null`,
  );
  return rows[0]?.count ?? 0;
}
