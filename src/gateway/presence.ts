import { PresenceData } from "../../protocol/presence.ts";
import { topics } from "../../protocol/topics.ts";
import { personOf } from "../access/actor.ts";
import type { TopicKind } from "../deps.ts";
import { AppError } from "../lib/errors.ts";
import type { Signal, Signals } from "./signals.ts";

/** How long after their last connection somebody is still said to be there, milliseconds: most come back at once. */
export const leaveAfterMs = 5_000;
/** How often gateways tell each other that they are there, milliseconds. */
export const aliveEveryMs = 10_000;
/** In how many of these steps each person who is here is announced again, for gateways that came later. */
const announceSteps = 6;
/** What another gateway said is true for this long unless it says so again, milliseconds. */
export const believeMs = (announceSteps + 3) * aliveEveryMs;
/** People of other gateways that are remembered; of further ones nothing is known. */
export const peopleMax = 1_000_000;

/** How gateways speak of presence among themselves: topics that no client can name. */
const nodeTopic = "gateways";

type NodeSaid = { readonly node: string; readonly userId?: number; readonly online?: boolean };

/** People may see of each other who is there: whoever is signed in can list them, too. */
export const presenceTopics: TopicKind = {
  kind: "presence",
  authorize: (actor, id) => {
    personOf(actor);
    if (/^[1-9]\d{0,14}$/.test(id)) return Promise.resolve();
    return Promise.reject(new AppError("not_found", { detail: "there is no such person" }));
  },
  entries: {},
  signals: { presence: PresenceData },
};

/**
 * Who has a connection, here or at another gateway. Only changes are told, and only to those who have the person on
 * their screen: they subscribe to `presence/ID`. What other gateways say is believed for a while, so a gateway that
 * dies takes its people offline after `believeMs` at the latest.
 */
export class Presence {
  readonly #node: string;
  readonly #signals: Signals;
  readonly #post: (signal: Signal) => void;
  readonly #now: () => number;
  /** People who are here, each with a timer while they have no connection any more. */
  readonly #here = new Map<number, NodeJS.Timeout | undefined>();
  /** People of other gateways: when each of those last said so. */
  readonly #elsewhere = new Map<number, Map<string, number>>();
  /** When other gateways were last heard of. */
  readonly #others = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  readonly #unsubscribe: () => void;
  #step = 0;

  constructor(options: {
    readonly node: string;
    readonly signals: Signals;
    /** Tells those who read the topic. */
    readonly post: (signal: Signal) => void;
    readonly now?: () => number;
  }) {
    this.#node = options.node;
    this.#signals = options.signals;
    this.#post = options.post;
    this.#now = options.now ?? (() => performance.now());
    this.#unsubscribe = options.signals.onSignal(({ topic, data }) => {
      if (topic === nodeTopic) this.#hear(data as NodeSaid);
    });
    this.#timer = setInterval(() => this.turn(), aliveEveryMs);
  }

  isOnline(userId: number): boolean {
    return this.#here.has(userId) || this.#elsewhere.has(userId);
  }

  /** The first of the person's connections here. */
  arrived(userId: number): void {
    const wasOnline = this.isOnline(userId);
    const wasHere = this.#here.has(userId);
    clearTimeout(this.#here.get(userId));
    this.#here.set(userId, undefined);
    if (!wasHere) this.#say(userId, true);
    if (!wasOnline) this.#tell(userId);
  }

  /** The last of the person's connections here has ended. */
  left(userId: number): void {
    if (!this.#here.has(userId)) return;
    clearTimeout(this.#here.get(userId));
    this.#here.set(
      userId,
      setTimeout(() => this.#gone(userId), leaveAfterMs),
    );
  }

  /** What a new reader of the person's topic is told. */
  signalOf(userId: number): Signal {
    const data: PresenceData = { user_id: userId, online: this.isOnline(userId) };
    return { topic: topics.presence(userId), name: "presence", key: String(userId), data };
  }

  /** Tells the others that this gateway is there, and who is; forgets what nobody has said for too long. */
  turn(): void {
    const nowMs = this.#now();
    for (const [node, saidAtMs] of this.#others) {
      if (nowMs - saidAtMs > believeMs) this.#others.delete(node);
    }
    for (const [userId, nodes] of this.#elsewhere) {
      for (const [node, saidAtMs] of nodes) if (nowMs - saidAtMs > believeMs) nodes.delete(node);
      if (nodes.size === 0) this.#offline(userId);
    }
    this.#send({ node: this.#node });
    this.#step = (this.#step + 1) % announceSteps;
    if (this.#others.size === 0) return;
    for (const userId of this.#here.keys())
      if (userId % announceSteps === this.#step) this.#say(userId, true);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#unsubscribe();
    for (const [userId, timer] of this.#here) {
      clearTimeout(timer);
      this.#say(userId, false);
    }
    this.#here.clear();
  }

  #gone(userId: number): void {
    this.#here.delete(userId);
    this.#say(userId, false);
    if (!this.isOnline(userId)) this.#tell(userId);
  }

  #hear({ node, userId, online }: NodeSaid): void {
    if (node === this.#node) return;
    this.#others.set(node, this.#now());
    if (userId === undefined) return;
    const nodes = this.#elsewhere.get(userId);
    if (online === true) {
      if (nodes !== undefined) nodes.set(node, this.#now());
      else if (this.#elsewhere.size < peopleMax) {
        const wasOnline = this.isOnline(userId);
        this.#elsewhere.set(userId, new Map([[node, this.#now()]]));
        if (!wasOnline) this.#tell(userId);
      }
    } else if (nodes?.delete(node) === true && nodes.size === 0) this.#offline(userId);
  }

  #offline(userId: number): void {
    this.#elsewhere.delete(userId);
    if (!this.#here.has(userId)) this.#tell(userId);
  }

  #tell(userId: number): void {
    this.#post(this.signalOf(userId));
  }

  #say(userId: number, online: boolean): void {
    this.#send({ node: this.#node, userId, online });
  }

  #send(said: NodeSaid): void {
    const key = `${said.node} ${said.userId ?? ""}`;
    this.#signals.send({ topic: nodeTopic, name: "presence", key, data: said });
  }
}
