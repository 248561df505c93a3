import { PresenceData } from "../../protocol/presence.ts";
import { topics } from "../../protocol/topics.ts";
import { personOf } from "../access/actor.ts";
import type { TopicKind } from "../deps.ts";
import { AppError } from "../lib/errors.ts";
import {
  type NodeSaid,
  type NodeSays,
  everybody,
  idBytes,
  idsBytesMax,
  idsPerSignal,
  lastId,
  saidOf,
} from "./presence-nodes.ts";
import { PeopleElsewhere, askEveryMs, asksMax } from "./presence-people.ts";
import type { Signal, Signals } from "./signals.ts";

/** How long after their last connection somebody is still said to be there, milliseconds: most come back at once. */
export const leaveAfterMs = 5_000;
/** How often a gateway looks what there is to say and to forget, milliseconds. */
export const stepEveryMs = 1_000;
/** How often gateways tell each other that they are there, milliseconds. */
export const aliveEveryMs = 10_000;
/** Within this time each gateway lists everybody who is with it once more, milliseconds: what was lost is mended. */
export const roundMs = 60_000;
/** Lists that are said in one go; one holds as many ids as fit into a signal, about a thousand. */
export const listsMax = 4;
/** The pause between two goes while a question is answered, milliseconds. */
export const listsEveryMs = 100;
/** An answer begins within this time, milliseconds: gateways that are asked together do not all speak at once. */
export const answerWithinMs = 500;
/** Who came and who left is said at most this often, milliseconds: the first at once, those that follow together. */
export const changesEveryMs = 100;
/** Changes that wait to be said; further ones are not, until the round comes to these people. */
export const changesMax = 50_000;
/** How gateways speak of presence among themselves: topics that no client can name. */
const nodeTopic = "gateways";
const stepsPerRound = roundMs / stepEveryMs;

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
 * their screen: they subscribe to `presence/ID`.
 *
 * Gateways say each change once, and list all their people round by round, range by range. A list is the whole truth
 * of its range, so whatever was lost on the way is mended within a round. Nobody is forgotten for not being listed:
 * how many people there are decides how long a round takes, not what is true. A gateway that dies takes its people
 * offline after `believeMs`, one that stops in good order at once.
 */
export class Presence {
  readonly #node: string;
  readonly #signals: Signals;
  readonly #post: (signal: Signal) => void;
  readonly #now: () => number;
  readonly #random: () => number;
  /** People who are here, each with a timer while they have no connection any more. */
  readonly #here = new Map<number, NodeJS.Timeout | undefined>();
  readonly #elsewhere: PeopleElsewhere;
  readonly #timer: NodeJS.Timeout;
  readonly #unsubscribe: () => void;
  #steps = 0;
  #said = 0;
  /** How often everybody was asked, and when that is due again. */
  #asks = 1;
  #askAtMs: number;
  /** Who came or left since that was said last, and the timer until it may be said. */
  readonly #changes = new Set<number>();
  #changing: NodeJS.Timeout | undefined;
  /** The round has come to this id. */
  #listedTo = 0;
  /** Lists of the round that are due, in parts of which `stepsPerRound` make one. */
  #due = 0;
  /** While this runs, the round hurries, because somebody asked. */
  #answering: NodeJS.Timeout | undefined;
  /** Somebody asked who has missed the beginning of the answer. */
  #askedAgain = false;

