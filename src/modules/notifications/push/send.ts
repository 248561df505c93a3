import type { Notification, Unread } from "../../../../protocol/notifications.ts";
import type { Deps } from "../../../deps.ts";
import { pause } from "../../../lib/backoff.ts";
import { errorCodeOf } from "../../../lib/errors.ts";
import { Lru } from "../../../lib/lru.ts";
import { type PushAnswer, type PushCall, type PushCaller, callMaxMs, createPushCaller } from "./call.ts";
import { decidePush } from "./decide.ts";
import { type DuePush, settlePushes, takeDue } from "./due.ts";
import type { PushHosts } from "./hosts.ts";
import { pushPayload } from "./payload.ts";
import { type Seal, createSeal } from "./seal.ts";
import { judge } from "./verdict.ts";
import type { Vapid } from "./vapid.ts";

/** Pushes that are on their way at the same time. */
export const lanesMax = 64;
/** How long what is taken is not taken again, milliseconds: longer than a call, and writing down what came of it, takes. */
export const leaseMs = 60_000;
/** How long a run goes on taking, milliseconds; the next run goes on from there. */
const turnMs = 30_000;
/** In this time calls that end are gathered, so that they are written down together, milliseconds. */
const gatherMs = 20;
/** How often it is looked for what is due while calls are on their way, milliseconds. */
const lookEveryMs = 1_000;
/** How often it is said of a push service that it refuses, milliseconds, and of how many that is remembered. */
const sayEveryMs = 600_000;
const saidMax = 1_000;

export type SendDeps = Pick<Deps, "db" | "clock" | "log" | "metrics" | "presence"> & {
  readonly hosts: PushHosts;
  readonly vapid: () => Promise<Vapid>;
  /** What a person has not read. */
  readonly unread: (userId: number) => Promise<Unread>;
  /** `callMaxMs` unless given. */
  readonly callMaxMs?: number;
};

/** What has become of a push. `label`: what it counts as. */
type Outcome = { readonly push: DuePush; readonly label: string } & (
  | { readonly kind: "sent" | "gone" | "over" }
  | { readonly kind: "again"; readonly atMs: number; readonly failures: number }
);

/**
 * Makes the pushes that are due. At least once: of what was on its way when the process ended, or could not be written
 * down, nobody knows whether it arrived, and it is sent again.
 */
export class PushSender {
  readonly #deps: SendDeps;
  readonly #said = new Lru<string, number>(saidMax);
  #seal: Seal | undefined;

  constructor(deps: SendDeps) {
    this.#deps = deps;
  }

  /** Resolves when nothing is due any more, or after a while. */
  async run(signal: AbortSignal): Promise<void> {
    if (!this.#deps.presence.isKnown()) return;
    const untilMs = performance.now() + turnMs;
    using caller = createPushCaller({
      lookup: this.#deps.hosts.lookup,
      timeoutMs: this.#deps.callMaxMs ?? callMaxMs,
    });
    const lanes = new Set<Promise<void>>();
    const outcomes: Outcome[] = [];
    try {
      for (;;) {
        signal.throwIfAborted();
        await this.#settle(outcomes.splice(0));
        const free = performance.now() < untilMs ? lanesMax - lanes.size : 0;
        for (const push of free === 0 ? [] : await this.#take(free)) {
          const lane = this.#push(push, caller, signal).then((outcome) => {
            lanes.delete(lane);
            if (outcome !== undefined) outcomes.push(outcome);
          });
          lanes.add(lane);
        }
        if (lanes.size > 0) await this.#untilSomethingEnds(lanes, signal);
        else if (outcomes.length === 0) return;
      }
    } finally {
      // They end soon: each has a time limit, and ends with the signal. What is known by then is not to be sent again.
      await Promise.all(lanes);
      await this.#settle(outcomes.splice(0));
    }
  }

  async #untilSomethingEnds(lanes: ReadonlySet<Promise<void>>, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const ended = AbortSignal.any([signal, over.signal]);
    await Promise.race([...lanes, pause(lookEveryMs, ended)]);
    over.abort();
    await pause(gatherMs, signal);
  }

  #take(rowsMax: number): Promise<readonly DuePush[]> {
    const { db, clock } = this.#deps;
    return takeDue(db, { rowsMax, leaseMs }, clock.now());
  }

  async #settle(outcomes: readonly Outcome[]): Promise<void> {
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
    await settlePushes(db, settled, clock.now());
    for (const { label } of outcomes) metrics.webPushes.inc({ outcome: label });
  }

  /** Never rejects. Undefined where nobody knows what came of it: then it is due again when its lease ends. */
  async #push(push: DuePush, caller: PushCaller, signal: AbortSignal): Promise<Outcome | undefined> {
    const { clock, log, presence } = this.#deps;
    try {
      const decision = decidePush(push, presence.isOnline(push.userId), clock.now());
      if (decision.kind === "over")
        return { push, kind: decision.why === "signed_out" ? "gone" : "over", label: decision.why };
      const { failures } = push;
      if (decision.kind === "wait")
        return { push, kind: "again", label: "waits", atMs: decision.untilMs, failures };
      const { notification } = decision;
      const sealed = await this.#sealed(push, notification);
      if (sealed === undefined) return { push, kind: "over", label: "refused" };
      const answer = await caller.call(sealed, signal).catch(asError);
      if (signal.aborted) return undefined;
      return this.#judge(push, answer, Date.parse(notification.expires_at));
    } catch (error) {
      log.error({ err: error, notification: push.notificationId }, "a push could not be made");
      return undefined;
    }
  }

  #judge(push: DuePush, answer: PushAnswer | Error, expiresAtMs: number): Outcome {
    const { failures } = push;
    const verdict = judge(answer, { failures, expiresAtMs }, this.#deps.clock.now());
    if (verdict.kind === "sent" || verdict.kind === "gone")
      return { push, kind: verdict.kind, label: verdict.kind };
    this.#say(push, answer);
    if (verdict.kind === "again")
      return { push, kind: "again", label: "failed", atMs: verdict.atMs, failures: failures + 1 };
    return { push, kind: "over", label: verdict.why };
  }

  /** The host alone: the rest of an endpoint is a secret. */
  #say({ endpoint }: DuePush, answer: PushAnswer | Error): void {
    const { host } = new URL(endpoint);
    const nowMs = performance.now();
    if (nowMs - (this.#said.get(host) ?? Number.NEGATIVE_INFINITY) < sayEveryMs) return;
    this.#said.set(host, nowMs);
    const reason =
      answer instanceof Error ? (errorCodeOf(answer) ?? answer.name) : `it answered ${answer.status}`;
    this.#deps.log.warn({ host, reason }, "a push service does not take a push");
  }

  /** Undefined where the keys of the browser are good for nothing. */
  async #sealed(push: DuePush, notification: Notification): Promise<PushCall | undefined> {
    const { clock, log } = this.#deps;
    const { critical } = notification;
    const { unread } = await this.#deps.unread(push.userId);
    this.#seal ??= await createSeal(await this.#deps.vapid());
    const ttlS = Math.floor((Date.parse(notification.expires_at) - clock.now()) / 1_000);
    try {
      return this.#seal(push, { payload: pushPayload(notification, unread), ttlS, critical });
    } catch (error) {
      log.error({ err: error, subscription: push.subscriptionId }, "a push could not be encrypted");
      return undefined;
    }
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
