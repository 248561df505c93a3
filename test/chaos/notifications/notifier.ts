import { randomUUID } from "node:crypto";
import http from "node:http";
import { pause } from "../../../src/lib/backoff.ts";
import type { Prng } from "../prng.ts";
import { send } from "../request.ts";
import type { Ledger } from "./ledger.ts";

/** Seconds until what does not last ends, and how much of all that is. */
const briefTtlS = 2;
const briefShare = 0.1;
const lastingTtlS = 86_400;
const targetsMax = 6;
const thinkMaxMs = 40;
const repeatAfterMs = 25;
const answerTimeoutMs = 10_000;
/** How the texts begin that do not last. */
const briefMark = "brief";

export type NotifierOptions = {
  readonly number: number;
  readonly port: number;
  readonly apiKey: string;
  readonly people: readonly number[];
  readonly ledger: Ledger;
  readonly prng: Prng;
};

type Answer = { readonly results: readonly { target: { id: number }; notification_id?: string }[] };

/** A program that tells people things, each with a key of its own, and repeats it until it is accepted. */
export class Notifier {
  readonly #options: NotifierOptions;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  #count = 0;

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  async run(stop: AbortSignal, giveUp: AbortSignal): Promise<void> {
    const { prng } = this.#options;
    while (!stop.aborted && !giveUp.aborted) {
      await this.deliver(giveUp);
      await pause(prng.between(0, thinkMaxMs), stop);
    }
    this.#agent.destroy();
  }

  /** Tells some people one thing; resolves when that is accepted. */
  async deliver(giveUp: AbortSignal): Promise<void> {
    const { number, people, ledger, prng, port, apiKey } = this.#options;
    const lasting = !prng.chance(briefShare);
    const text = `${lasting ? "lasting" : briefMark} ${number}-${++this.#count}`;
    const ids = prng.shuffled(people).slice(0, prng.between(1, targetsMax));
    ledger.send(text, ids);
    const body = JSON.stringify({
      target: ids.map((id) => ({ id })),
      message: text,
      source: "chaos",
      ttl_s: lasting ? lastingTtlS : briefTtlS,
    });
    const headers = { authorization: `Bearer ${apiKey}`, "idempotency-key": randomUUID() };
    const call = { port, method: "POST", path: "/api/v1/notify", headers, body, agent: this.#agent };
    while (!giveUp.aborted && !(await this.#attempt(call, text))) await pause(repeatAfterMs, giveUp);
  }

  /** One request; true when it was accepted. */
  async #attempt(call: Omit<Parameters<typeof send>[0], "timeoutMs">, text: string): Promise<boolean> {
    const { ledger } = this.#options;
    ledger.counts.requests++;
    ledger.inFlight++;
    try {
      const { status, body } = await send({ ...call, timeoutMs: answerTimeoutMs });
      if (status === 202) {
        for (const { target, notification_id: id } of (JSON.parse(body) as Answer).results) {
          if (id === undefined) ledger.fault(`"${text}" was not for ${target.id}: ${body}`);
          else ledger.note(id, target.id, text, isLasting(text));
        }
        ledger.counts.accepted++;
        return true;
      }
      ledger.counts.refused++;
      // 503 is the honest refusal of a server without its database; 409 says that the first attempt is still worked on.
      if (status !== 503 && status !== 409) ledger.fault(`answer ${status}: ${body}`);
      return false;
    } catch {
      ledger.counts.unknown++;
      return false;
    } finally {
      ledger.inFlight--;
    }
  }
}

export function isLasting(text: string): boolean {
  return !text.startsWith(briefMark);
}
