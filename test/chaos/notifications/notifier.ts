import { randomUUID } from "node:crypto";
import http from "node:http";
import type { BroadcastAccepted } from "../../../protocol/broadcasts.ts";
import type { Notified } from "../../../protocol/notifications.ts";
import { pause } from "../../../src/lib/backoff.ts";
import type { Prng } from "../prng.ts";
import { type HttpCall, send } from "../request.ts";
import type { Bounds } from "./bounds.ts";
import type { Ledger } from "./ledger.ts";
import { type Kind, categoryOf } from "./texts.ts";

/** How much of all that is told does not last, and is a bulletin. */
const briefShare = 0.1;
const bulletinShare = 0.2;
const ttlS = { lasting: 86_400, brief: 2 } as const;
/** Seconds until a broadcast ends; a few do not end within the run. */
const broadcastTtlS = { min: 3, max: 8 } as const;
const broadcastLastsShare = 0.1;
const repeatAfterMs = 25;
const answerTimeoutMs = 10_000;

export type NotifierOptions = {
  readonly number: number;
  readonly port: number;
  readonly apiKey: string;
  readonly people: readonly number[];
  readonly bounds: Bounds;
  readonly ledger: Ledger;
  readonly prng: Prng;
};

/** A program that tells people things, each with a key of its own, and repeats it until it is accepted. */
export class Notifier {
  readonly #options: NotifierOptions;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  #count = 0;

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  async run(stop: AbortSignal, giveUp: AbortSignal): Promise<void> {
    const { prng, bounds } = this.#options;
    while (!stop.aborted && !giveUp.aborted) {
      await this.deliver(giveUp);
      await pause(prng.next() * bounds.thinkMaxMs, stop);
    }
    this.#agent.destroy();
  }

  /** The same, of what is for everybody. */
  async runBroadcasts(stop: AbortSignal, giveUp: AbortSignal): Promise<void> {
    const { prng, bounds } = this.#options;
    const { min, max } = bounds.broadcastEveryMs;
    while (!stop.aborted && !giveUp.aborted) {
      await this.#broadcast(giveUp);
      await pause(prng.between(min, max), stop);
    }
    this.#agent.destroy();
  }

  /** Tells some people one thing; resolves when that is accepted. */
  async deliver(giveUp: AbortSignal): Promise<void> {
    const { people, ledger, prng, bounds } = this.#options;
    const chance = prng.next();
    const kind: Kind =
      chance < briefShare ? "brief" : chance < briefShare + bulletinShare ? "bulletin" : "lasting";
    const text = this.#text(kind);
    const ids = prng.shuffled(people).slice(0, prng.between(1, bounds.targetsMax));
    ledger.send(text, ids);
    const body = {
      target: ids.map((id) => ({ id })),
      message: text,
      source: "chaos",
      category: categoryOf(kind),
      ttl_s: kind === "brief" ? ttlS.brief : ttlS.lasting,
    };
    await this.#repeat("/api/v1/notify", body, giveUp, (answer) => {
      for (const result of (answer as Notified).results) {
        const { id } = result.target;
        if ("notification_id" in result)
          ledger.accept(id, result.notification_id, text, result.held_until !== undefined);
        else ledger.fault(`"${text}" was not for ${id}: ${JSON.stringify(result.error)}`);
      }
    });
  }

  async #broadcast(giveUp: AbortSignal): Promise<void> {
    const { ledger, prng } = this.#options;
    const text = this.#text("shared");
    const ttl_s = prng.chance(broadcastLastsShare)
      ? ttlS.lasting
      : prng.between(broadcastTtlS.min, broadcastTtlS.max);
    ledger.shared.add(text);
    await this.#repeat("/api/v1/broadcasts", { message: text, source: "chaos", ttl_s }, giveUp, (answer) => {
      const { broadcast_id, expires_at } = answer as BroadcastAccepted;
      ledger.counts.broadcasts++;
      ledger.acceptShared(broadcast_id, text, Date.parse(expires_at));
    });
  }

  #text(kind: Kind): string {
    return `${kind} ${this.#options.number}-${++this.#count}`;
  }

  async #repeat(
    path: string,
    body: unknown,
    giveUp: AbortSignal,
    accepted: (answer: unknown) => void,
  ): Promise<void> {
    const { port, apiKey } = this.#options;
    const headers = { authorization: `Bearer ${apiKey}`, "idempotency-key": randomUUID() };
    const call = { port, method: "POST", path, headers, body: JSON.stringify(body), agent: this.#agent };
    while (!giveUp.aborted && !(await this.#attempt(call, accepted))) await pause(repeatAfterMs, giveUp);
  }

  /** One request; true when it was accepted. */
  async #attempt(call: Omit<HttpCall, "timeoutMs">, accepted: (answer: unknown) => void): Promise<boolean> {
    const { ledger } = this.#options;
    ledger.counts.requests++;
    ledger.inFlight++;
    try {
      const { status, body } = await send({ ...call, timeoutMs: answerTimeoutMs });
      if (status === 202 || status === 201) {
        accepted(JSON.parse(body));
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