  constructor(options: {
    readonly node: string;
    readonly signals: Signals;
    /** Tells those who read the topic. */
    readonly post: (signal: Signal) => void;
    /** Milliseconds that only grow. */
    readonly now?: () => number;
    /** From 0 to below 1. */
    readonly random?: () => number;
  }) {
    this.#node = options.node;
    this.#signals = options.signals;
    this.#post = options.post;
    this.#now = options.now ?? (() => performance.now());
    this.#random = options.random ?? Math.random;
    this.#elsewhere = new PeopleElsewhere({
      now: this.#now,
      changed: (userId) => {
        if (!this.#here.has(userId)) this.#tell(userId);
      },
    });
    this.#unsubscribe = options.signals.onSignal(({ topic, data }) => {
      const said = topic === nodeTopic ? saidOf(data) : undefined;
      if (said !== undefined && said.node !== this.#node) this.#hear(said);
    });
    this.#timer = setInterval(() => this.step(), stepEveryMs);
    this.#askAtMs = this.#now() + askEveryMs;
    this.#say({ ask: everybody });
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
    if (!wasHere) this.#change(userId);
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

  /** Forgets gateways that are silent, asks those of which too little is known, and says what the round has come to. */
  step(): void {
    this.#elsewhere.forgetSilent();
    for (const node of this.#elsewhere.takeQuestions()) this.#say({ ask: node });
    if (this.#elsewhere.nodes === 0) this.#askEverybody();
    this.#steps++;
    if (this.#steps % (aliveEveryMs / stepEveryMs) === 0) this.#say({});
    if (this.#answering !== undefined || this.#elsewhere.nodes === 0) return;
    this.#due += this.#listsPerRound();
    const lists = Math.floor(this.#due / stepsPerRound);
    this.#due %= stepsPerRound;
    if (lists > 0) this.#sayLists(Math.min(lists, listsMax));
  }

  /** Says that this gateway goes, in good order; that is enough for the others to forget its people. */
  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#changing);
    clearTimeout(this.#answering);
    this.#unsubscribe();
    for (const timer of this.#here.values()) clearTimeout(timer);
    this.#here.clear();
    this.#elsewhere.clear();
    this.#say({ goes: true });
  }

  #gone(userId: number): void {
    this.#here.delete(userId);
    this.#change(userId);
    if (!this.isOnline(userId)) this.#tell(userId);
  }

  /** A gateway that was not known may not know this one either: it is told who is here as if it had asked. */
  #hear(said: NodeSaid): void {
    const isNew = this.#elsewhere.hear(said);
    if (isNew || said.ask === everybody || said.ask === this.#node) this.#answerSoon();
  }

  /** What was asked at first is lost when one of the two did not listen yet. */
  #askEverybody(): void {
    const nowMs = this.#now();
    if (this.#asks >= asksMax || nowMs < this.#askAtMs) return;
    this.#asks++;
    this.#askAtMs = nowMs + askEveryMs;
    this.#say({ ask: everybody });
  }

  /** The round begins again and hurries. Questions that come before it has begun are answered by it, too. */
  #answerSoon(): void {
    if (this.#answering === undefined) {
      this.#listedTo = 0;
      this.#answerAfter(this.#random() * answerWithinMs);
    } else if (this.#listedTo > 0) this.#askedAgain = true;
  }

  #answerAfter(ms: number): void {
    this.#answering = setTimeout(() => {
      this.#answering = undefined;
      this.#sayLists(listsMax);
      if (this.#listedTo > 0) return this.#answerAfter(listsEveryMs);
      const again = this.#askedAgain;
      this.#askedAgain = false;
      if (again) this.#answerSoon();
    }, ms);
  }

  #listsPerRound(): number {
    let widest = 1;
    for (const userId of this.#here.keys()) if (userId > widest) widest = userId;
    return Math.max(1, Math.ceil(this.#here.size / idsPerSignal(widest)));
  }

  /** The next lists of the round, as many at most; ends with the round. */
  #sayLists(max: number): void {
    const ids = Float64Array.from(this.#here.keys()).sort();
    const perList = idsPerSignal(ids.at(-1) ?? 1);
    const next = ids.findIndex((userId) => userId > this.#listedTo);
    let from = next === -1 ? ids.length : next;
    for (let lists = 0; lists < max; lists++) {
      const list = [...ids.subarray(from, from + perList)];
      from += perList;
      const to = from < ids.length ? (list.at(-1) ?? lastId) : lastId;
      this.#say({ list: { after: this.#listedTo, to, ids: list } });
      this.#listedTo = to === lastId ? 0 : to;
      if (this.#listedTo === 0) return;
    }
  }

  /** Whoever is alone says nothing: a gateway that comes is told who is here. */
  #change(userId: number): void {
    if (this.#elsewhere.nodes === 0) return;
    if (this.#changes.size < changesMax) this.#changes.add(userId);
    if (this.#changing === undefined) this.#sayChanges();
  }

  #sayChanges(): void {
    this.#changing = undefined;
    if (this.#changes.size === 0) return;
    const came: number[] = [];
    const left: number[] = [];
    let bytes = 0;
    for (const userId of this.#changes) {
      bytes += idBytes(userId);
      if (bytes > idsBytesMax) break;
      (this.#here.has(userId) ? came : left).push(userId);
      this.#changes.delete(userId);
    }
    this.#say({ came, left });
    this.#changing = setTimeout(() => this.#sayChanges(), changesEveryMs);
  }

  #tell(userId: number): void {
    this.#post(this.signalOf(userId));
  }

  /** Each has a key of its own: none replaces another. */
  #say(says: Omit<NodeSays, "node">): void {
    const key = `${this.#node} ${this.#said++}`;
    this.#signals.send({ topic: nodeTopic, name: "presence", key, data: { node: this.#node, ...says } });
  }
}
