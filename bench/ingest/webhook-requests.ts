import { createHmac, createSecretKey } from "node:crypto";

/** People who write: enough that no one's rate matters, few enough that they write again. */
const contacts = 5_000;
const text =
  "Здравствуйте, заказ уже в пути? Please tell me when it arrives, I am at home after six o'clock.";

/** Requests as bytes, ready to be written. Each has a message id of its own that ends in its number. */
export class WebhookRequests {
  readonly #requests: Buffer[] = [];
  readonly #firstNumber: number;
  /** How many were sent for good: the next measurement goes on behind them. */
  used = 0;

  constructor(firstNumber: number) {
    this.#firstNumber = firstNumber;
  }

  get count(): number {
    return this.#requests.length;
  }

  /** The number of the request at a place; no number is made twice. */
  numberAt(place: number): number {
    return this.#firstNumber + place;
  }

  at(place: number): Buffer {
    const request = this.#requests[place];
    if (request === undefined) throw new RangeError(`there is no request ${place}`);
    return request;
  }

  /** Builds and signs (Standard Webhooks) everything before the clock of a measurement starts. */
  prepare(count: number, sourceName: string, secret: string): void {
    const key = createSecretKey(Buffer.from(secret.replace(/^whsec_/, ""), "base64"));
    const timestamp = Math.floor(Date.now() / 1_000);
    const path = `/api/v1/webhook?source=${sourceName}`;
    for (let place = 0; place < count; place++) {
      const number = this.numberAt(place);
      const body = bodyOf(number, timestamp);
      const id = `msg_${number}`;
      const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
      this.#requests.push(
        Buffer.from(
          `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: tidings-bench\r\nContent-Type: application/json\r\n` +
            `Content-Length: ${Buffer.byteLength(body)}\r\nwebhook-id: ${id}\r\nwebhook-timestamp: ${timestamp}\r\n` +
            `webhook-signature: v1,${signature}\r\n\r\n${body}`,
        ),
      );
    }
  }
}

function bodyOf(number: number, sendAt: number): string {
  const contact = (number * 7_919) % contacts;
  return JSON.stringify({
    external_message_id: hex32(number),
    external_client_id: hex32(contact),
    client_phone: `+7919${String(contact).padStart(7, "0")}`,
    message_text: `${number}: ${text}`,
    send_at: sendAt,
  });
}

function hex32(number: number): string {
  return number.toString(16).padStart(32, "0");
}
