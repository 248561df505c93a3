import type { Notification } from "../../../../protocol/notifications.ts";
import type { Deps } from "../../../deps.ts";
import { endsWithin, pause } from "../../../lib/backoff.ts";
import { errorCodeOf } from "../../../lib/errors.ts";
import { countUnreadOf } from "../queries.ts";
import { type PushAnswer, type PushCall, type PushCaller, callMaxMs, createPushCaller } from "./call.ts";
import { Complaints } from "./complaints.ts";
import { decidePush } from "./decide.ts";
import { type DuePush, settlePushes, takeDue } from "./due.ts";
import type { PushHosts } from "./hosts.ts";
import { Lanes } from "./lanes.ts";
import { pushPayload } from "./payload.ts";
import { PutOff } from "./put-off.ts";
import { type Seal, createSeal } from "./seal.ts";
import { PushServices } from "./services.ts";
import type { Vapid } from "./vapid.ts";
import { judge } from "./verdict.ts";

/** Pushes that are taken together; while as many wait for a lane, none are taken. */
export const takenMax = 1_000;
/**
 * How long what is taken is not taken again, milliseconds: longer than it waits for a lane, and a call, and writing down
 * what came of it, take together.
 */
export const leaseMs = 60_000;
/** How long a run goes on taking, milliseconds; the next run goes on from there. */
const turnMs = 30_000;
/** In this time calls that end are gathered, so that they are written down together, milliseconds. */
const gatherMs = 20;
/** How often it is looked for what is due while calls are on their way, milliseconds. */
const lookEveryMs = 1_000;
/** After so many times the time of a call a push is given up, whatever it hangs on: none can hold a run. */
export const hardLimit = 2;

export type SendDeps = Pick<Deps, "db" | "clock" | "log" | "metrics" | "presence"> & {
  readonly hosts: PushHosts;
  readonly vapid: () => Promise<Vapid>;
  /** `callMaxMs` unless given. */
  readonly callMaxMs?: number;
};

/** A push that is to be sent. `unread`: how many its person has not read. */
type Errand = {
  readonly push: DuePush;
  readonly notification: Notification;
  readonly unread: number;
  readonly origin: string;
  readonly userId: number;
};

/** What has become of a push. `label`: what it counts as. */
type Outcome = { readonly push: DuePush; readonly label: string } & (
  | { readonly kind: "sent" | "gone" | "over" }
  | { readonly kind: "again"; readonly atMs: number; readonly failures: number }
);

/**
 * Makes the pushes that are due. At least once: of what was on its way when the process ended nobody knows whether it
 * arrived, and it is sent again.
 */
export class PushSender {
  readonly #deps: SendDeps;
  readonly #complaints: Complaints;
  readonly #services: PushServices;
  /** What is not written down yet: kept until it is, by a later run if need be. */
  readonly #outcomes: Outcome[] = [];
  #seal: Promise<Seal> | undefined;

  constructor(deps: SendDeps) {
    this.#deps = deps;
    this.#complaints = new Complaints(deps.log);
    this.#services = new PushServices(deps.clock);
  }

  /** Resolves when nothing is due any more, or after a while. */
  async run(signal: AbortSignal): Promise<void> {
    const { presence, hosts, clock } = this.#deps;
    if (!presence.isKnown()) return;
    const untilMs = performance.now() + turnMs;
    using caller = createPushCaller({
      lookup: hosts.lookup,
      timeoutMs: this.#deps.callMaxMs ?? callMaxMs,
    });
    const lanes = new Lanes<Errand>(this.#services);
    const off = new PutOff();
    const work = (errand: Errand): Promise<void> => this.#push(errand, caller, signal);
    try {
      // What an earlier run could not write down comes first.
      for (;;) {
        await this.#settle();
        signal.throwIfAborted();
        const mayTake = lanes.waiting < takenMax && performance.now() < untilMs;
        const taken = mayTake
          ? await takeDue(this.#deps.db, { rowsMax: takenMax, leaseMs }, clock.now())
          : [];
        for (const errand of await this.#errandsOf(taken)) if (!lanes.add(errand)) this.#putOff(errand, off);
        signal.throwIfAborted();
        for (const errand of lanes.late()) this.#putOff(errand, off);
        lanes.start(work, signal);
        if (taken.length === takenMax) continue;
        if (lanes.ends.size > 0) await untilSomethingEnds(lanes.ends, signal);
        else if (this.#outcomes.length === 0) return;
      }
    } finally {
      for (const { push } of lanes.clear()) this.#again(push, clock.now());
      // They end soon: each has a time limit, and ends with the signal. What is known by then is not to be sent again.
      await Promise.all(lanes.ends);
      await this.#settle();
    }
  }

  async #settle(): Promise<void> {
    const outcomes = this.#outcomes.splice(0);
    if (outcomes.length === 0) return;
    const { db, clock, metrics } = this.#deps;
    const of = (kind: Outcome["kind"]): readonly DuePush[] =>
      outcomes.filter((outcome) => outcome.kind === kind).map(({ push }) => push);
    const [sent, gone] = [of("sent"), of("gone")];
    const settled = {
      sent,
      gone,
      done: [...sent, ...gone, ...of("over")],
      again: outcomes.filter((outcome) => outcome.kind === "again"),
    };
    try {
      await settlePushes(db, settled, clock.now());
    } catch (error) {
      this.#outcomes.unshift(...outcomes);
      throw error;
    }
    for (const { label } of outcomes) metrics.webPushes.inc({ outcome: label });
  }

  /** Those that are to be sent: what becomes of the others is known. */
  async #errandsOf(taken: readonly DuePush[]): Promise<readonly Errand[]> {
    const { db, clock, hosts, presence } = this.#deps;
    const wanted: { readonly push: DuePush; readonly notification: Notification }[] = [];
    for (const push of taken) {
      const decision = decidePush(push, presence.isOnline(push.userId), clock.now());
      const fault = decision.kind === "send" ? hosts.fault(push.endpoint) : undefined;
      if (decision.kind === "over") {
        const kind = decision.why === "signed_out" ? "gone" : "over";
        this.#outcomes.push({ push, kind, label: decision.why });
      } else if (decision.kind === "wait") this.#again(push, decision.untilMs);
      else if (fault === undefined) wanted.push({ push, notification: decision.notification });
      else {
        this.#complaints.say(push.endpoint, `it must be ${fault}`);
        this.#outcomes.push({ push, kind: "over", label: "refused" });
      }
    }
    if (wanted.length === 0) return [];
    const people = [...new Set(wanted.map(({ push }) => push.userId))];
    const unread = await countUnreadOf(db, people, clock.now());
    return wanted.map(({ push, notification }) => {
      const { userId, endpoint } = push;
      return {
        push,
        notification,
        userId,
        unread: unread.get(userId) ?? 0,
        origin: new URL(endpoint).origin,
      };
    });
  }

  #again(push: DuePush, atMs: number): void {
    this.#outcomes.push({ push, kind: "again", label: "waits", atMs, failures: push.failures });
  }

  /** There is no room for it, or its push service is left alone. What ends before is given up. */
  #putOff({ push, notification, origin, userId }: Errand, off: PutOff): void {
    const nowMs = this.#deps.clock.now();
    const restsUntilMs = this.#services.restsUntilMs(origin);
    const key = this.#services.isSlow(origin) ? origin : userId;
    const atMs = restsUntilMs > nowMs ? restsUntilMs : off.untilMs(key, nowMs);
    if (atMs < Date.parse(notification.expires_at)) this.#again(push, atMs);
    else this.#outcomes.push({ push, kind: "over", label: "given_up" });
  }

