import type { SentAmount } from "../../../protocol/wallet.ts";
import type { Config } from "../../config.ts";
import { amountFaults, amountOfNumber, amountOfText, textOfAmount } from "../../ledger/money.ts";
import { type Holdings, claimOwnCurrency } from "../../ledger/own-currency.ts";
import type { Db } from "../../lib/db.ts";
import { fieldFault } from "./refusals.ts";

/** The currency of all money of this server. */
export class OwnCurrency {
  readonly code: string;
  #scale: number;

  constructor({ code, scale }: Config["currency"]) {
    this.code = code;
    this.#scale = scale;
  }

  /**
   * Makes it the ledger's. Of one that the ledger knows, the scale is the ledger's: another version of Node.js may think otherwise
   * about a currency, but what is counted stays counted. Resolves with money in others, which nothing moves. Rejects with `StartupError`
   * when the ledger cannot be in this one.
   */
  async open(db: Pick<Db, "query" | "transaction">): Promise<readonly Holdings[]> {
    const { scale, others } = await claimOwnCurrency(db, this.code, this.#scale);
    this.#scale = scale;
    return others;
  }

  /** What an amount that was sent comes to, in minor units. Throws `AppError` `invalid_body` that names the field. */
  amountOf(sent: SentAmount): bigint {
    const amount =
      typeof sent === "string" ? amountOfText(sent, this.#scale) : amountOfNumber(sent, this.#scale);
    if (typeof amount === "bigint") return amount;
    const example = `an amount of ${this.code} such as ${this.textOf(1250n)}`;
    throw fieldFault("/amount", amount, `must be ${example}: ${amountFaults[amount]}`);
  }

  /** How an amount of minor units is answered. */
  textOf(amount: bigint): string {
    return textOfAmount(amount, this.#scale);
  }

  /** What so many units come to, in minor units. */
  unitsOf(units: number): bigint {
    return BigInt(units) * 10n ** BigInt(this.#scale);
  }
}
