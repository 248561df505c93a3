import type { NewPreferences } from "../../../protocol/preferences.ts";
import { limits } from "../../../protocol/limits.ts";
import { pause } from "../../../src/lib/backoff.ts";
import type { Prng } from "../prng.ts";
import { send } from "../request.ts";
import type { Ledger } from "./ledger.ts";
import type { Person } from "./people.ts";
import { bulletinCategory } from "./texts.ts";

const answerTimeoutMs = 10_000;
const repeatAfterMs = 100;
/** How long somebody wants one thing. */
const wishMs = { min: 3_000, max: 20_000 } as const;
/** Quiet hours around this moment. */
const aroundH = 2;
const hourMs = 3_600_000;

/** Asks for quiet hours or a digest, and for neither again, as long as the run goes on. */
export class Wishes {
  readonly #person: Person;
  readonly #port: number;
  readonly #ledger: Ledger;
  readonly #prng: Prng;

  constructor(person: Person, deps: { readonly port: number; readonly ledger: Ledger; readonly prng: Prng }) {
    this.#person = person;
    this.#port = deps.port;
    this.#ledger = deps.ledger;
    this.#prng = deps.prng;
  }

  /** At the end they want nothing any more, and all that was held is told. */
  async run(stop: AbortSignal, giveUp: AbortSignal): Promise<void> {
    const account = this.#ledger.of(this.#person.id);
    while (!stop.aborted) {
      await this.#say(this.#wanted(), giveUp);
      await pause(this.#prng.between(wishMs.min, wishMs.max), stop);
      account.liftedMs = Infinity;
      await this.#say({}, giveUp);
      account.liftedMs = performance.now();
      await pause(this.#prng.between(wishMs.min, wishMs.max), stop);
    }
  }

  #wanted(): NewPreferences {
    const at = (hours: number): string =>
      new Date(Date.now() + hours * hourMs)
        .toISOString()
        .slice("2026-01-01T".length, "2026-01-01T00:00".length);
    return this.#person.wants === "quiet"
      ? { quiet_hours: { from: at(-aroundH), to: at(aroundH) } }
      : {
          digest_minutes: limits.digestMinutesMin,
          categories: { [bulletinCategory]: { inbox: "digest", push: false } },
        };
  }

  /** Says it until it is taken. */
  async #say(wished: NewPreferences, giveUp: AbortSignal): Promise<void> {
    const call = {
      port: this.#port,
      method: "PUT",
      path: "/api/v1/notifications/preferences",
      headers: { authorization: `Bearer ${await this.#person.token()}` },
      body: JSON.stringify(wished),
      timeoutMs: answerTimeoutMs,
    };
    while (!giveUp.aborted) {
      const { status, body } = await send(call).catch(() => ({ status: 0, body: "" }));
      if (status === 200) {
        this.#ledger.counts.wishes++;
        return;
      }
      if (status !== 0 && status !== 503) this.#ledger.fault(`wishes were answered ${status}: ${body}`);
      await pause(repeatAfterMs, giveUp);
    }
  }
}