  /** Never rejects. Where nobody knows what came of it, it is due again when its lease ends. */
  async #push(errand: Errand, caller: PushCaller, signal: AbortSignal): Promise<void> {
    const attempt = this.#attempt(errand, caller, signal);
    const limitMs = hardLimit * (this.#deps.callMaxMs ?? callMaxMs);
    let outcome: Outcome | undefined;
    if (await endsWithin(attempt, limitMs)) outcome = await attempt;
    else if (!signal.aborted) outcome = this.#judge(errand, new Error("it does not come to an end"));
    if (outcome !== undefined) this.#outcomes.push(outcome);
  }

  async #attempt(errand: Errand, caller: PushCaller, signal: AbortSignal): Promise<Outcome | undefined> {
    const { push, origin } = errand;
    const { log } = this.#deps;
    try {
      const sealed = await this.#sealed(errand);
      if (sealed === undefined) return { push, kind: "over", label: "refused" };
      const startMs = performance.now();
      const answer = await caller.call(sealed, signal).catch(asError);
      // What arrived counts, however late. What ended with the signal says nothing.
      if (answer instanceof Error && signal.aborted) return undefined;
      const tookMs = performance.now() - startMs;
      if (!(answer instanceof Error)) this.#services.answered(origin, tookMs);
      else if (errorCodeOf(answer) !== "EPRIVATE") this.#services.silent(origin, tookMs);
      return this.#judge(errand, answer);
    } catch (error) {
      log.error({ err: error, notification: push.notificationId }, "a push could not be made");
      return undefined;
    }
  }

  #judge({ push, notification }: Errand, answer: PushAnswer | Error): Outcome {
    const { failures } = push;
    const expiresAtMs = Date.parse(notification.expires_at);
    const verdict = judge(answer, { failures, expiresAtMs }, this.#deps.clock.now());
    if (verdict.kind === "sent" || verdict.kind === "gone")
      return { push, kind: verdict.kind, label: verdict.kind };
    const reason =
      answer instanceof Error ? (errorCodeOf(answer) ?? answer.name) : `it answered ${answer.status}`;
    this.#complaints.say(push.endpoint, reason);
    if (verdict.kind === "again")
      return { push, kind: "again", label: "failed", atMs: verdict.atMs, failures: failures + 1 };
    return { push, kind: "over", label: verdict.why };
  }

  /** Undefined where the keys of the browser are good for nothing. */
  async #sealed({ push, notification, unread }: Errand): Promise<PushCall | undefined> {
    const { clock, log, vapid } = this.#deps;
    const { critical } = notification;
    this.#seal ??= vapid()
      .then((pair) => createSeal(pair))
      .catch((error: unknown) => {
        this.#seal = undefined;
        throw error;
      });
    const seal = await this.#seal;
    const ttlS = Math.floor((Date.parse(notification.expires_at) - clock.now()) / 1_000);
    try {
      return seal(push, { payload: pushPayload(notification, unread), ttlS, critical });
    } catch (error) {
      log.error({ err: error, subscription: push.subscriptionId }, "a push could not be encrypted");
      return undefined;
    }
  }
}

async function untilSomethingEnds(ends: ReadonlySet<Promise<void>>, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const ended = AbortSignal.any([signal, over.signal]);
  await Promise.race([...ends, pause(lookEveryMs, ended)]);
  over.abort();
  await pause(gatherMs, signal);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
