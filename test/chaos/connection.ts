import { createHmac } from "node:crypto";
import http from "node:http";
import { pause } from "../../src/lib/backoff.ts";
import type { Ledger, Message } from "./ledger.ts";
import type { Prng } from "./prng.ts";
import { send } from "./request.ts";

/** A source of webhooks: who sends, and what proves it. */
export type Sender = { readonly source: string; readonly scheme: "api_key" | "hub"; readonly secret: string };

export type ConnectionOptions = {
  readonly number: number;
  readonly sender: Sender;
  readonly contacts: readonly string[];
  readonly port: number;
  readonly ledger: Ledger;
  readonly prng: Prng;
};

const answerTimeoutMs = 10_000;
/** Pause before a message whose fate is unknown, or that was refused, is sent again. */
const repeatAfterMs = 25;
/** Longest pause between two messages of a connection, milliseconds. */
const thinkMaxMs = 12;
const sentTwiceShare = 0.06;

/**
 * One client: sends a message, repeats it with the same id until it is acknowledged, then sends the next one. Some
 * messages go out twice at the same time, the second time over a connection of their own.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  readonly #twin = new http.Agent({ keepAlive: true, maxSockets: 1 });
  #count = 0;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Until `stop` is aborted and the message at hand is acknowledged; `giveUp` ends it at once. */
  async run(stop: AbortSignal, giveUp: AbortSignal): Promise<void> {
    const { prng } = this.#options;
    while (!stop.aborted && !giveUp.aborted) {
      await this.deliver(giveUp);
      await pause(prng.between(0, thinkMaxMs), stop);
    }
    this.#agent.destroy();
    this.#twin.destroy();
  }

  /** Sends one message; resolves when it is acknowledged. */
  async deliver(giveUp: AbortSignal): Promise<void> {
    const { ledger, prng, number, sender, contacts } = this.#options;
    // Half of all messages fall to a tenth of the contacts.
    const crowd = prng.chance(0.5) ? Math.ceil(contacts.length / 10) : contacts.length;
    const message: Message = {
      externalId: hex(number, 8) + hex(++this.#count, 8) + hex(prng.between(0, 0xffff_ffff), 16),
      source: sender.source,
      contact: contacts[prng.between(0, crowd - 1)] ?? "",
      connection: number,
      text: `connection ${number}, message ${this.#count}`,
      firstSentMs: performance.now(),
    };
    const twice = prng.chance(sentTwiceShare);
    ledger.send(message);
    const call = this.#callFor(message);
    const ways = twice ? [this.#agent, this.#twin] : [this.#agent];
    await Promise.all(ways.map((agent) => this.#repeat(message, { ...call, agent }, giveUp)));
  }

  async #repeat(message: Message, call: Parameters<typeof send>[0], giveUp: AbortSignal): Promise<void> {
    while (!giveUp.aborted) {
      if (await this.#attempt(message, call)) return;
      await pause(repeatAfterMs, giveUp);
    }
  }

  /** One request; true when it was acknowledged. */
  async #attempt(message: Message, call: Parameters<typeof send>[0]): Promise<boolean> {
    const { ledger } = this.#options;
    ledger.requests++;
    ledger.inFlight++;
    try {
      const { status, body } = await send(call);
      ledger.answer(status);
      if (status === 202) {
        ledger.acknowledge(message, (JSON.parse(body) as { message_id: string }).message_id);
        return true;
      }
      // 503 is the one honest refusal here: nothing else depends on whether a database is there.
      if (status !== 503) ledger.faults.push(`answer ${status}: ${body}`);
      return false;
    } catch {
      ledger.unknown++;
      return false;
    } finally {
      ledger.inFlight--;
    }
  }

  #callFor(message: Message): Parameters<typeof send>[0] {
    const { port, sender } = this.#options;
    const body = JSON.stringify({
      external_message_id: message.externalId,
      external_client_id: message.contact,
      client_phone: "+79194961182",
      message_text: message.text,
      send_at: Math.floor(Date.now() / 1_000),
    });
    const proof =
      sender.scheme === "hub"
        ? {
            "x-hub-signature-256": `sha256=${createHmac("sha256", sender.secret).update(body).digest("hex")}`,
          }
        : { authorization: `Bearer ${sender.secret}` };
    return {
      port,
      method: "POST",
      path: `/api/v1/webhook?source=${sender.source}`,
      headers: proof,
      body,
      timeoutMs: answerTimeoutMs,
    };
  }
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
